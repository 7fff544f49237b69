"""Baselines that every system must beat: the majority class, KNN on thumbnails, KNN on colour histograms."""

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
"""Side of a thumbnail, in pixels."""

BINS = 16
"""Number of bins in the histogram of each colour channel."""

Vectors = NDArray[np.float32]


def predict(
    embeddings: Embeddings,
    pixels: NDArray[np.uint8],
    stored: Ints,
    splits: Sequence[str],
    candidates: Sequence[int],
    sensitivity: float | None,
    specificity: float | None,
) -> tuple[list[PredictionOutput], dict[str, int]]:
    """Predict the same images with the baselines `majority`, `thumbnail` and `histogram`.

    `thumbnail` and `histogram` are KNN with the train split as gallery. k and thresholds are chosen on val,
    as for the embedding.

    Args:
        embeddings: embeddings of the system, of all splits; their vectors are not read.
        pixels: (N, H, W, 3); may be memory-mapped.
        stored: (N,) row in `pixels` of each image of the embeddings.
        splits: splits to evaluate.
        candidates: values of k; see `knn.fit`.
        sensitivity: see `knn.fit`.
        specificity: see `knn.fit`.

    Returns:
        One output per split and baseline, named by `model`, and the k of each baseline that has one.
    """
    found, chosen = majority(embeddings, splits), {}
    for name, vectors in zip(("thumbnail", "histogram"), features(pixels, stored.tolist()), strict=True):
        seen = replace(embeddings, vectors=vectors, head=None, ood_features=None)
        gallery = knn.fit(seen, candidates, sensitivity, specificity)
        found += [replace(each, model=name) for each in of_splits(seen, gallery, splits)]
        chosen[name] = gallery.k
    return found, chosen


def majority(embeddings: Embeddings, splits: Sequence[str]) -> list[PredictionOutput]:
    """Predict the class shares of train, and so its largest class, for every image."""
    train = np.bincount(embeddings.labels[embeddings.rows("train")], minlength=len(embeddings.classes))
    found = []
    for split in splits:
        rows = embeddings.evaluated(split)
        found.append(
            PredictionOutput(
                split=split,
                model="majority",
                classes=embeddings.classes,
                rows=rows,
                labels=embeddings.labels[rows],
                probabilities=np.tile(train / train.sum(), (len(rows), 1)),
                predicted=np.full(len(rows), train.argmax(), np.int64),
                positive_index=embeddings.positive_index,
                thresholds=None,
            )
        )
    return found


def features(pixels: NDArray[np.uint8], rows: Sequence[int]) -> tuple[Vectors, Vectors]:
    """Return thumbnails and colour histograms of some rows of a prepared array, read image by image.

    A thumbnail is the image at 8x8, in [0, 1]; each pixel is the mean of its area: (n, 192). A histogram is
    the square root of the shares of 16 bins for each channel, scaled to length 1: (n, 48). The Euclidean
    distance of histograms is therefore the Hellinger distance.
    """
    thumbnails = np.zeros((len(rows), 3 * SIDE * SIDE), np.float32)
    histograms = np.zeros((len(rows), 3 * BINS), np.float32)
    # In the order of the file, so that the disk is read from start to end.
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
