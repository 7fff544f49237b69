"""The appearance of training images: how far an image is from those of each class, for the OOD score."""

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

    It gives the Mahalanobis distance of an image to each class (Lee et al., "A Simple Unified Framework for
    Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018). The covariance is shrunk
    (Ledoit & Wolf, Journal of Multivariate Analysis 88, 2004), so that few images are enough.
    `means` is float32 (C, A), NaN for a class without training images; `whitening` is float32 (A, A).
    """

    means: NDArray[np.float32]
    whitening: NDArray[np.float32]

    @classmethod
    def fit(cls, features: Floats, labels: Ints, classes: int) -> "Appearance":
        """Fit the model to training images.

        Args:
            features: ood_features (N, A), see `data.embeddings.Embedded`.
            labels: (N,) in [0, classes).
            classes: C.
        """
        from sklearn.covariance import ledoit_wolf

        known = features.astype(np.float64)
        means = np.full((classes, known.shape[1]), np.nan)
        for label in np.unique(labels).tolist():
            means[label] = known[labels == label].mean(axis=0)
        covariance, _ = ledoit_wolf(known - means[labels], assume_centered=True)
        variances = covariance.diagonal()
        floor = FLOOR * (variances.mean() or 1.0)
        precision = np.linalg.inv(covariance + floor * np.eye(len(covariance)))
        return cls(means.astype(np.float32), np.linalg.cholesky(precision).astype(np.float32))

    def distances(self, features: Floats) -> NDArray[np.float64]:
        """Return the distance of each image (M, A) to each class: (M, C); infinite without a mean."""
        moved = features.astype(np.float64) @ self.whitening.astype(np.float64)
        centres = self.means.astype(np.float64) @ self.whitening.astype(np.float64)
        found = np.stack([np.linalg.norm(moved - centre, axis=1) for centre in centres], axis=1)
        return np.where(np.isnan(found), np.inf, found)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the model by the names that a gallery's file gives them."""
        return {"ood_means": self.means, "ood_whitening": self.whitening}
