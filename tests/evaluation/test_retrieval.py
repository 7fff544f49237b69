import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from synthetic import embeddings

from oncovec.evaluation import knn, predictions, retrieval, scores, subsets
from oncovec.metrics import intervals

MEAN = "mean_average_precision"
NAMES = ["precision_at_1", "precision_at_5", "precision_at_10", MEAN]


def directions(count, seed, few=0):
    """Vectors of length 1; with `few`, of so many directions that most distances are equal."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(few or count, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[generator.integers(0, few, count) if few else slice(None)].astype(np.float32)


def slow(query, label, gallery, labels):
    """The metrics of one query, image by image; None where no image is relevant."""
    distances = [round(float(((query.astype(float) - each) ** 2).sum()), 9) for each in gallery.astype(float)]
    ranking = sorted(range(len(gallery)), key=lambda row: (distances[row], row))
    relevant = [labels[row] == label for row in ranking]
    if not any(relevant):
        return None
    precisions = [sum(relevant[: rank + 1]) / (rank + 1) for rank in range(len(ranking)) if relevant[rank]]
    found = {f"precision_at_{depth}": sum(relevant[:depth]) / depth for depth in (1, 5, 10)}
    return {name: value for name, value in found.items() if len(gallery) >= int(name[13:])} | {
        MEAN: sum(precisions) / len(precisions)
    }


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 6), st.integers(0, 10**6))
def test_the_metrics_are_those_of_every_ranking_written_out(gallery_size, count, few, seed):
    generator = np.random.default_rng(seed)
    both = directions(gallery_size + count, seed, few)
    queries, gallery = both[:count], both[count:]
    labels, gallery_labels = generator.integers(0, 4, count), generator.integers(0, 3, gallery_size)
    found = retrieval.metrics(queries, labels, gallery, gallery_labels)
    for row in range(count):
        expected = slow(queries[row], labels[row], gallery, gallery_labels)
        if expected is None:
            assert all(np.isnan(values[row]) for values in found.values())
        else:
            assert {name: values[row] for name, values in found.items()} == pytest.approx(expected)


def test_average_precision_without_ties_is_scikit_learns():
    queries, gallery = directions(20, 1), directions(200, 2)
    labels, gallery_labels = np.arange(20) % 3, np.arange(200) % 3
    found = retrieval.metrics(queries, labels, gallery, gallery_labels)[MEAN]
    for row in range(20):
        similarity = gallery.astype(float) @ queries[row].astype(float)
        relevant = gallery_labels == labels[row]
        assert found[row] == pytest.approx(average_precision_score(relevant, similarity))


def test_precision_at_1_is_how_often_the_nearest_image_is_right():
    content = embeddings(noise=1.5)
    gallery = knn.fit(content, [1])
    found = retrieval.of_splits(content, gallery, ["val", "test"])
    assert list(found) == ["val", "test"] and list(found["val"]) == NAMES
    for each in predictions.of_splits(content, gallery, ["val", "test"]):
        _, first = gallery.neighbours(content.vectors[each.rows], 1)
        right = gallery.labels[first[:, 0]] == each.labels
        assert found[each.split]["precision_at_1"].tolist() == right.tolist()
        assert 0 < right.mean() < 1


def test_a_perfect_embedding_has_only_ones_and_one_that_knows_nothing_the_share_of_the_class():
    content = embeddings(noise=0)
    found = retrieval.of_splits(content, knn.fit(content, [5]), ["test"])["test"]
    assert all((values == 1).all() for values in found.values())
    lost = replace(content, vectors=directions(len(content.labels), 0))
    found = retrieval.of_splits(lost, knn.fit(lost, [5]), ["test"])["test"]
    assert found[MEAN].mean() == pytest.approx(1 / 3, abs=0.1)


def test_copies_keep_the_gallery_s_order():
    one, other = np.eye(3, dtype=np.float32)[[0]], np.eye(3, dtype=np.float32)[[1]]
    gallery = np.concatenate([other, one, one, one])
    found = retrieval.metrics(one, np.array([1]), gallery, np.array([1, 0, 1, 0]))
    assert found["precision_at_1"] == [0] and found[MEAN] == pytest.approx([(1 / 2 + 2 / 4) / 2])


def test_blocks_change_nothing(monkeypatch):
    arguments = directions(40, 1, 9), np.arange(40) % 3, directions(150, 1, 9), np.arange(150) % 3
    whole = retrieval.metrics(*arguments)
    monkeypatch.setattr(retrieval, "CELLS", 7 * 150)
    monkeypatch.setattr(retrieval, "COLUMNS", 37)
    for name, values in retrieval.metrics(*arguments).items():
        assert values == pytest.approx(whole[name])


def test_memory_does_not_grow_with_the_queries(monkeypatch):
    monkeypatch.setattr(retrieval, "CELLS", 2**16)
    monkeypatch.setattr(retrieval, "COLUMNS", 500)
    queries, gallery = directions(3000, 1), directions(3000, 2)
    labels = np.arange(3000) % 2
    tracemalloc.start()
    try:
        retrieval.metrics(queries, labels, gallery, labels)
        assert tracemalloc.get_traced_memory()[1] < 2**16 * 8 * 12 < 3000 * 3000
    finally:
        tracemalloc.stop()


def test_the_report_has_the_means_of_the_queries_that_are_defined_with_the_bootstrap_s_intervals():
    content = embeddings(noise=1.5, head=True)
    splits = np.where((content.splits == "train") & (content.labels == 1), "left out", content.splits)
    content = replace(content, splits=splits)
    gallery = knn.fit(content, [5])
    retrieved = retrieval.of_splits(content, gallery, ["test"])
    outputs = predictions.of_splits(content, gallery, ["test"])
    found, _ = scores.score(outputs, [], content.groups, subsets.Parts({}, {}, {}), 200, 0, retrieved)
    rows = {row[3]: row for row in found if row[3] in NAMES}
    assert list(rows) == NAMES
    asked = outputs[0].labels != 1
    weights = intervals.resample(content.groups[outputs[0].rows], 200, 0)[:, asked]
    for name, (split, model, subset, _, *cells) in rows.items():
        assert (split, model, subset) == ("test", "knn", "all")
        values = retrieved["test"][name][asked]
        assert np.isfinite(values).all() and len(values) == 20
        means = [np.average(values, weights=each) for each in weights if each.any()]
        assert cells == pytest.approx([values.mean(), *np.quantile(means, [0.025, 0.975])])


def test_a_split_without_images_has_no_metrics():
    content = embeddings(splits={"train": 20, "val": 0, "test": 9})
    gallery = knn.fit(content, [5])
    retrieved = retrieval.of_splits(content, gallery, ["val"])
    outputs = predictions.of_splits(content, gallery, ["val"])
    found, _ = scores.score(outputs, [], content.groups, subsets.Parts({}, {}, {}), 100, 0, retrieved)
    assert [row[3] for row in found] == ["images", "groups", "fewest_groups"]
