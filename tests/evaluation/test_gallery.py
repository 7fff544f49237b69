import dataclasses
import math
import time
import tracemalloc

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from synthetic import assert_same, embeddings

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.evaluation import knn
from oncovec.evaluation.gallery import Gallery
from oncovec.metrics import neighbours
from oncovec.metrics.neighbours import nearest, vote

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}


def test_probabilities_are_those_of_an_explicit_loop():
    content = embeddings()
    gallery = knn.fit(content, [7])
    queries = content.vectors[content.rows("test")].astype(np.float64)
    for query, row in zip(queries, gallery.probabilities(queries), strict=True):
        distances = [float(np.linalg.norm(query - other)) for other in gallery.embeddings.astype(np.float64)]
        deviation = sorted(distances)[7 - 1] / 3
        votes = [0.0] * 3
        for label, distance in zip(gallery.labels, distances, strict=True):
            votes[label] += math.exp(-((distance / deviation) ** 2) / 2)
        assert np.allclose(row, np.array(votes) / sum(votes), atol=1e-9)


def test_probabilities_are_those_of_scikit_learn():
    content = embeddings()
    for k in (1, 4, 9):
        gallery = knn.fit(content, [k])
        reference = KNeighborsClassifier(
            len(gallery.labels),
            weights=lambda near, k=k: np.exp(-((3 * near / near[:, k - 1 : k]) ** 2) / 2),
            algorithm="brute",
        )
        reference.fit(gallery.embeddings, gallery.labels)
        queries = content.vectors[content.rows("test")]
        assert np.allclose(gallery.probabilities(queries), reference.predict_proba(queries), atol=1e-7)


@pytest.mark.parametrize("cells", [1, 40 * 17, neighbours.CELLS])
def test_neighbours_are_those_of_comparing_every_pair(monkeypatch, cells):
    monkeypatch.setattr(neighbours, "CELLS", cells)
    random = np.random.default_rng(0)
    known, queries = (random.normal(size=(n, 5)).astype(np.float32) for n in (40, 100))
    queries[7] = known[3]
    distances, rows = nearest(known, queries, 6)
    every = np.linalg.norm(queries[:, None].astype(float) - known, axis=2)
    assert (rows == np.argsort(every, axis=1)[:, :6]).all()
    assert np.allclose(distances, np.sort(every, axis=1)[:, :6], atol=1e-7)
    assert distances[7, 0] == 0 and nearest(known, queries[:0], 6)[0].shape == (0, 6)


def test_votes_for_several_k_are_those_of_each_alone_however_many_queries_are_asked_at_a_time(monkeypatch):
    content = embeddings(noise=1.5)
    known, labels = content.vectors[:60], content.labels[:60]
    every = [neighbours.votes(known, labels, content.vectors, [k], 3)[k] for k in (1, 7, 60)]
    for cells in (1, 60 * 7, neighbours.CELLS):
        monkeypatch.setattr(neighbours, "CELLS", cells)
        found = neighbours.votes(known, labels, content.vectors, [1, 7, 60], 3)
        assert list(found) == [1, 7, 60]
        assert all(np.allclose(found[k], alone, atol=1e-12) for k, alone in zip(found, every, strict=True))


@pytest.mark.slow
def test_memory_is_bounded_however_many_queries_and_neighbours_there_are():
    content = embeddings(classes=("a", "b"), positive="b", splits={"train": 3500, "val": 5000, "test": 0})
    held = 3 * content.vectors.nbytes
    tracemalloc.start()
    try:
        gallery = knn.fit(content, [3000])
        gallery.probabilities(content.vectors)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert gallery.k == 3000
    assert most < held + 2**28, "123 kB per query would be 600 MB, and 1 GB"


def test_of_equal_neighbours_the_first_comes_first():
    known = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert nearest(known, np.array([[0.0, 1.0]]), 4)[1].tolist() == [[0, 2, 3, 1]]


def test_with_the_kth_at_distance_zero_only_neighbours_at_distance_zero_vote():
    distances, labels = np.array([[0.0, 0.0, 0.1]]), np.array([0, 1, 2])
    assert vote(distances, labels, 3, np.zeros(1)).tolist() == [[0.5, 0.5, 0.0]]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0])
