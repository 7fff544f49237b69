"""What a rare class needs: sensitivity at a fixed specificity, and which classes are never predicted."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oncovec.ranking import SPECIFICITIES, Ranking, at

if TYPE_CHECKING:
    from oncovec.evaluation import Judgement

Floats = NDArray[np.floating[Any]]


def sensitivities(is_positive: NDArray[np.bool_], probability: Floats) -> dict[str, float]:
    """Find the best sensitivity of any threshold on these images that keeps each of `SPECIFICITIES`.

    See `Ranking.figures`. The threshold is looked for on the images themselves; `sensitivity` is that of the
    one chosen on val.

    Args:
        is_positive: (N,).
        probability: (N,) of the positive class.

    Returns:
        A value in [0, 1] a specificity; nothing unless there are positives and negatives.
    """
    if is_positive.all() or not is_positive.any():
        return {}
    found = Ranking(probability, is_positive).of_images()
    return {at(specificity): found[at(specificity)] for specificity in SPECIFICITIES}


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
