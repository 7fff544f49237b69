"""The measurement in benchmarks/distortions.py, whose table stands in docs/flagships.md."""

import csv

import distortions
import numpy as np
import pytest


@pytest.fixture(scope="module")
def image():
    """A colour gradient with a little texture, (64, 64, 3) uint8."""
    x, y = np.meshgrid(np.linspace(60, 190, 64), np.linspace(60, 190, 64))
    texture = 8 * (np.indices((64, 64)).sum(0) % 4)
    return np.stack([x + texture, y, (x + y) / 2], axis=2).astype(np.uint8)


def test_each_distortion_but_none_changes_an_image_and_keeps_its_shape(image):
    before = image.copy()
    for name, distort in distortions.DISTORTIONS.items():
        found = distort(image)
        assert (found.shape, found.dtype) == (image.shape, np.uint8), name
        assert np.array_equal(found, image) == (name == "none"), name
        assert np.array_equal(distort(image), found), name
    assert np.array_equal(image, before)


def test_distortions_do_what_they_say(image):
    make = distortions.DISTORTIONS
    assert make["gamma 0.65"](image).mean() > image.mean() > make["gamma 1.5"](image).mean()
    assert make["contrast 0.6"](image).std() < image.std() < make["contrast 1.5"](image).std()
    grain = {name: np.diff(distort(image)[:, :, 0].astype(float)).std() for name, distort in make.items()}
    assert grain["blur 1.5 px"] < grain["blur 0.8 px"] < grain["none"] < grain["sharpened"]
    assert grain["coarse"] < grain["none"] < grain["noise 3"] < grain["noise 10"]
    added = make["noise 10"](image).astype(float) - image
    assert added.std() == pytest.approx(10, abs=0.5)
    warm = make["warm"](image).mean((0, 1)) / image.mean((0, 1))
    assert warm == pytest.approx([1.15, 1, 0.8], abs=0.01)


@pytest.mark.parametrize("system", ["flagship_multi_organ", "flagship_pcam", "flagship_melanoma"])
def test_the_table_of_the_docs_is_that_of_the_csv(system, repository):
    with (repository / "benchmarks/distortions.csv").open(encoding="utf-8", newline="") as stream:
        rows = [[row[column] for column in distortions.COLUMNS] for row in csv.DictReader(stream)]
    # The columns have names of their own in the docs.
    _, *lines = distortions.table([row for row in rows if row[0] == system])
    text = (repository / "docs/flagships.md").read_text(encoding="utf-8")
    assert "\n".join(lines) in text


def test_a_mean_is_over_what_was_asked_of_all():
    asked = (("a", "none", 0.5), ("a", "warm", 0.1), ("b", "none", 0.7))
    rows = [[system, 0, "", name, "knn", "auroc", value, 9] for system, name, value in asked]
    assert distortions.table(rows)[-2:] == ["| warm | 0.100 |  |", "| mean | 0.500 | 0.700 |"]
