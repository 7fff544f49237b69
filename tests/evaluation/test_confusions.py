from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic import embeddings

from oncovec.core import sheets
from oncovec.evaluation import confusions, knn, predictions
from oncovec.evaluation.pictures import Evaluated


def output_of(pairs, classes=("ant", "bee", "cat", "dog")):
    """An output of these (label, predicted); its probabilities and rows are of no importance."""
    labels, predicted = (np.array(each, np.int64) for each in zip(*pairs, strict=True))
    probabilities = np.eye(len(classes))[predicted]
    rows = np.arange(len(labels))
    return predictions.PredictionOutput(
        "test", "knn", classes, rows, labels, probabilities, predicted, None, None
    )


def evaluated(noise):
    content = embeddings(noise=noise)
    gallery = knn.fit(content, [5])
    pixels = np.zeros((len(content.images), 8, 8, 3), np.uint8) + 7
    table = pd.DataFrame({"image": content.images})
    return Evaluated(pixels, table, content, gallery, predictions.of_splits(content, gallery, ["test"])[0])


@pytest.fixture(scope="module")
def noisy():
    return evaluated(2.5)


def test_a_small_class_that_is_missed_counts_more_than_a_large_one_with_as_many_mistakes():
    large = [(0, 0)] * 98 + [(0, 1)] * 2 + [(1, 1)] * 100
    small = [(2, 2)] * 2 + [(2, 3)] * 2 + [(3, 3)] * 100
    assert confusions.most_confused(output_of(large + small)) == [(2, 3), (0, 1)]


def test_both_directions_of_a_pair_count():
    one_way = [(0, 0), (0, 1), (1, 1), (1, 1)]
    both = [(2, 2), (2, 3), (3, 3), (3, 2)]
    assert confusions.most_confused(output_of(one_way + both)) == [(2, 3), (0, 1)]


def test_of_equal_pairs_the_one_whose_classes_come_first_is_first():
    every = [(label, predicted) for label in range(4) for predicted in range(4)]
    expected = [(0, 1), (0, 2), (0, 3), (1, 2)]
    assert confusions.most_confused(output_of(every)) == expected
    assert confusions.most_confused(output_of(every[::-1])) == expected


def test_a_class_without_images_is_confused_only_as_a_prediction():
    assert confusions.most_confused(output_of([(0, 3), (1, 1)])) == [(0, 3)]


def test_mistakes_are_those_of_the_pair_the_most_confident_first(noisy):
    for pair in confusions.pairs(noisy):
        for label, called, found in zip(pair.classes, pair.classes[::-1], pair.mistakes, strict=True):
            output = noisy.output
            assert set(found) == set(np.flatnonzero((output.labels == label) & (output.predicted == called)))
            assert (np.diff(output.probabilities[found, called]) <= 0).all()


def test_typical_images_are_right_and_the_nearest_to_the_mean_of_their_class_comes_first(noisy):
    gallery = noisy.gallery
    for pair in confusions.pairs(noisy):
        for label, found in zip(pair.classes, pair.typical, strict=True):
            assert set(found) == set(np.flatnonzero(noisy.right & (noisy.output.labels == label)))
            mean = gallery.embeddings[gallery.labels == label].mean(axis=0)
            assert (np.diff(np.linalg.norm(noisy.vectors(found) - mean, axis=1)) >= 0).all()


def pixels_of(figure, folder):
    sheets.save(figure, folder / "drawn.png")
    with Image.open(folder / "drawn.png") as image:
        return np.array(image)


def frames(pixels):
    """Which of the columns of cells have a frame of each colour, by a look at their upper edges."""
    step, found = confusions.CELL + sheets.GAP, []
    for frame in (sheets.WRONG, sheets.RIGHT):
        colour = list(bytes.fromhex(frame.colour[1:]))
        columns = np.flatnonzero((pixels == colour).all(axis=2).any(axis=0)) - sheets.GAP
        found.append(sorted(set((columns // step).tolist())))
    return found


def test_a_row_has_mistakes_of_both_classes_and_then_right_predictions_of_both(noisy, tmp_path):
    (pair,) = confusions.most_confused(noisy.output, 1)
    keep = np.flatnonzero(np.isin(noisy.output.labels, pair) & np.isin(noisy.output.predicted, pair))
    shown = replace(noisy, output=noisy.output.only(keep))
    ((_, mistakes, typical),) = confusions.pairs(shown)
    wrong = sum(min(len(each), confusions.MISTAKES) for each in mistakes)
    right = sum(min(len(each), confusions.TYPICAL) for each in typical)
    assert wrong >= 2 and right >= 2
    found = frames(pixels_of(confusions.sheet(shown), tmp_path))
    assert found == [list(range(wrong)), list(range(wrong, wrong + right))]


def test_a_system_without_mistakes_gets_a_line_that_says_so(tmp_path):
    perfect = evaluated(0.0)
    assert confusions.pairs(perfect) == []
    pixels = pixels_of(confusions.sheet(perfect), tmp_path)
    assert pixels.shape[0] < 40 and pixels.min() < 100
    assert "all 30 images are right" in confusions.sheet(perfect).texts[0].get_text()


def test_equal_predictions_give_equal_bytes(noisy, tmp_path):
    for name in ("a.png", "b.png"):
        sheets.save(confusions.sheet(noisy), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
