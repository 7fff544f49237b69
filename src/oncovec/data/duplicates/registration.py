"""Verification of two images: keypoints must match under one geometry, and pixels must agree under it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from oncovec.data.duplicates.keypoints import MIRRORED, Keypoints

RATIO = 0.8
"""A match must be nearer than this share of the second nearest distance (Lowe 2004, section 7.1)."""

TOLERANCE = 2.0
"""Largest error in px of a matched keypoint under the transform."""

NEAR = 6.0
"""Largest error in px of a match under one transform for use in the fit of the next, better transform."""

SCALES = (0.5, 2.0)
"""Range of the scale between two images; outside of it, fits are mostly chance."""

STRETCH = 1.8
"""Largest ratio between the scales of the two axes; published tiles reach 1.5."""

ITERATIONS = 500
"""Largest number of RANSAC iterations."""

_RANSAC: dict[str, Any] = {"method": cv2.RANSAC, "ransacReprojThreshold": TOLERANCE, "maxIters": ITERATIONS}

LEAST_OVERLAP = 0.25
"""Smallest overlap, as a share of the smaller image; neighbouring patches of a slide are not duplicates."""


class View(NamedTuple):
    """One image: grey (H, W), points (K, 2) in px of the image, descriptors (K, 128) of length 1."""

    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    grey: NDArray[np.uint8]

    def mirrored(self) -> "View":
        """Return the left-right mirror image."""
        points = self.points.copy()
        points[:, 0] = self.grey.shape[1] - 1 - points[:, 0]
        return View(points, self.descriptors[:, MIRRORED], self.grey[:, ::-1])


@dataclass(frozen=True)
class Fit:
    """The agreement of two images.

    Attributes:
        inliers: number of keypoints that agree with one affine transform.
        correlation: Pearson correlation of the grey values in the overlap of the images after the transform.
        matrix: (2, 3), maps px of the first image to px of the second, or of its mirror image.
        mirrored: whether the second image is mirrored.
    """

    inliers: int
    correlation: float
    matrix: NDArray[np.float64]
    mirrored: bool


def view(keypoints: Keypoints, grey: NDArray[np.uint8]) -> View:
    """Prepare the keypoints of an image for matching."""
    descriptors = keypoints.descriptors.astype(np.float32)
    lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
    return View(keypoints.points, descriptors / np.maximum(lengths, 1e-6), grey)


def register(first: View, second: View, least: int = 0) -> Fit | None:
    """Find the transform of two images with the most inliers, with and without mirroring.

    Args:
        first: an image.
        second: another image.
        least: number of keypoints that must agree; with fewer, the search stops early.

    Returns:
        The agreement of the images; None if there is no such transform.
    """
    best: tuple[int, NDArray[np.float64], View, bool] | None = None
    for mirrored in (False, True):
        other = second.mirrored() if mirrored else second
        pairs = match(first.descriptors, other.descriptors)
        if len(pairs) < least:
            continue
        inliers, matrix = _geometry(first.points[pairs[:, 0]], other.points[pairs[:, 1]])
        if matrix is not None and (best is None or inliers > best[0]):
            best = inliers, matrix, other, mirrored
    if best is None or best[0] < least:
        return None
    inliers, matrix, other, mirrored = best
    return Fit(inliers, correlation(first.grey, other.grey, matrix), matrix, mirrored)


def match(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.int64]:
    """Match descriptors to their nearest descriptors by the ratio test, one to one.

    Args:
        first: (K, 128) of length 1.
        second: (L, 128) of length 1.

    Returns:
        (M, 2) positions in both.
    """
    if not len(first) or len(second) < 2:
        return np.zeros((0, 2), np.int64)
    cosines = first @ second.T
    rows = np.arange(len(first))
    nearest = cosines.argmax(axis=1)
    best = cosines[rows, nearest]
    cosines[rows, nearest] = -2
    next_best = cosines.max(axis=1)
    # The squared distance of unit vectors is 2 - 2 cosine.
    kept = np.flatnonzero(1 - best < RATIO**2 * (1 - next_best))
    kept = kept[np.argsort(-best[kept], kind="stable")]
    _, first_of = np.unique(nearest[kept], return_index=True)
    kept = kept[first_of]
    return np.stack([kept, nearest[kept]], axis=1)


def _geometry(
    source: NDArray[np.float32], target: NDArray[np.float32]
) -> tuple[int, NDArray[np.float64] | None]:
    """Find the affine transform with the most inliers, starting from a similarity transform.

    A similarity transform needs two matches and is robust to many false matches. Next, an affine transform is
    fitted to the matches near it. The affine transform models the shear and the unequal zoom of augmentation;
    without these, the pixels would not align. It agrees with more matches, so it is fitted again until the
    number of inliers no longer grows.
    """
    if len(source) < 4:
        return 0, None
    found, agreeing = cv2.estimateAffinePartial2D(source, target, **_RANSAC)
    if found is None or not SCALES[0] < np.hypot(found[0, 0], found[1, 0]) < SCALES[1]:
        return 0, None
    inliers, matrix = int(agreeing.sum()), np.asarray(found, np.float64)
    while True:
        near = np.linalg.norm(source @ matrix[:, :2].T + matrix[:, 2] - target, axis=1) < NEAR
        if near.sum() < 6:
            return inliers, matrix
        found, agreeing = cv2.estimateAffine2D(source[near], target[near], **_RANSAC)
        if found is None or agreeing.sum() <= inliers or not _is_moderate(found):
            return inliers, matrix
        inliers, matrix = int(agreeing.sum()), np.asarray(found, np.float64)


def _is_moderate(affine: NDArray[np.float64]) -> bool:
    """Whether both axes are scaled within `SCALES`, and their ratio is below `STRETCH`."""
    largest, smallest = np.linalg.svd(affine[:, :2], compute_uv=False)
    return bool(SCALES[0] < smallest and largest < SCALES[1] and largest < STRETCH * smallest)


def correlation(first: NDArray[np.uint8], second: NDArray[np.uint8], matrix: NDArray[np.float64]) -> float:
    """Correlate the grey values of two images in their overlap, after mapping the first onto the second.

    Args:
        first: grey (H, W).
        second: grey (H, W).
        matrix: (2, 3), maps px of the first image to px of the second.

    Returns:
        Pearson correlation in [-1, 1]; 0 if they hardly overlap, or one of them is constant.
    """
    size = second.shape[1], second.shape[0]
    moved = cv2.warpAffine(first, matrix, size, flags=cv2.INTER_LINEAR)
    # Pixels at the border of the first image are left out, because they are mixed with the black around it.
    shown = cv2.warpAffine(np.full_like(first, 255), matrix, size, flags=cv2.INTER_LINEAR) == 255
    area = np.count_nonzero(shown)
    zoom = abs(np.linalg.det(matrix[:, :2]))
    if area < LEAST_OVERLAP * min(second.size, zoom * first.size):
        return 0.0
    one, other = moved[shown].astype(np.float64), second[shown].astype(np.float64)
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / scale) if scale > 0 else 0.0
