"""Calibration of probabilities: its measurement, and a temperature that improves it.

A model is calibrated if predictions with a probability of 0.8 are right in eight of ten cases. Calibrated
probabilities decide nothing: predicted classes, thresholds and `predictions.csv` use the original
probabilities of the model.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

BINS = 15
"""Number of bins of equal width, as in Guo et al. 2017."""

LEAST = float(np.finfo(np.float32).eps)
"""Least probability in a logarithm: a wrong prediction of probability 1 costs 15.9 instead of infinity."""

SMOOTHING = {"knn": 0.01, "head": 0.0}
"""Value added to each class's probability before the temperature.

A class far away has a probability of nearly 0 in KNN, which a temperature cannot raise in a useful way."""

TEMPERATURES = (0.05, 20.0)
"""Bounds of the temperature; without them it has no optimum if all predictions are right."""


def temperature(probabilities: Floats, labels: Ints, model: str) -> float:
    """Choose the temperature with the least negative log-likelihood.

    The method is that of Guo et al., "On Calibration", ICML 2017. The negative log-likelihood is convex
    in 1 / T, so its slope has one zero.

    Args:
        probabilities: (N, C) of validation images; rows sum to 1.
        labels: (N,) in [0, C).
        model: a key of `SMOOTHING`.

    Returns:
        T within `TEMPERATURES`. T is above 1 if the model is overconfident. T is 1 if there are no images or
        all classes are equally likely in every image.
    """
    logs = np.log(_smoothed(probabilities, model))
    if not len(labels) or np.ptp(logs, axis=1).max() < 1e-9:
        return 1.0
    own = logs[np.arange(len(labels)), labels]

    def slope(inverse: float) -> float:
        return float(np.mean((_softmax(inverse * logs) * logs).sum(axis=1) - own))

    least, most = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    if slope(least) >= 0:
        return TEMPERATURES[1]
    if slope(most) <= 0:
        return TEMPERATURES[0]
    return float(1 / brentq(slope, least, most, xtol=1e-12))


def calibrated(probabilities: Floats, temperature: float, model: str) -> Floats:
    """Return p^(1/T) of smoothed probabilities, scaled to sum 1: (N, C); the order of the classes is kept.

    Args:
        probabilities: (N, C); rows sum to 1.
        temperature: T, above 0.
        model: a key of `SMOOTHING`.
    """
    return _softmax(np.log(_smoothed(probabilities, model)) / temperature)


def losses(labels: Ints, probabilities: Floats) -> Floats:
    """Return the negative log-likelihood of each image's true class, in [0, -log(LEAST)]: (N,)."""
    own = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(own, LEAST, 1.0)), np.float64)


def binned(labels: Ints, probabilities: Floats) -> tuple[Floats, NDArray[np.bool_], Ints]:
    """Return each image's confidence, whether its likeliest class is right, and its bin of confidence.

    The confidence is the probability of the likeliest class; thresholds are ignored. Among equal classes the
    first one is used. Bin b in [0, `BINS`) covers (b / 15, (b + 1) / 15], as in Guo et al. Each result has
    shape (N,).
    """
    confidence = probabilities.max(axis=1, initial=0.0).astype(np.float64)
    # Rounded, since 0.2 may be 0.20000000000000001 on some machines and then be in another bin.
    bins = np.ceil((confidence.round(9) * BINS).round(6)).astype(np.int64) - 1
    return confidence, probabilities.argmax(axis=1) == labels, np.clip(bins, 0, BINS - 1)


def gaps(labels: Ints, probabilities: Floats) -> Floats:
    """Return each image's gap between correctness and confidence, in the column of its bin: (N, BINS).

    Correctness is 1 or 0; the gap is correctness minus confidence. The other columns are 0. For any weights
    of the images, the expected calibration error is the sum of the absolute weighted means of the columns
    (Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015).
    """
    confidence, right, bins = binned(labels, probabilities)
    return np.asarray(np.eye(BINS)[bins] * (right - confidence)[:, None])


def ece(gaps: Floats) -> Floats:
    """Return the expected calibration error, in [0, 1], from mean `gaps` (…, BINS)."""
    return np.asarray(np.abs(gaps).sum(axis=-1))


def _smoothed(probabilities: Floats, model: str) -> Floats:
    smoothing, classes = SMOOTHING[model], probabilities.shape[1]
    smooth = (probabilities.astype(np.float64) + smoothing) / (1 + classes * smoothing)
    return np.asarray(np.clip(smooth, LEAST, 1.0))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
