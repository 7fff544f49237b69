"""The picture of queries and their neighbours: choice of the queries, and drawing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from oncovec.core.sheets import PREDICTION, RIGHT, WRONG, Frame, Pixels, grid, prediction_captions
from oncovec.data import index
from oncovec.metrics.classification import Floats, Ints

if TYPE_CHECKING:
    from oncovec.data.embeddings import Embeddings
    from oncovec.evaluation.gallery import Gallery
    from oncovec.evaluation.predictions import PredictionOutput

MOST = 8
"""Number of gallery images beside a query, if there are as many."""

CELL = 112
"""Side of an image, in px."""


@dataclass(frozen=True)
class Evaluated:
    """What the pictures of a system show: the images of a split, and their predictions.

    A position is one in `output`.

    Attributes:
        pixels: (N, H, W, 3); may be memory-mapped.
        table: the dataset's index, in the order of `pixels`.
        embeddings: embeddings of the system.
        gallery: gallery of the system.
        output: predictions of KNN for the split.
    """

    pixels: Pixels
    table: pd.DataFrame
    embeddings: "Embeddings"
    gallery: "Gallery"
    output: "PredictionOutput"

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each prediction is right: (n,)."""
        return np.equal(self.output.labels, self.output.predicted)

    def vectors(self, positions: Ints) -> NDArray[np.float32]:
        """Return the embeddings of images."""
        return self.embeddings.vectors[self.output.rows[positions]]

    def confidences(self, positions: Ints) -> Floats:
        """Return the probability of the predicted class: its share of the votes, which are not calibrated."""
        return self.output.probabilities[positions, self.output.predicted[positions]]

    def most_confident(self, positions: Ints) -> Ints:
        """Sort positions, the most confident prediction first; of equal ones, the nearest to the gallery."""
        distances, _ = self.gallery.neighbours(self.vectors(positions), 1)
        return positions[np.lexsort((positions, distances[:, 0], -self.confidences(positions)))]

    def predictions(self, positions: Ints) -> pd.DataFrame:
        """Return the table of predictions of images, with the columns `PREDICTION`."""
        rows, output, names = self.output.rows[positions], self.output, np.array(self.embeddings.classes)
        predicted = output.predicted[positions]
        columns = (
            *(self.embeddings.images[rows], names[output.labels[positions]], names[predicted]),
            self.confidences(positions),
            self.gallery.ood_score(self.embeddings.ood_vectors[rows], predicted),
        )
        return pd.DataFrame(dict(zip(PREDICTION, columns, strict=True)))

    def shown(self, positions: Ints) -> list[Pixels]:
        """Return the images."""
        rows = index.rows_of(self.table, self.embeddings.images[self.output.rows[positions]])
        return [self.pixels[row] for row in rows.tolist()]


def queries(evaluated: Evaluated, count: int, seed: int) -> Ints:
    """Choose `count` positions: the most confident mistakes, then right predictions drawn at random.

    Mistakes are up to half of `count` (rounded up), and more if there are too few right predictions.
    """
    right, wrong = np.flatnonzero(evaluated.right), np.flatnonzero(~evaluated.right)
    n_wrong = min(len(wrong), max((count + 1) // 2, count - len(right)))
    n_right = min(len(right), count - n_wrong)
    drawn = np.random.default_rng(seed).choice(right, n_right, replace=False)
    return np.concatenate([evaluated.most_confident(wrong)[:n_wrong], np.sort(drawn)]).astype(np.int64)


def neighbours(evaluated: Evaluated, positions: Ints, most: int = MOST) -> Figure:
    """Show one row per query with its nearest gallery images, their classes and distances.

    Args:
        evaluated: the split.
        positions: positions of the queries.
        most: largest number of neighbours to show.
    """
    gallery = evaluated.gallery
    distances, found = gallery.neighbours(evaluated.vectors(positions), min(most, len(gallery.labels)))
    stored = index.rows_of(evaluated.table, gallery.images)
    images = iter(evaluated.shown(positions))
    shown: list[Pixels] = []
    captions: list[str] = []
    borders: list[Frame | None] = []
    for number, told in enumerate(prediction_captions(evaluated.predictions(positions))):
        label = evaluated.output.labels[positions[number]]
        shown.append(next(images))
        captions.append(told)
        borders.append(RIGHT if evaluated.right[positions[number]] else WRONG)
        for distance, row in zip(distances[number].tolist(), found[number].tolist(), strict=True):
            same, name = gallery.labels[row] == label, gallery.classes[gallery.labels[row]]
            shown.append(evaluated.pixels[stored[row]])
            captions.append(f"{'✓' if same else '✗'} {name}\n{distance:.3f}")
            borders.append(RIGHT if same else WRONG)
    return grid(shown, captions, 1 + distances.shape[1], CELL, borders, title=_title(evaluated, positions))


def _title(evaluated: Evaluated, positions: Ints) -> str:
    right = evaluated.right
    n_right = int(right[positions].sum())
    return (
        f"{evaluated.output.split}: the {len(positions) - n_right} most confident of {(~right).sum()} wrong "
        f"predictions, then {n_right} of {right.sum()} right ones, drawn at random. Below each: its class, "
        "the prediction, its share of the votes, the OOD score (above 1: out of distribution). Beside it: "
        "the nearest training images, their classes and distances. "
        "Solid green, ✓: right, or the class of the query. Dashed orange, ✗: wrong, or another class."
    )
