"""What the atlas shows of a system: its evaluated images in the plane, predictions, nearest neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.core import paths, rows, tables
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.data.embeddings import Embeddings, Floats, Ints
from oncovec.data.embeddings import read as read_embeddings
from oncovec.evaluation import plots
from oncovec.evaluation.gallery import Gallery

NEIGHBOURS = 5
"""Number of neighbours that are shown of an image."""

DIGITS = 4
"""Decimals of distances and probabilities."""


@dataclass(frozen=True)
class View:
    """The evaluated images of a system, n rows in the order of its table of predictions.

    `rows` (n,) are positions in `embeddings`. `predicted` (n,) are class indices of KNN, `probability` (n,)
    is that of the predicted class, `ood` (n,) says whether an image is out of distribution. `distances` and
    `neighbours` (n, m) are those of `Gallery.neighbours`. `planes` has (n, 2) coordinates for each method of
    `plots.scatter`.
    """

    system: str
    embeddings: Embeddings
    gallery: Gallery
    rows: Ints
    predicted: Ints
    probability: Floats
    ood: NDArray[np.bool_]
    distances: Floats
    neighbours: Ints
    planes: Mapping[str, Floats]

    @property
    def images(self) -> set[str]:
        """Images that the page names: those that are evaluated, and their neighbours."""
        near = self.gallery.images[np.unique(self.neighbours)]
        return {*self.embeddings.images[self.rows].tolist(), *near.tolist()}


def read(system: str, seed: int) -> View:
    """Read a system's embeddings, gallery and predictions, and place the evaluated images in the plane.

    Args:
        system: a row of `systems:`.
        seed: random seed of t-SNE.

    Raises:
        OncovecError: if the system is unknown, or a file is missing, damaged or does not belong to another.
    """
    rows.refuse_unknown(system)
    embeddings, gallery = read_embeddings(paths.embeddings(system)), Gallery.load(CheckoutParts(system))
    table = tables.read(paths.predictions(system), ("image", "split", "label", "predicted"))
    if gallery.weights != embeddings.weights or gallery.classes != embeddings.classes:
        raise _stale(system, str(paths.gallery(system)))
    shown, predicted, probability = _evaluated(system, embeddings, table)
    vectors = embeddings.vectors[shown]
    distances, neighbours = gallery.neighbours(vectors, NEIGHBOURS)
    ood = gallery.is_ood(embeddings.ood_vectors[shown], predicted)
    places = _planes(embeddings, shown, list(dict.fromkeys(table["split"])), seed)
    return View(
        system, embeddings, gallery, shown, predicted, probability, ood, distances, neighbours, places
    )


def _evaluated(system: str, embeddings: Embeddings, table: pd.DataFrame) -> tuple[Ints, Ints, Floats]:
    """Return the rows, predicted classes and their probabilities (n,) of a table of predictions."""
    classes = np.array(embeddings.classes)
    found = pd.Index(embeddings.images).get_indexer(table["image"])
    predicted = pd.Index(classes).get_indexer(table["predicted"])
    columns = [f"p_{name}" for name in embeddings.classes]
    if (
        (found < 0).any()
        or (predicted < 0).any()
        or not set(columns) <= set(table)
        or not np.array_equal(classes[embeddings.labels[found]], table["label"])
        or not np.array_equal(embeddings.splits[found], table["split"])
    ):
        raise _stale(system, str(paths.predictions(system)))
    try:
        probabilities = table[columns].astype(float).to_numpy()
    except ValueError as error:
        raise OncovecError(
            f"{paths.predictions(system)}: {error}; run `dvc repro evaluate@{system}`"
        ) from None
    return found.astype(np.int64), predicted, probabilities[np.arange(len(table)), predicted]


def _stale(system: str, path: str) -> OncovecError:
    return OncovecError(
        f"{path}: does not belong to {paths.embeddings(system)}; run `dvc repro evaluate@{system}`"
    )


def _planes(embeddings: Embeddings, shown: Ints, splits: Sequence[str], seed: int) -> dict[str, Floats]:
    """Return (n, 2) coordinates of `shown` for each method; all images of `splits` take part in t-SNE."""
    everyone = np.sort(np.concatenate([embeddings.rows(split) for split in splits]))
    table = plots.scatter(embeddings, splits, len(everyone), seed)
    places = np.searchsorted(everyone, shown)
    return {
        str(method): part[["x", "y"]].to_numpy(np.float64)[places]
        for method, part in table.groupby("method", sort=False)
    }


def content(view: View, number: Mapping[str, int]) -> dict[str, Any]:
    """Return what the page needs of a system as plain lists, one value per image.

    Args:
        view: the system.
        number: position of each image in the page's list of images of the dataset.
    """
    embeddings, gallery = view.embeddings, view.gallery
    splits = list(dict.fromkeys(embeddings.splits[view.rows].tolist()))
    return {
        "name": view.system,
        "task": embeddings.task,
        "dataset": embeddings.dataset,
        "source": embeddings.source,
        "classes": list(embeddings.classes),
        "splits": splits,
        "k": gallery.k,
        "gallery": len(gallery.labels),
        "image": [number[name] for name in embeddings.images[view.rows].tolist()],
        "split": [splits.index(name) for name in embeddings.splits[view.rows].tolist()],
        "label": embeddings.labels[view.rows].tolist(),
        "predicted": view.predicted.tolist(),
        "probability": view.probability.round(DIGITS).tolist(),
        "ood": view.ood.astype(int).tolist(),
        "distances": view.distances.round(DIGITS).tolist(),
        "neighbours": [[number[name] for name in row] for row in gallery.images[view.neighbours].tolist()],
        "neighbour_labels": gallery.labels[view.neighbours].tolist(),
        "planes": {method: plane.T.tolist() for method, plane in view.planes.items()},
    }
