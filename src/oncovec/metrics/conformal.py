"""Conformal prediction: sets of classes that hold the true one with a promised probability.

A nearest-neighbour classifier says how well a class fits an image by a ratio of two distances: to the nearest
image of this class, and to the nearest image of any other class (Proedrou et al., "Transductive Confidence
Machines for Pattern Recognition", ECML 2002, with one neighbour). A set holds every class whose ratio is at
most a threshold, which is a quantile of the ratios of true classes of images that were not used for anything
else (Papadopoulos et al., "Inductive Confidence Machines for Regression", ECML 2002). The promise holds for
images that come from where those images come from, and for no others.
"""

import math

import numpy as np
from numpy.typing import NDArray

from oncovec.metrics.classification import Floats, Ints
from oncovec.metrics.neighbours import nearest_of_each_class


def ratios(known: Floats, labels: Ints, queries: Floats, classes: int) -> Floats:
    """Compute how badly each class fits each query: a ratio of distances, at least 0, low if it fits.

    Args:
        known: (G, d) embeddings of labelled images.
        labels: (G,) in [0, classes).
        queries: (M, d).
        classes: C.

    Returns:
        (M, C); infinite for a class without labelled images, and 1 if both distances are 0.
    """
    distances = nearest_of_each_class(known, labels, queries, classes)
    found = np.full(distances.shape, np.inf)
    for label in np.unique(labels).tolist():
        own, other = distances[:, label], np.delete(distances, label, axis=1).min(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[:, label] = np.where(own == other, 1.0, own / other)
    return found


def threshold(of_true_class: Floats, coverage: float) -> float:
    """Choose the largest ratio that a class in the set may have.

    Args:
        of_true_class: (N,) the ratio of the true class of each image.
        coverage: share of sets that shall hold the true class, in (0, 1).

    Returns:
        The ratio of rank ceil((N + 1) · coverage). If N is smaller than that, it is infinite: so few images
        allow no promise, and sets hold all classes.
    """
    rank = math.ceil((len(of_true_class) + 1) * coverage)
    return float(np.sort(of_true_class)[rank - 1]) if rank <= len(of_true_class) else math.inf


def sets(ratios: Floats, threshold: float, predicted: Ints) -> NDArray[np.bool_]:
    """Return which classes are in the set of each image: (M, C). The predicted class always is."""
    inside = ratios <= threshold
    inside[np.arange(len(predicted)), predicted] = True
    return inside
