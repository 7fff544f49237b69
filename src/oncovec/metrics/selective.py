"""Metrics of a system that may refuse to answer: the trade between coverage and risk."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def risk_coverage(wrong: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """Compute the risk-coverage curve: the share of errors among the images of the lowest scores.

    See El-Yaniv & Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 11, 2010. Images
    of equal score are answered together, so there is one point per distinct score.

    Args:
        wrong: (N,) whether the prediction of an image is wrong.
        score: (N,) score by which images are refused, for example the OOD score; the highest first.

    Returns:
        Coverage, ascending in (0, 1], and risk in [0, 1], (P,) each; empty without images.
    """
    order = np.argsort(score, kind="stable")
    answered = np.arange(1, len(order) + 1)
    risk = np.cumsum(wrong[order]) / answered
    last = np.append(np.diff(score[order]) > 0, True) if len(order) else np.zeros(0, bool)
    return answered[last] / max(1, len(order)), risk[last]


def area(coverage: Floats, risk: Floats) -> float:
    """Return the area under a risk-coverage curve, in [0, 1]; lower is better.

    It is the mean risk over all coverages (Geifman et al., "Bias-Reduced Uncertainty Estimation for Deep
    Neural Classifiers", ICLR 2019). Of a system that is always right it is 0.
    """
    return float(np.diff(coverage, prepend=0) @ risk)
