"""How far images are from the training images of a class, for the OOD score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oncovec.metrics.classification import Floats, Ints

FLOOR = 1e-6
"""Least variance, as a share of the mean variance, so that constant features divide nothing by 0."""

INSIDE = 0.95
"""Share of the training images of a class that are within its radius."""

PRIOR = 10
"""Number of images that the mean radius of the classes counts as in the radius of one class."""


@dataclass(frozen=True)
class Centres:
    """The mean of each class in a space of features, and its radius.

    A distance is relative to the radius, because images of one class may be much more alike than those of
    another. The radius is the distance to the mean that 95 % of the training images of the class do not
    exceed, each as if it was not part of the mean. For a class of few images it is drawn towards the mean
    radius of the classes.
    `means` is float32 (C, A), NaN for a class without training images; `radii` is float64 (C,); `whitening`
    is float32 (A, A), which makes the distance that of Mahalanobis, or None for the Euclidean distance.
    """

    means: NDArray[np.float32]
    radii: NDArray[np.float64]
    whitening: NDArray[np.float32] | None = None

    @classmethod
    def fit(cls, features: Floats, labels: Ints, classes: int, whiten: bool = False) -> "Centres":
        """Fit the centres to training images.

        Args:
            features: (N, A).
            labels: (N,) in [0, classes).
            classes: C.
            whiten: compute Mahalanobis distances with one covariance for all classes (Lee et al., "A Simple
                Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS
                2018). It is shrunk (Ledoit & Wolf, Journal of Multivariate Analysis 88, 2004), so that few
                images are enough.
        """
        known = features.astype(np.float64)
        means = np.full((classes, known.shape[1]), np.nan)
        for label in np.unique(labels).tolist():
            means[label] = known[labels == label].mean(axis=0)
        away = known - means[labels]
        whitening = _whitening(away) if whiten else None
        distances = np.linalg.norm(away if whitening is None else away @ whitening, axis=1)
        return cls(
            means.astype(np.float32),
            _radii(distances, labels, classes),
            None if whitening is None else whitening.astype(np.float32),
        )

    def distances(self, features: Floats, classes: Ints) -> NDArray[np.float64]:
        """Return the distance of each image to the centre of one class, as a ratio to its radius.

        Args:
            features: (M, A).
            classes: (M,) the class for each image.

        Returns:
            (M,); infinite for a class without a centre, and 0 at the centre.
        """
        away = features.astype(np.float64) - self.means.astype(np.float64)[classes]
        if self.whitening is not None:
            away = away @ self.whitening.astype(np.float64)
        found = np.linalg.norm(away, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(found == 0, 0.0, found / self.radii[classes])
        return np.where(np.isnan(relative), np.inf, relative)


def _whitening(away: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix (A, A) after which features have the identity as covariance around their centres."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(away, assume_centered=True)
    floor = FLOOR * (covariance.diagonal().mean() or 1.0)
    precision = np.linalg.inv(covariance + floor * np.eye(len(covariance)))
    return np.asarray(np.linalg.cholesky(precision), np.float64)


def _radii(distances: NDArray[np.float64], labels: Ints, classes: int) -> NDArray[np.float64]:
    """Return the radius of each class (C,), see `Centres`."""
    count = np.bincount(labels, minlength=classes)[labels]
    # The mean of the other n - 1 images is farther away than that of all by this factor.
    outside = distances[count > 1] * (count / np.maximum(count - 1, 1))[count > 1]
    of_class = labels[count > 1]
    own = {label: np.quantile(outside[of_class == label], INSIDE) for label in np.unique(of_class).tolist()}
    common = float(np.mean(list(own.values()))) if own else 1.0
    found = np.full(classes, common)
    for label, radius in own.items():
        images = np.count_nonzero(of_class == label)
        found[label] = (images * radius + PRIOR * common) / (images + PRIOR)
    return found
