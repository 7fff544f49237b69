"""Baselines that any system must beat: the majority class, and KNN on thumbnails and on colour histograms."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oncovec.data.embeddings import Embeddings, Ints
from oncovec.evaluation import knn
from oncovec.evaluation.predictions import PredictionOutput, of_splits

SIDE = 8
"""Side of a thumbnail, pixels."""

BINS = 16
"""Bins of each colour channel's histogram."""

Vectors = NDArray[np.float32]


def predict(
    embeddings: Embeddings,
    pixels: NDArray[np.uint8],
    stored: Ints,
    splits: Sequence[str],
    candidates: Sequence[int],
    sensitivity: float | None,
) -> tuple[list[PredictionOutput], dict[str, int]]:
    """Let the baselines `majority`, `thumbnail` and `histogram` answer what the system was asked.

    The two that look at images are KNN with the train split as gallery, k and threshold chosen on val, as for
    the embedding.

    Args:
        embeddings: the system's, of all splits; its vectors are not read.
        pixels: (N, H, W, 3), may be memory-mapped.
        stored: (N,) row in `pixels` of each image of the embeddings.
        splits: those to judge.
        candidates: values of k, see `knn.fit`.
        sensitivity: see `knn.fit`.

    Returns:
        A output a split and baseline, named by `model`, and the k of those that have one.
    """
    found, chosen = majority(embeddings, splits), {}
    for name, vectors in zip(("thumbnail", "histogram"), features(pixels, stored.tolist()), strict=True):
        seen = replace(embeddings, vectors=vectors, head=None, ood_features=None)
        gallery = knn.fit(seen, candidates, sensitivity)
        found += [replace(each, model=name) for each in of_splits(seen, gallery, splits)]
        chosen[name] = gallery.k
    return found, chosen


def majority(embeddings: Embeddings, splits: Sequence[str]) -> list[PredictionOutput]:
    """Answer with train's shares of the classes, whatever the image, and so with its largest class."""
    train = np.bincount(embeddings.labels[embeddings.rows("train")], minlength=len(embeddings.classes))
    found = []
    for split in splits:
        rows = embeddings.rows(split)
        found.append(
            PredictionOutput(
                split=split,
                model="majority",
                classes=embeddings.classes,
                rows=rows,
                labels=embeddings.labels[rows],
                probabilities=np.tile(train / train.sum(), (len(rows), 1)),
                predicted=np.full(len(rows), train.argmax(), np.int64),
                positive=embeddings.positive_index,
                threshold=None,
            )
        )
    return found


def features(pixels: NDArray[np.uint8], rows: Sequence[int]) -> tuple[Vectors, Vectors]:
    """Return thumbnails and colour histograms of some rows of a prepared array, read image by image.

    A thumbnail is the image at 8x8, each pixel the mean of its area, in [0, 1]: (n, 192). A histogram is the
    root of each channel's shares of 16 bins, scaled to length 1, so that Euclidean distance is Hellinger's:
    (n, 48).
    """
    thumbnails = np.zeros((len(rows), 3 * SIDE * SIDE), np.float32)
    histograms = np.zeros((len(rows), 3 * BINS), np.float32)
    # In the file's order, so that a disk is read from front to back.
    for position in np.argsort(rows, kind="stable").tolist():
        image = Image.fromarray(np.ascontiguousarray(pixels[rows[position]]))
        thumbnails[position] = _thumbnail(image)
        histograms[position] = _histogram(image)
    return thumbnails, histograms


def _thumbnail(image: Image.Image) -> NDArray[Any]:
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32).ravel() / 255


def _histogram(image: Image.Image) -> NDArray[Any]:
    counts = np.array(image.histogram()).reshape(3 * BINS, -1).sum(axis=1)
    return np.asarray(np.sqrt(counts / counts.sum()))
