"""Metrics of the ranking of images by one class's probability: areas under curves and sensitivities.

scikit-learn computes these metrics for one set of weights. Here, one sort is enough for all replicates of a
bootstrap.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


SPECIFICITIES = (80, 95)
"""Least specificities at which sensitivity is reported, in percent; integers compare exactly."""


def at(specificity: int) -> str:
    """Return the name of a metric, as in `sensitivity_at_95_specificity`."""
    return f"sensitivity_at_{specificity}_specificity"


class Ranking:
    """Images of one class and all others, each in descending order of the class's probability.

    The images are sorted once for all replicates of a bootstrap. The weight of the images above an image is
    then a cumulative sum.
    """

    def __init__(self, probability: Floats, mine: NDArray[np.bool_]):
        order = np.argsort(-probability, kind="stable")
        self.own, self.others = order[mine[order]], order[~mine[order]]
        own, others = -probability[self.own], -probability[self.others]
        self.level = np.searchsorted(own, own, side="right")
        self.above = np.searchsorted(others, own, side="left")
        self.not_below = np.searchsorted(others, own, side="right")

    def of_images(self) -> dict[str, float]:
        """Return the metrics of the images themselves; an undefined metric is NaN."""
        with np.errstate(invalid="ignore", divide="ignore"):
            once = np.ones((1, len(self.own) + len(self.others)))
            return {name: float(value[0]) for name, value in self.metrics(once).items()}

    def metrics(
        self, block: Floats, specificities: Sequence[int] = SPECIFICITIES
    ) -> dict[str, NDArray[np.float64]]:
        """Compute the area under the ROC curve, average precision, and sensitivity at `specificities`.

        The input is weights (r, N); each metric is (r,), NaN where undefined. The first two are as in
        scikit-learn; ties count half in the area. The sensitivity is the best of any threshold that keeps the
        specificity on these images. It is a point of the ROC curve, never a point between two, since images
        of equal probability are on the same side of a threshold. It is 0 for a model that gives all images
        one probability, and for a model that ranks too many negatives first.
        """
        own, others = block[:, self.own], _summed(block[:, self.others])
        hits, false = _summed(own)[:, self.level], others[:, self.not_below]
        behind = others[:, -1:] - (others[:, self.above] + false) / 2
        count, count_others = own.sum(axis=1), others[:, -1]
        precision = hits / np.maximum(hits + false, 1)
        found = {
            "auroc": (own * behind).sum(axis=1) / (count * count_others),
            # Without negatives, every order has a precision of 1 and every threshold keeps the specificity.
            "average_precision": np.where(count_others > 0, (own * precision).sum(axis=1) / count, np.nan),
        }
        for specificity in specificities:
            kept = 100 * false <= (100 - specificity) * others[:, -1:]
            best = np.where(kept, hits, 0).max(axis=1, initial=0) / count
            found[at(specificity)] = np.where(count_others > 0, best, np.nan)
        return found


def _summed(weights: Floats) -> NDArray[np.float64]:
    """Return the sums of the first 0, 1, … weights of each row; the result has one column more."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
