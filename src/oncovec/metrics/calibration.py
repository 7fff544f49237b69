"""Calibration: whether a probability of 0.8 is right eight times of ten, and a temperature that mends it.

Nothing is decided by calibrated probabilities: predicted classes, thresholds and `data/predictions` stay with
those that the model gave.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

BINS = 15
"""Bins of equal width, as in Guo et al. 2017."""

LEAST = float(np.finfo(np.float32).eps)
"""Least probability that a logarithm is taken of: what is surely wrong costs 15.9 instead of infinity."""

SMOOTHING = {"knn": 0.01, "head": 0.0}
"""Added to each class's probability before the temperature: no power mends the 0 of a class without votes.

Of 5 neighbours' votes this is a twentieth of one, of 15 about a sixth."""

TEMPERATURES = (0.05, 20.0)
"""Bounds of the temperature: what is right throughout could otherwise be made ever surer."""


def temperature(probabilities: Floats, labels: Ints, model: str) -> float:
    """Choose the temperature of least negative log-likelihood (Guo et al., "On Calibration", ICML 2017).

    The likelihood is convex in 1 / T, so that its slope has one zero.

    Args:
        probabilities: (N, C) of validation images, rows sum to 1.
        labels: (N,) in [0, C).
        model: one of `SMOOTHING`.

    Returns:
        T within `TEMPERATURES`, above 1 where the model is too sure; 1 where nothing tells one from another.
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
    """Return p^(1/T), scaled to sum 1, of smoothed probabilities: (N, C); the order of the classes stays.

    Args:
        probabilities: (N, C), rows sum to 1.
        temperature: T, above 0.
        model: one of `SMOOTHING`.
    """
    return _softmax(np.log(_smoothed(probabilities, model)) / temperature)


def losses(labels: Ints, probabilities: Floats) -> Floats:
    """Negative log-likelihood of each image's own class, in [0, -log(LEAST)]: (N,)."""
    own = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(own, LEAST, 1.0)), np.float64)


def binned(labels: Ints, probabilities: Floats) -> tuple[Floats, NDArray[np.bool_], Ints]:
    """Return each image's confidence, whether its likeliest class is right, and its bin of confidence.

    The confidence is the probability of the likeliest class, whatever a threshold says; of equal classes the
    first is taken. Bin b of [0, `BINS`) holds (b / 15, (b + 1) / 15], as in Guo et al.: (N,) each.
    """
    confidence = probabilities.max(axis=1, initial=0.0).astype(np.float64)
    # Rounded, since 0.2 may arrive as 0.20000000000000001 and change bins with the machine.
    bins = np.ceil((confidence.round(9) * BINS).round(6)).astype(np.int64) - 1
    return confidence, probabilities.argmax(axis=1) == labels, np.clip(bins, 0, BINS - 1)


def gaps(labels: Ints, probabilities: Floats) -> Floats:
    """Return (N, BINS) whose columns sum to how often each bin is right more than it says.

    The expected calibration error of any weights of the images is the sum of the absolute weighted means of
    the columns (Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015).
    """
    confidence, right, bins = binned(labels, probabilities)
    return np.asarray(np.eye(BINS)[bins] * (right - confidence)[:, None])


def ece(gaps: Floats) -> Floats:
    """Expected calibration error, in [0, 1], of mean `gaps` (…, BINS)."""
    return np.asarray(np.abs(gaps).sum(axis=-1))


def _smoothed(probabilities: Floats, model: str) -> Floats:
    smoothing, classes = SMOOTHING[model], probabilities.shape[1]
    smooth = (probabilities.astype(np.float64) + smoothing) / (1 + classes * smoothing)
    return np.asarray(np.clip(smooth, LEAST, 1.0))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
