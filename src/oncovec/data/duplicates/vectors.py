"""Vectors for the search of near-duplicates: local descriptors of an image, summed by visual words.

A vector of locally aggregated descriptors (VLAD, Jégou et al. 2010) assigns each descriptor to the nearest of
a few words, and sums the differences between descriptors and their word. The sum does not depend on the
positions of the keypoints, and SIFT descriptors do not change if the image is rotated. Each descriptor is
used twice, as it is and as in the mirror image, so that the sum does not change if the image is mirrored.
"""

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

from oncovec.data.duplicates.keypoints import MIRRORED, KeypointFile

WORDS = 32
"""Number of visual words."""

WIDTH = 64
"""Number of principal components of a descriptor."""

DIMENSIONS = 256
"""Number of principal components of an image's vector."""

SAMPLE = 3000
"""Number of images from which words and components are learned."""

SAMPLE_KEYPOINTS = 25
"""Number of keypoints per image of the sample from which the words are learned."""

ITERATIONS = 10
"""Number of iterations of k-means."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Words:
    """Visual words: mean (128,) and components (128, 64) of descriptors, and the words (W, 64) themselves."""

    mean: Floats
    components: Floats
    centres: Floats

    def describe(self, descriptors: NDArray[np.uint8]) -> Floats:
        """Sum the (K, 128) descriptors of an image by their words: (W * 64,), of length 1."""
        inner = (_both(descriptors) - self.mean) @ self.components
        nearest = (inner @ self.centres.T - (self.centres**2).sum(axis=1) / 2).argmax(axis=1)
        member = np.zeros((len(self.centres), len(inner)), np.float32)
        member[nearest, np.arange(len(inner))] = 1
        sums = member @ inner - member.sum(axis=1, keepdims=True) * self.centres
        # Normalise each word, so that its weight does not depend on how often it occurs (intra-normalisation,
        # Arandjelović and Zisserman 2013). The square root reduces the differences between large and small
        # numbers (power law, Perronnin et al. 2010).
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        rooted: Floats = (np.sign(sums) * np.sqrt(np.abs(sums))).ravel()
        rooted /= max(float(np.linalg.norm(rooted)), 1e-6)
        return rooted


def vectors(keypoints: KeypointFile, rows: NDArray[np.int64], seed: int = 0) -> Floats:
    """Compute a vector per image, with words that are learned from a sample of these images.

    Args:
        keypoints: keypoints of all images.
        rows: rows of the images; each must have keypoints.
        seed: random seed of the sample and of k-means.

    Returns:
        (len(rows), D) of length 1, centred and reduced to the principal components. Fewer than 2 images give
        no component, so D is 0.
    """
    found = np.zeros((len(rows), min(DIMENSIONS, max(0, len(rows) - 1))), np.float32)
    if len(rows) < 2:
        return found
    generator = np.random.default_rng(seed)
    drawn = np.sort(generator.permutation(len(rows))[:SAMPLE])
    sample = rows[drawn].tolist()
    # The matrices are so small that threads would only wait for each other.
    with threadpool_limits(1):
        some = [generator.permutation(keypoints[row].descriptors)[:SAMPLE_KEYPOINTS] for row in sample]
        words = learn(np.concatenate(some), seed)
        wide = np.stack([words.describe(keypoints[row].descriptors) for row in sample])
        mean, components = principal(wide)
        found[drawn, : components.shape[1]] = (wide - mean) @ components
        for place in np.setdiff1d(np.arange(len(rows)), drawn).tolist():
            inner = words.describe(keypoints[int(rows[place])].descriptors) - mean
            found[place, : components.shape[1]] = inner @ components
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return found


def principal(sample: Floats) -> tuple[Floats, Floats]:
    """Compute the mean (D,) and the first principal components (D, C) of some images' vectors."""
    mean = sample.mean(axis=0)
    around = sample - mean
    count, width = around.shape
    # N centred vectors span at most N - 1 directions.
    wanted = min(DIMENSIONS, width, count - 1)
    if count < width:
        # The smaller product of the vectors with themselves has the same nonzero eigenvalues.
        components = around.T @ eigh(around @ around.T, subset_by_index=[count - wanted, count - 1])[1]
        components /= np.maximum(np.linalg.norm(components, axis=0), 1e-6)
    else:
        components = eigh(around.T @ around, subset_by_index=[width - wanted, width - 1])[1]
    return mean, np.ascontiguousarray(components)


def learn(descriptors: NDArray[np.uint8], seed: int = 0) -> Words:
    """Learn words from a sample of descriptors (K, 128), at least one."""
    sample = _both(descriptors)
    mean = sample.mean(axis=0)
    sample -= mean
    directions = np.linalg.eigh(sample.T @ sample)[1]
    components = np.ascontiguousarray(directions[:, ::-1][:, :WIDTH])
    inner = sample @ components
    # These limits make k-means use the whole sample, and give no warning if it is small.
    limits = {"min_points_per_centroid": 1, "max_points_per_centroid": len(inner)}
    clustering = faiss.Kmeans(WIDTH, min(WORDS, len(inner)), niter=ITERATIONS, seed=seed, **limits)
    clustering.train(inner)
    return Words(mean, components, np.asarray(clustering.centroids))


_ROOTS: Floats = np.sqrt(np.arange(256, dtype=np.float32))


def _both(descriptors: NDArray[np.uint8]) -> Floats:
    """Return descriptors (K, 128) and those of the mirror image: (2 K, 128) of length 1.

    The square roots of a descriptor's numbers are used instead of the numbers (RootSIFT, Arandjelović and
    Zisserman 2012).
    """
    rooted: Floats = _ROOTS[np.concatenate([descriptors, descriptors[:, MIRRORED]])]
    rooted /= np.maximum(np.linalg.norm(rooted, axis=1, keepdims=True), 1e-6)
    return rooted
