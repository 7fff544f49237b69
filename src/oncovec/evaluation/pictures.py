"""The picture of queries and their neighbours: choice of the queries, and drawing."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from oncovec.core.palette import GREEN, GREY, RED
from oncovec.core.sheets import Pixels, grid
from oncovec.data import index
from oncovec.metrics.classification import Ints

if TYPE_CHECKING:
    from oncovec.data.embeddings import Embeddings
    from oncovec.evaluation.gallery import Gallery
    from oncovec.evaluation.predictions import PredictionOutput


def queries(output: "PredictionOutput", count: int, seed: int) -> Ints:
    """Choose `count` positions in an output: wrong predictions first, up to half of `count` (rounded up)."""
    generator = np.random.default_rng(seed)
    right = np.flatnonzero(output.labels == output.predicted)
    wrong = np.flatnonzero(output.labels != output.predicted)
    n_wrong = min(len(wrong), max((count + 1) // 2, count - len(right)))
    n_right = min(len(right), count - n_wrong)
    return np.concatenate(
        [
            np.sort(generator.choice(wrong, n_wrong, replace=False)),
            np.sort(generator.choice(right, n_right, replace=False)),
        ]
    ).astype(np.int64)


def neighbours(
    pixels: Pixels,
    table: pd.DataFrame,
    embeddings: "Embeddings",
    gallery: "Gallery",
    output: "PredictionOutput",
    positions: Ints,
    most: int = 8,
) -> Figure:
    """Show one row per query with its nearest gallery images: green if the label agrees, else red.

    Args:
        pixels: (N, H, W, 3); may be memory-mapped.
        table: the dataset's index, in the order of `pixels`.
        embeddings: embeddings of the system.
        gallery: gallery of the system.
        output: predictions of KNN for the split of the queries.
        positions: positions of the queries in `output`.
        most: largest number of neighbours to show.
    """
    rows = output.rows[positions]
    distances, found = gallery.neighbours(embeddings.vectors[rows], min(gallery.k, most))
    names = embeddings.classes
    stored_queries = index.rows_of(table, embeddings.images[rows])
    stored_gallery = index.rows_of(table, gallery.images)
    shown: list[Pixels] = []
    captions: list[str] = []
    borders: list[str | None] = []
    for number, position in enumerate(positions.tolist()):
        label, predicted = int(output.labels[position]), int(output.predicted[position])
        shown.append(pixels[stored_queries[number]])
        captions.append(f"{names[label]}\npredicted {names[predicted]}")
        borders.append(GREY)
        for distance, row in zip(distances[number].tolist(), found[number].tolist(), strict=True):
            shown.append(pixels[stored_gallery[row]])
            captions.append(f"{names[gallery.labels[row]]}\n{distance:.3f}")
            borders.append(GREEN if gallery.labels[row] == label else RED)
    return grid(shown, captions, 1 + distances.shape[1], cell=112, borders=borders)
