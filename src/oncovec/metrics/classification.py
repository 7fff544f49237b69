"""Metrics of predictions: accuracy, balanced accuracy, F1, AUROC and further metrics of binary tasks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    recall_score,
    roc_auc_score,
)

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


def predict(probabilities: Floats, threshold: float | None, positive_index: int | None) -> Ints:
    """Turn probabilities into class indices, by the threshold in a binary task, else by the likeliest class.

    Args:
        probabilities: (N, C); rows sum to 1. Among equal classes the first one is used.
        threshold: an image is positive if the probability of the positive class is at least this value.
        positive_index: column of the positive class; None if the task is not binary.
    """
    if positive_index is None or threshold is None:
        return np.asarray(probabilities.argmax(axis=1), np.int64)
    positive = probabilities[:, positive_index] >= threshold
    return np.where(positive, positive_index, 1 - positive_index).astype(np.int64)


def confusion(labels: Ints, predicted: Ints, classes: int) -> Ints:
    """Count images by actual (row) and predicted (column) class: (C, C)."""
    if not len(labels):
        return np.zeros((classes, classes), np.int64)
    return np.asarray(confusion_matrix(labels, predicted, labels=range(classes)), np.int64)


def metrics(
    labels: Ints, probabilities: Floats, predicted: Ints, positive_index: int | None
) -> dict[str, float]:
    """Compute the headline metrics, all in [0, 1]; undefined metrics are left out.

    `balanced_accuracy` is the mean recall over classes that have images. `f1_macro` is the mean F1 over
    classes that have images or predictions. `auroc` is the area for one class against the rest, averaged over
    the classes for which both kinds of images exist; in a binary task it is that of the positive class.
    Binary tasks add `average_precision`, `sensitivity` and `specificity`.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C).
        predicted: (N,) class indices.
        positive_index: column of the positive class; None if the task is not binary.
    """
    if len(labels) == 0:
        return {}
    recalls = recall(labels, predicted)
    found = {
        "accuracy": accuracy_score(labels, predicted),
        "balanced_accuracy": np.mean(list(recalls.values())),
        "f1_macro": f1_score(labels, predicted, average="macro", zero_division=0.0),
    }
    columns = range(probabilities.shape[1]) if positive_index is None else [positive_index]
    aurocs = [area for column in columns if (area := auroc(labels, probabilities, column)) is not None]
    if aurocs:
        found["auroc"] = np.mean(aurocs)
    if positive_index is not None:
        if len(recalls) == 2:
            mine = labels == positive_index
            found["average_precision"] = average_precision_score(mine, probabilities[:, positive_index])
        for name, label in (("sensitivity", positive_index), ("specificity", 1 - positive_index)):
            if label in recalls:
                found[name] = recalls[label]
    return {name: float(value) for name, value in found.items()}


def recall(labels: Ints, predicted: Ints) -> dict[int, float]:
    """Return the recall of each class that has images; their mean is the balanced accuracy."""
    if not len(labels):
        return {}
    present = np.unique(labels)
    found = recall_score(labels, predicted, labels=present, average=None)
    return dict(zip(present.tolist(), found.tolist(), strict=True))


def auroc(labels: Ints, probabilities: Floats, column: int) -> float | None:
    """Return the area under the ROC curve of one class against the rest; None if one has no image."""
    mine = labels == column
    if mine.all() or not mine.any():
        return None
    return float(roc_auc_score(mine, probabilities[:, column]))
