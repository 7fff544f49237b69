"""Nearest neighbours by Euclidean distance, and votes weighted by distance, in bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestNeighbors

from oncovec.metrics.classification import Floats, Ints

CELLS = 2**22
"""Queries times neighbours in memory at a time: 32 MiB per array."""

DEVIATIONS = 3
"""Standard deviations of the Gaussian in the distance to the k-th neighbour, whose weight is then 0.01."""

SAME = 1e-6
"""Distances below this are rounding errors.

They are square roots of the rounding errors of float64 at 1."""


def nearest(known: Floats, queries: Floats, k: int) -> tuple[Floats, Ints]:
    """Find the k rows of `known` that are nearest to each query, nearest first, by exhaustive comparison.

    The search is scikit-learn's `NearestNeighbors`, in blocks of queries (`_search`). Among equal distances
    the lower row comes first. If several rows are equally near at the last position, any of them may be kept.

    Args:
        known: (G, d).
        queries: (M, d).
        k: in [1, G].

    Returns:
        Euclidean distances (M, k) and rows (M, k). A distance is 0 if two vectors differ only by rounding.
    """
    distances, rows = np.zeros((len(queries), k)), np.zeros((len(queries), k), np.int64)
    for block, near, found in _search(known, queries, k):
        distances[block], rows[block] = near, found
    return distances, rows


def votes(
    known: Floats, labels: Ints, queries: Floats, ks: Sequence[int], classes: int
) -> Mapping[int, Floats]:
    """Compute the votes of `known` for each query, with one comparison of every pair for several k.

    All rows vote, see `vote`; nearer ones count more. So classes that are not among the k nearest have a
    probability, too, by which images can be ranked; the votes of the k nearest alone are often all of one
    class. The distances of a block of queries are discarded after they vote: at most about 260 MiB besides
    `known` and the results.

    Args:
        known: (G, d).
        labels: (G,) in [0, classes).
        queries: (M, d).
        ks: each in [1, G].
        classes: C.

    Returns:
        Probabilities (M, C) for each k.
    """
    found = {k: np.zeros((len(queries), classes)) for k in ks}
    known = known.astype(np.float64)
    size = max(1, CELLS // len(known))
    for start in range(0, len(queries), size):
        block = slice(start, start + size)
        distances = euclidean_distances(queries[block].astype(np.float64), known)
        distances[distances < SAME] = 0
        nearest_first = np.partition(distances, [k - 1 for k in ks], axis=1)
        for k, probabilities in found.items():
            probabilities[block] = vote(distances, labels, classes, nearest_first[:, k - 1])
    return found


def nearest_of_each_class(known: Floats, labels: Ints, queries: Floats, classes: int) -> Floats:
    """Compute the distance of each query to the nearest row of each class, with one comparison of every pair.

    Args:
        known: (G, d).
        labels: (G,) in [0, classes).
        queries: (M, d).
        classes: C.

    Returns:
        Euclidean distances (M, C); infinite for a class without rows.
    """
    found = np.full((len(queries), classes), np.inf)
    by_class = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[by_class], return_index=True)
    known = known[by_class].astype(np.float64)
    size = max(1, CELLS // max(1, len(known)))
    for start in range(0, len(queries) if len(known) else 0, size):
        block = slice(start, start + size)
        distances = euclidean_distances(queries[block].astype(np.float64), known)
        found[block, present] = np.minimum.reduceat(distances, starts, axis=1)
    found[found < SAME] = 0
    return found


def vote(distances: Floats, labels: Ints, classes: int, to_kth: Floats) -> Floats:
    """Turn neighbours into class probabilities, with weights by a Gaussian of the distance.

    Its standard deviation differs between queries: the distance to the k-th neighbour is `DEVIATIONS` of them
    (a kernel of adaptive bandwidth, Loftsgaarden & Quesenberry, Annals of Mathematical Statistics 36, 1965;
    for classification Hechenbichler & Schliep, "Weighted k-nearest-neighbor techniques", 2004). So the votes
    do not depend on the scale of distances. They equal those of scikit-learn's `KNeighborsClassifier` with
    such `weights`. If the k-th neighbour is at distance 0, only neighbours at distance 0 vote.

    Args:
        distances: (M, G), at least 0.
        labels: (G,) in [0, classes), or (M, G) if each query has neighbours of its own.
        classes: C; a class without neighbours gets 0.
        to_kth: (M,) distance to the k-th neighbour.

    Returns:
        (M, C); rows sum to 1.
    """
    deviation = to_kth[:, None] / DEVIATIONS
    scaled = np.divide(distances, deviation, out=np.where(distances > 0, np.inf, 0.0), where=deviation > 0)
    weights = np.exp(-(scaled**2) / 2)
    cells = np.arange(len(distances))[:, None] * classes + labels
    found = np.bincount(cells.ravel(), weights.ravel(), len(distances) * classes).reshape(-1, classes)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _search(known: Floats, queries: Floats, k: int) -> Iterator[tuple[slice, NDArray[Any], Ints]]:
    """Yield blocks of queries with their distances (m, k) and rows (m, k), nearest first."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(known.astype(np.float64))
    size = max(1, CELLS // k)
    for start in range(0, len(queries), size):
        near, rows = search.kneighbors(queries[start : start + size].astype(np.float64))
        near[near < SAME] = 0
        order = np.lexsort((rows, near))
        near, rows = (np.take_along_axis(each, order, axis=1) for each in (near, rows))
        yield slice(start, start + size), near, rows