def test_votes_do_not_depend_on_the_scale_of_distances(scale):
    random = np.random.default_rng(0)
    known, queries = random.normal(size=(30, 4)), random.normal(size=(9, 4))
    labels = random.integers(0, 3, 30)
    found = neighbours.votes(known, labels, queries, [5], 3)[5]
    np.testing.assert_allclose(neighbours.votes(known * scale, labels, queries * scale, [5], 3)[5], found)


def test_a_rare_class_gets_a_vote_by_which_images_can_be_ranked_though_it_is_not_among_the_nearest():
    known = np.array([[0.0], [0.1], [0.2], [1.0]])
    near, far = neighbours.votes(known, np.array([0, 0, 0, 1]), np.array([[0.3], [-0.3]]), [3], 2)[3]
    assert near[1] > far[1] > 0


def test_neighbours_come_nearest_first():
    content = embeddings()
    gallery = knn.fit(content, [5])
    distances, rows = gallery.neighbours(content.vectors[content.rows("test")], 4)
    assert distances.shape == rows.shape == (30, 4)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert gallery.neighbours(content.vectors, 999)[1].shape == (120, 60)
    assert gallery.probabilities(content.vectors[:0]).shape == (0, 3)


def test_a_gallery_without_temperatures_is_still_read(tmp_path):
    path = tmp_path / paths.gallery("zoo")
    old = dataclasses.replace(knn.fit(embeddings(), [5]), temperature=None)
    old.save(path)
    with np.load(path) as archive:
        assert "temperature" not in archive.files
    assert_same(Gallery.load(CheckoutParts("zoo", tmp_path)), old)


def test_a_gallery_survives_saving_and_loading(tmp_path):
    path = tmp_path / paths.gallery("zoo")
    gallery = knn.fit(embeddings(head=True, **BINARY), [5])
    gallery.save(path)
    assert_same(Gallery.load(CheckoutParts("zoo", tmp_path)), gallery)


def test_two_saves_of_a_gallery_are_the_same_bytes(tmp_path):
    content = embeddings(head=True, **BINARY)
    knn.fit(content, [5]).save(tmp_path / "a.npz")
    time.sleep(2.1)  # a zip's clock ticks every two seconds
    knn.fit(content, [5]).save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_damaged_gallery_is_one_line_that_says_what_to_run(tmp_path):
    path = tmp_path / paths.gallery("zoo")
    knn.fit(embeddings(), [5]).save(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for content in (b"", b"no zip", whole[:middle], whole[:-10], flipped):
        path.write_bytes(content)
        with pytest.raises(OncovecError, match=r"zoo/gallery\.npz.*dvc repro evaluate@zoo") as caught:
            Gallery.load(CheckoutParts("zoo", tmp_path))
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(OncovecError, match=r"not there; .*dvc repro evaluate@zoo"):
        Gallery.load(CheckoutParts("zoo", tmp_path))


def test_an_archive_with_missing_arrays_or_pickles_is_refused(tmp_path):
    path = tmp_path / paths.gallery("zoo")
    path.parent.mkdir(parents=True)
    np.savez(path, k=np.array(3))
    with pytest.raises(OncovecError, match=r"lacks embedding.*evaluate@zoo"):
        Gallery.load(CheckoutParts("zoo", tmp_path))
    knn.fit(embeddings(), [5]).save(path)
    with np.load(path) as archive:
        np.savez(path, **{name: archive[name] for name in archive.files if name != "weights"})
    with pytest.raises(OncovecError, match=r"^\S+ lacks weights; run `dvc repro evaluate@zoo`$"):
        Gallery.load(CheckoutParts("zoo", tmp_path))
    np.savez(path, k=np.array([{}], dtype=object))
    with pytest.raises(OncovecError, match=r"damaged.*evaluate@zoo"):
        Gallery.load(CheckoutParts("zoo", tmp_path))


def test_the_gallery_names_the_weights_that_made_its_embeddings(tmp_path):
    content = dataclasses.replace(embeddings(), weights="ab12")
    knn.fit(content, [3]).save(tmp_path / paths.gallery("zoo"))
    assert Gallery.load(CheckoutParts("zoo", tmp_path)).weights == "ab12"
