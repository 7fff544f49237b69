"""Nearest neighbours by Euclidean distance and their distance-weighted votes, in bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from oncovec.metrics.classification import Floats, Ints

CELLS = 2**22
"""Queries times neighbours in memory at a time: 32 MiB per array."""

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
    """Compute the votes of the nearest rows of `known` for each query, with one search for several k.

    See `vote`. The neighbours of a query are discarded after they vote, so a large k takes no more memory:
    at most about 260 MiB besides `known` and the results.

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
    for block, distances, rows in _search(known, queries, max(ks)):
        theirs = labels[rows]
        for k, probabilities in found.items():
            probabilities[block] = vote(distances[:, :k], theirs[:, :k], classes)
    return found


def vote(distances: Floats, labels: Ints, classes: int) -> Floats:
    """Turn neighbours into class probabilities, with a weight of 1 / distance for each neighbour.

    The result equals that of scikit-learn's `KNeighborsClassifier(weights="distance")`. The search is done
    beforehand, so that one search is enough for every k. If neighbours are at distance 0, only they vote
    (Dudani 1976).

    Args:
        distances: (M, k), at least 0.
        labels: (M, k) in [0, classes).
        classes: C; a class without neighbours gets 0.

    Returns:
        (M, C); rows sum to 1.
    """
    same = distances == 0
    with np.errstate(divide="ignore"):
        weights = np.where(same.any(axis=1, keepdims=True), same, 1 / distances)
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
