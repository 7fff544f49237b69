"""The picture of the classes that are confused most, side by side."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from oncovec.core.sheets import EMPTY, RIGHT, WRONG, grid, prediction_captions
from oncovec.evaluation.pictures import CELL, Evaluated
from oncovec.evaluation.predictions import PredictionOutput
from oncovec.metrics.classification import Ints

PAIRS, MISTAKES, TYPICAL = 4, 3, 2
"""Largest number of pairs of classes, and of a pair the number of images per class: wrong and right ones."""

COLUMNS = 2 * (MISTAKES + TYPICAL)


class Pair(NamedTuple):
    """Two classes (indices, the first one lower), and the positions of the images of each.

    `mistakes` are called the other class, the most confident first. `typical` are right, the nearest to the
    mean of their class in the gallery first.
    """

    classes: tuple[int, int]
    mistakes: tuple[Ints, Ints]
    typical: tuple[Ints, Ints]


def most_confused(output: PredictionOutput, most: int = PAIRS) -> list[tuple[int, int]]:
    """Choose the pairs of classes with the most confusions, the most confused first.

    Confusions of a pair are the share of the one class that is called the other, plus the share of the other
    that is called the one. Among equal pairs, the one whose classes come first is first.
    """
    rates = confusion_matrix(
        output.labels, output.predicted, labels=range(len(output.classes)), normalize="true"
    )
    one, other = np.triu_indices(len(rates), 1)
    confusions = (rates + rates.T)[one, other].round(12)
    order = np.argsort(-confusions, kind="stable")[:most]
    return [(int(one[pair]), int(other[pair])) for pair in order if confusions[pair] > 0]


def pairs(evaluated: Evaluated) -> list[Pair]:
    """Choose the images of the pairs that are confused most."""
    return [_pair(evaluated, one, other) for one, other in most_confused(evaluated.output)]


def _pair(evaluated: Evaluated, one: int, other: int) -> Pair:
    return Pair(
        (one, other),
        (_mistakes(evaluated, one, other), _mistakes(evaluated, other, one)),
        (_typical(evaluated, one), _typical(evaluated, other)),
    )


def _mistakes(evaluated: Evaluated, label: int, predicted: int) -> Ints:
    output = evaluated.output
    found = np.flatnonzero((output.labels == label) & (output.predicted == predicted))
    return evaluated.most_confident(found)


def _typical(evaluated: Evaluated, label: int) -> Ints:
    gallery = evaluated.gallery
    right = np.flatnonzero(evaluated.right & (evaluated.output.labels == label))
    mean = gallery.embeddings[gallery.labels == label].mean(axis=0)
    distances = np.linalg.norm(evaluated.vectors(right) - mean, axis=1)
    return right[np.argsort(distances, kind="stable")]


def sheet(evaluated: Evaluated) -> Figure:
    """Draw a row per pair: mistakes of the one class, of the other, then right predictions of both."""
    found = pairs(evaluated)
    rows = [_row(pair) for pair in found]
    cells = [cell for row in rows for cell in (*row, *[None] * (COLUMNS - len(row)))]
    shown = np.array([cell for row in rows for cell in row], np.int64)
    images = iter(evaluated.shown(shown))
    captions = iter(prediction_captions(evaluated.predictions(shown)))
    return grid(
        [EMPTY if cell is None else next(images) for cell in cells],
        ["" if cell is None else next(captions) for cell in cells],
        COLUMNS,
        CELL,
        [None if cell is None else RIGHT if evaluated.right[cell] else WRONG for cell in cells],
        [_row_title(evaluated.output, pair) for pair in found],
        _title(evaluated.output, len(found)),
    )


def _row(pair: Pair) -> list[int]:
    wrong = [position for each in pair.mistakes for position in each[:MISTAKES].tolist()]
    right = [position for each in pair.typical for position in each[:TYPICAL].tolist()]
    return wrong + right


def _row_title(output: PredictionOutput, pair: Pair) -> str:
    one, other = (output.classes[each] for each in pair.classes)
    told = [
        f"{len(wrong)} of {(output.labels == label).sum()} {name} called {called}, {len(right)} right"
        for label, wrong, right, name, called in zip(
            pair.classes, pair.mistakes, pair.typical, (one, other), (other, one), strict=True
        )
    ]
    return "; ".join(told)


def _title(output: PredictionOutput, count: int) -> str:
    if not count:
        return f"{output.split}: no class is confused with another; all {len(output.labels)} images are right"
    return (
        f"{output.split}: the pairs of classes that are confused most. Dashed orange, ✗: mistakes of the one "
        "class, then of the other, the most confident first. Solid green, ✓: right predictions of both, the "
        "nearest to the mean of the training images of their class first."
    )
