"""Metrics of predictions: accuracy, balanced accuracy, F1, AUROC and what binary tasks add."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.metrics.ranking import Ranking

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


def predict(probabilities: Floats, threshold: float | None, positive_index: int | None) -> Ints:
    """Turn probabilities into class indices: by the threshold in a binary task, else the likeliest class.

    Args:
        probabilities: (N, C), rows sum to 1; of equal classes the first is taken.
        threshold: positive where the positive class's probability is at least this.
        positive_index: column of the positive class; None where the task is not binary.
    """
    if positive_index is None or threshold is None:
        return np.asarray(probabilities.argmax(axis=1), np.int64)
    positive = probabilities[:, positive_index] >= threshold
    return np.where(positive, positive_index, 1 - positive_index).astype(np.int64)


def confusion(labels: Ints, predicted: Ints, classes: int) -> Ints:
    """Count images by actual (row) and predicted (column) class: (C, C)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def metrics(
    labels: Ints, probabilities: Floats, predicted: Ints, positive_index: int | None
) -> dict[str, float]:
    """Compute the headline metrics, all in [0, 1]; what is undefined is left out.

    `balanced_accuracy` is the mean recall over classes that have images, `f1_macro` the mean F1 over classes
    that have images or predictions, `auroc` one against the rest, averaged over the classes for which both
    kinds of image exist (in a binary task: the positive class's). Binary tasks add `average_precision`,
    `sensitivity` and `specificity`.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C).
        predicted: (N,) class indices.
        positive_index: column of the positive class; None where the task is not binary.
    """
    if len(labels) == 0:
        return {}
    n_classes = probabilities.shape[1]
    counts = confusion(labels, predicted, n_classes)
    hits, actual, claimed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    present, named = actual > 0, actual + claimed > 0
    metrics = {
        "accuracy": float(hits.sum() / len(labels)),
        "balanced_accuracy": float(np.mean(hits[present] / actual[present])),
        "f1_macro": float(np.mean(2 * hits[named] / (actual + claimed)[named])),
    }
    columns = range(n_classes) if positive_index is None else [positive_index]
    aurocs = [area for column in columns if (area := auroc(labels, probabilities, column)) is not None]
    if aurocs:
        metrics["auroc"] = float(np.mean(aurocs))
    if positive_index is not None:
        metrics |= _binary(labels, probabilities[:, positive_index], counts, positive_index)
    return metrics


def _binary(labels: Ints, probability: Floats, counts: Ints, positive: int) -> dict[str, float]:
    metrics: dict[str, float] = {}
    actual = counts.sum(axis=1)
    if actual.all():
        ranking = Ranking(probability, labels == positive)
        metrics["average_precision"] = ranking.of_images()["average_precision"]
    if actual[positive]:
        metrics["sensitivity"] = float(counts[positive, positive] / actual[positive])
    if actual[1 - positive]:
        metrics["specificity"] = float(counts[1 - positive, 1 - positive] / actual[1 - positive])
    return metrics


def auroc(labels: Ints, probabilities: Floats, column: int) -> float | None:
    """Area under the ROC curve of one class against the rest; None unless both kinds have images."""
    mine = labels == column
    if mine.all() or not mine.any():
        return None
    return Ranking(probabilities[:, column], mine).of_images()["auroc"]
