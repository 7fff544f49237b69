"""The picture of heat maps: what a system looked at when it was wrong, and when it was right."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.core.sheets import (
    EMPTY,
    NEUTRAL,
    PREDICTION,
    RIGHT,
    WRONG,
    Frame,
    Pixels,
    grid,
    overlaid,
    prediction_captions,
)
from oncovec.data import embeddings, index, prepare
from oncovec.data.embeddings import Embeddings
from oncovec.learning import systems
from oncovec.learning.heatmap import NoMapsError, directions, heat_maps
from oncovec.learning.images import Images
from oncovec.metrics.classification import Ints

CELL = 112
"""Side of an image, in px."""

EACH, SIDE_BY_SIDE = 3, 2
"""Cells of a prediction (the image, and two maps at most), and predictions in a row of the picture."""

TITLE = (
    "Where an image is similar to the nearest training images of a class, and unlike those of other classes. "
    "Dashed orange, ✗: the most confident wrong predictions, with maps for both classes. "
    "Solid green, ✓: right predictions, drawn at random."
)


class Explained(NamedTuple):
    """Predictions and their heat maps.

    Attributes:
        predictions: n rows, as `evaluate` wrote them.
        pixels: (n, H, W, 3) their images.
        rows: (m,) the row of `predictions` that each map belongs to, ascending.
        classes: the m classes that the maps explain, the predicted one of a row first.
        maps: (m, H, W) in 0..1.
    """

    predictions: pd.DataFrame
    pixels: Pixels
    rows: Ints
    classes: Sequence[str]
    maps: NDArray[np.float32]


def draw(name: str, device: torch.device) -> Figure:
    """Draw the picture of a system; of a backbone without maps, a line that says so.

    Raises:
        OncovecError: if a file of the system is missing or damaged, or they do not belong together.
    """
    try:
        return sheet(explain(name, device))
    except NoMapsError as error:
        return grid([], [], SIDE_BY_SIDE * EACH, CELL, title=str(error))


def explain(name: str, device: torch.device) -> Explained:
    """Compute the heat maps of the predictions that `evaluate` chose for pictures of a system.

    Raises:
        OncovecError: see `draw`; `NoMapsError` if the backbone has no layer with maps.
    """
    network, facts = systems.load_system(CheckoutParts(name, Path()), device)
    known = embeddings.read(paths.embeddings(name))
    if known.weights != facts["sha256"]:
        raise OncovecError(
            f"{paths.embeddings(name)}: made by other weights than {paths.weights(name)}; run `dvc repro`"
        )
    predictions = tables.read(paths.queries(name), PREDICTION)
    stored = index.rows_of(index.read(paths.index(known.dataset)), predictions["image"])
    pixels = np.asarray(prepare.open_prepared(known.dataset)[stored])
    rows, classes = _asked(predictions)
    images = Images(pixels[rows], device, facts["input_size"], systems.preprocessing_of(facts))
    towards = _directions(known, predictions["image"].iloc[rows], classes)
    return Explained(predictions, pixels, rows, classes, heat_maps(network, images, towards, known.tta))


def _asked(predictions: pd.DataFrame) -> tuple[Ints, list[str]]:
    """Return the row of each map and the class that it explains."""
    asked = [
        (row, name)
        for row, each in enumerate(predictions.itertuples(index=False))
        for name in dict.fromkeys((str(each.predicted), str(each.label)))
    ]
    return np.array([row for row, _ in asked], np.int64), [name for _, name in asked]


def _directions(known: Embeddings, images: Iterable[str], classes: Sequence[str]) -> NDArray[np.float32]:
    train, queries = known.rows("train"), pd.Index(known.images).get_indexer(list(images))
    labels = np.array([known.classes.index(name) for name in classes], np.int64)
    return directions(known.vectors[train], known.labels[train], known.vectors[queries], labels)


def sheet(explained: Explained) -> Figure:
    """Show each prediction with its heat maps."""
    shown: list[Pixels] = []
    captions: list[str] = []
    borders: list[Frame | None] = []
    for row, caption in enumerate(prediction_captions(explained.predictions)):
        own = np.flatnonzero(explained.rows == row).tolist()
        empty = EACH - 1 - len(own)
        shown += [
            explained.pixels[row],
            *(overlaid(explained.pixels[row], explained.maps[each]) for each in own),
        ]
        captions += [caption, *(f"similarity to\n{explained.classes[each]}" for each in own)]
        borders += [RIGHT if len(own) == 1 else WRONG, *[NEUTRAL] * len(own), *[None] * empty]
        shown += [EMPTY] * empty
        captions += [""] * empty
    return grid(shown, captions, SIDE_BY_SIDE * EACH, CELL, borders, title=TITLE)
