import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from synthetic import embeddings

from oncovec.evaluation import baselines, knn, predictions

SPLITS = ["val", "test"]


def drawn(content, size=16, shade=40, seed=0):
    """A prepared array in the reverse order of the embeddings, brighter by `shade` a class, and its rows."""
    generator = np.random.default_rng(seed)
    count = len(content.labels)
    pixels = generator.integers(0, 60, (count, size, size, 3)) + shade * content.labels[:, None, None, None]
    return pixels[::-1].astype(np.uint8), np.arange(count)[::-1]


def answered(content, pixels, stored, splits=SPLITS, candidates=(1, 5), sensitivity=None):
    found, k = baselines.predict(content, pixels, stored, splits, candidates, sensitivity, 0.9)
    return {(each.model, each.split): each for each in found}, k


@pytest.mark.parametrize("size", [16, 48, 96])
def test_a_thumbnail_is_the_mean_of_each_area(size):
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    thumbnails, _ = baselines.features(pixels, [2, 0])
    areas = pixels[[2, 0]].reshape(2, 8, size // 8, 8, size // 8, 3).mean(axis=(2, 4))
    assert np.abs(255 * thumbnails.reshape(2, 8, 8, 3) - areas).max() <= 1  # rounded to whole steps


def test_a_histogram_counts_every_channel_and_has_length_one():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 20, 20, 3), dtype=np.uint8)
    pixels[1, ..., 1] = 17
    _, histograms = baselines.features(pixels, range(4))
    for image, found in zip(pixels, histograms, strict=True):
        bins = [np.histogram(image[..., c], bins=16, range=(0, 256))[0] for c in range(3)]
        assert found**2 == pytest.approx(np.concatenate(bins) / (3 * 400), abs=1e-6)
    assert np.linalg.norm(histograms, axis=1) == pytest.approx(1)


def test_a_histogram_does_not_see_where_a_colour_is():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    thumbnails, histograms = baselines.features(np.concatenate([pixels, pixels[:, ::-1]]), [0, 1])
    assert (histograms[0] == histograms[1]).all() and (thumbnails[0] != thumbnails[1]).any()


def test_the_array_is_read_image_by_image():
    class Watched:
        """Stands for an array that is too large for the memory."""

        def __init__(self, pixels):
            self.pixels, self.read = pixels, []

        def __getitem__(self, row):
            assert isinstance(row, int)
            self.read.append(row)
            return self.pixels[row]

    watched = Watched(np.zeros((9, 16, 16, 3), np.uint8))
    baselines.features(watched, [4, 8, 0])
    assert watched.read == [0, 4, 8]


@pytest.mark.parametrize("positive", ["", "bee"])
def test_majority_is_scikit_learns_prior(positive):
    classes = ("ant", "bee") if positive else ("ant", "bee", "cat")
    content = embeddings(classes=classes, positive=positive, splits={"train": 7, "val": 5, "test": 4})
    train = content.rows("train")
    dummy = DummyClassifier(strategy="prior").fit(content.vectors[train], content.labels[train])
    for each in baselines.majority(content, SPLITS):
        asked = content.vectors[content.rows(each.split)]
        assert each.model == "majority"
        assert each.predicted.tolist() == dummy.predict(asked).tolist()
        assert each.probabilities == pytest.approx(dummy.predict_proba(asked))
        assert each.metrics()["auroc"] == 0.5
        assert each.metrics()["balanced_accuracy"] == pytest.approx(1 / len(classes))


def test_baselines_answer_what_the_system_was_asked_and_have_no_head():
    content = embeddings(head=True)
    found, k = answered(content, *drawn(content))
    assert list(k) == ["thumbnail", "histogram"] and set(k.values()) <= {1, 5}
    asked = {
        (each.model, each.split): each
        for each in predictions.of_splits(content, knn.fit(content, [5]), SPLITS)
    }
    assert {model for model, _ in found} == {"majority", "thumbnail", "histogram"}
    for (_, split), each in found.items():
        assert each.rows.tolist() == asked["knn", split].rows.tolist()
        assert each.labels.tolist() == asked["knn", split].labels.tolist()


def test_a_class_of_another_brightness_is_known_by_either_and_by_the_image_s_own_row():
    content = embeddings(noise=9)
    found, _ = answered(content, *drawn(content))
    assert found["thumbnail", "test"].metrics()["accuracy"] == 1
    assert found["histogram", "test"].metrics()["accuracy"] == 1
    found, _ = answered(content, *drawn(content, shade=0))
    assert found["thumbnail", "test"].metrics()["accuracy"] < 0.7


def test_thumbnails_are_asked_as_scikit_learn_would():
    content = embeddings()
    pixels, stored = drawn(content, shade=3)
    found, _ = answered(content, pixels, stored, candidates=[5])
    vectors = baselines.features(pixels, stored.tolist())[0]
    train, test = content.rows("train"), content.rows("test")
    oracle = KNeighborsClassifier(
        len(train),
        weights=lambda near: np.exp(-((3 * near / near[:, 4:5]) ** 2) / 2),
        algorithm="brute",
    ).fit(vectors[train], content.labels[train])
    assert found["thumbnail", "test"].probabilities == pytest.approx(
        oracle.predict_proba(vectors[test]), abs=1e-5
    )


def test_a_baseline_chooses_its_own_k_and_threshold_on_val():
    content = embeddings(classes=("ant", "bee"), positive="bee", noise=9)
    pixels, stored = drawn(content, shade=6)
    found, k = answered(content, pixels, stored, candidates=[1, 3, 9], sensitivity=0.9)
    val = found["thumbnail", "val"]
    assert val.metrics()["sensitivity"] >= 0.9
    assert val.thresholds[0] == found["thumbnail", "test"].thresholds[0]
    single = {n: answered(content, pixels, stored, candidates=[n])[0]["thumbnail", "val"] for n in (1, 3, 9)}
    best = {n: each.metrics()["balanced_accuracy"] for n, each in single.items()}
    assert best[k["thumbnail"]] == max(best.values())
