"""Pairs of images that are worth a second look: each image with those nearest to it."""

import faiss
import numpy as np
from numpy.typing import NDArray

SAMPLE = 20_000
"""Images from which the cells of the search are learned."""

EXACT = 20_000
"""Up to this many images every pair is compared; beyond, only those in neighbouring cells."""

PROBES = 32
"""Cells that are searched for each image."""

BLOCK = 4096
"""Images that are asked about at once."""


def candidates(vectors: NDArray[np.float32], neighbours: int, seed: int = 0) -> NDArray[np.int64]:
    """Pair each image with those nearest to it.

    Above `EXACT` images an inverted file is searched (faiss, IVF), so the work grows more slowly than the
    number of pairs.

    Args:
        vectors: (N, D) of length 1.
        neighbours: of each image.
        seed: which images are the sample from which cells are learned.

    Returns:
        (M, 2) rows, the smaller first, sorted, each pair once.
    """
    count = len(vectors)
    if count < 2:
        return np.zeros((0, 2), np.int64)
    index = _index(vectors, seed)
    keys = [_pairs(index, vectors, start, neighbours) for start in range(0, count, BLOCK)]
    # One number a pair: unique rows of two would take several times the memory.
    found = np.unique(np.concatenate(keys))
    return np.stack([found // count, found % count], axis=1)


def _index(vectors: NDArray[np.float32], seed: int) -> faiss.Index:
    count, width = vectors.shape
    flat = faiss.IndexFlatIP(width)
    index: faiss.Index = flat
    if count > EXACT:
        index = cells = faiss.IndexIVFFlat(flat, width, int(4 * np.sqrt(count)), faiss.METRIC_INNER_PRODUCT)
        cells.nprobe = PROBES
        cells.cp.min_points_per_centroid = 1  # else faiss warns that the sample is small
        drawn = np.random.default_rng(seed).permutation(count)[:SAMPLE]
        cells.train(vectors[np.sort(drawn)])
    index.add(vectors)
    return index


def _pairs(
    index: faiss.Index, vectors: NDArray[np.float32], start: int, neighbours: int
) -> NDArray[np.int64]:
    """Number the pairs of a block of images with their neighbours: first * N + second."""
    second = index.search(vectors[start : start + BLOCK], neighbours + 1)[1]
    first = np.broadcast_to(np.arange(start, start + len(second))[:, None], second.shape)
    kept = (second >= 0) & (second != first)
    found: NDArray[np.int64] = (np.minimum(first, second) * len(vectors) + np.maximum(first, second))[kept]
    return found
