"""The OOD score: how far an image is from the training images of every class, by its appearance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.metrics.classification import Floats, Ints

FLOOR = 1e-6
"""Least variance, as a share of the mean variance, so that constant features divide nothing by 0."""


@dataclass(frozen=True)
class Appearance:
    """Gaussian model of the appearance of training images: a mean per class, and one covariance for all.

    The OOD score is the Mahalanobis distance to the nearest class (Lee et al., "A Simple Unified Framework
    for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018). The covariance is
    shrunk (Ledoit & Wolf, Journal of Multivariate Analysis 88, 2004), so that few images are enough.
    `means` is float32 (C, A), `whitening` float32 (A, A).
    """

    means: NDArray[np.float32]
    whitening: NDArray[np.float32]

    @classmethod
    def fit(cls, features: Floats, labels: Ints) -> "Appearance":
        """Fit the model to training images.

        Args:
            features: ood_features (N, A), see `data.embeddings.Embedded`.
            labels: class indices (N,); a class without images has no mean.
        """
        from sklearn.covariance import ledoit_wolf

        present, code = np.unique(labels, return_inverse=True)
        known = features.astype(np.float64)
        means = np.stack([known[code == number].mean(axis=0) for number in range(len(present))])
        covariance, _ = ledoit_wolf(known - means[code], assume_centered=True)
        variances = covariance.diagonal()
        floor = FLOOR * (variances.mean() or 1.0)
        precision = np.linalg.inv(covariance + floor * np.eye(len(covariance)))
        return cls(means.astype(np.float32), np.linalg.cholesky(precision).astype(np.float32))

    def score(self, features: Floats) -> NDArray[np.float64]:
        """Return the distance of each image (M, A) to the nearest class: (M,)."""
        moved = features.astype(np.float64) @ self.whitening.astype(np.float64)
        centres = self.means.astype(np.float64) @ self.whitening.astype(np.float64)
        nearest = np.full(len(moved), np.inf)
        for centre in centres:
            nearest = np.minimum(nearest, np.linalg.norm(moved - centre, axis=1))
        return nearest

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the model by the names that a gallery's file gives them."""
        return {"ood_means": self.means, "ood_whitening": self.whitening}
