"""What a rare class needs: sensitivity at a fixed specificity, and which classes are never predicted."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from oncovec.evaluation import Judgement

Floats = NDArray[np.floating[Any]]

SPECIFICITIES = (80, 95)
"""Least specificities at which sensitivity is reported, in percent: integers compare exactly."""


def name(specificity: int) -> str:
    """Name of the figure, as in `sensitivity_at_95_specificity`."""
    return f"sensitivity_at_{specificity}_specificity"


def sensitivities(is_positive: NDArray[np.bool_], probability: Floats) -> dict[str, float]:
    """Find the best sensitivity of any threshold on these images that keeps each of `SPECIFICITIES`.

    A point of the ROC curve, never one between two: images of equal probability lie on the same side of a
    threshold. So a model that gives all images one probability reaches 0, and so does one that ranks too many
    negatives first. The threshold is looked for on the images themselves; `sensitivity` is that of the one
    chosen on val.

    Args:
        is_positive: (N,).
        probability: (N,) of the positive class.

    Returns:
        A value in [0, 1] a specificity; nothing unless there are positives and negatives.
    """
    n_positive = int(is_positive.sum())
    n_negative = len(is_positive) - n_positive
    if not n_positive or not n_negative:
        return {}
    thresholds = np.unique(probability)
    hits = n_positive - np.searchsorted(np.sort(probability[is_positive]), thresholds)
    false = n_negative - np.searchsorted(np.sort(probability[~is_positive]), thresholds)
    found = {}
    for specificity in SPECIFICITIES:
        kept = 100 * false <= (100 - specificity) * n_negative
        found[name(specificity)] = float(hits[kept].max(initial=0) / n_positive)
    return found


def never_predicted(judgement: "Judgement") -> str | None:
    """Say which classes that have images are never predicted, in one line; None where all of them are.

    Such a model may have a high accuracy, if those classes are rare.
    """
    n_classes = len(judgement.classes)
    actual = np.bincount(judgement.labels, minlength=n_classes)
    claimed = np.bincount(judgement.predicted, minlength=n_classes)
    missed = np.flatnonzero((actual > 0) & (claimed == 0)).tolist()
    if not missed:
        return None
    named = ", ".join(f"{judgement.classes[index]} (all {actual[index]} missed)" for index in missed)
    model = "KNN" if judgement.model == "knn" else judgement.model
    return f"{model} never predicts on {judgement.side}: {named}, of {len(judgement.labels)} images"
