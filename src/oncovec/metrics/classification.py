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


def predict(probabilities: Floats, thresholds: Floats | None = None) -> Ints:
    """Turn probabilities into class indices.

    Without thresholds the likeliest class is predicted. A class with a threshold is normal, one without
    disease; in a binary task it is the negative class. The likeliest normal class is predicted if the
    probability of disease (`disease`) is below its threshold, else the likeliest class with disease.

    Args:
        probabilities: (N, C); rows sum to 1. Among equal classes the first one is used.
        thresholds: (C,); NaN for classes with disease. None is the same as NaN for all classes.
    """
    if thresholds is None or np.isnan(thresholds).all():
        return np.asarray(probabilities.argmax(axis=1), np.int64)
    normal = ~np.isnan(thresholds)
    against, of_disease = disease(probabilities, normal)
    with_disease = np.where(normal, -1, probabilities).argmax(axis=1)
    return np.asarray(np.where(of_disease < thresholds[against], against, with_disease), np.int64)


def disease(probabilities: Floats, normal: NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """Compute the probability of all classes with disease, as a share of theirs and that of one normal class.

    Args:
        probabilities: (N, C); rows sum to 1.
        normal: (C,) whether a class is without disease; at least one is.

    Returns:
        The likeliest normal class of each image (N,), and the probability of disease against it (N,), in
        [0, 1].
    """
    against = np.where(normal, probabilities, -1).argmax(axis=1)
    of_disease = probabilities[:, ~normal].sum(axis=1)
    both = of_disease + probabilities[np.arange(len(probabilities)), against]
    return against, of_disease / both


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
