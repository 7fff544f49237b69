"""Candidate pairs of near-duplicates: each image with its nearest images."""

import faiss
import numpy as np
from numpy.typing import NDArray

SAMPLE = 20_000
"""Number of images from which the cells of the search are learned."""

EXACT = 20_000
"""Up to this number of images every pair is compared; above it, only images in neighbouring cells."""

PROBES = 32
"""Number of cells that are searched for each image."""

BLOCK = 4096
"""Number of images that are searched for at once."""


def candidates(
    vectors: NDArray[np.float32], neighbours: int, seed: int = 0, known: int | None = None
) -> NDArray[np.int64]:
    """Pair each image with its nearest images.

    Above `EXACT` images the search uses an inverted file (faiss, IVF), so that the work grows more slowly
    than the number of pairs.

    Args:
        vectors: (N, D) of length 1.
        neighbours: number of nearest images per image.
        seed: random seed of the sample from which cells are learned.
        known: if given, only images from this row on are paired, each with its nearest before this row.

    Returns:
        (M, 2) rows, the smaller row of a pair first, sorted, each pair once.
    """
    count = len(vectors)
    start = known or 0
    searched = count if known is None else known
    if count < 2 or not searched or start == count:
        return np.zeros((0, 2), np.int64)
    index = _index(vectors[:searched], seed)
    keys = [_pairs(index, vectors, each, neighbours) for each in range(start, count, BLOCK)]
    # One number per pair, because unique rows of two numbers would take several times the memory.
    found = np.unique(np.concatenate(keys))
    return np.stack([found // count, found % count], axis=1)


def _index(vectors: NDArray[np.float32], seed: int) -> faiss.Index:
    count, width = vectors.shape
    flat = faiss.IndexFlatIP(width)
    index: faiss.Index = flat
    if count > EXACT:
        index = cells = faiss.IndexIVFFlat(flat, width, int(4 * np.sqrt(count)), faiss.METRIC_INNER_PRODUCT)
        cells.nprobe = PROBES
        cells.cp.min_points_per_centroid = 1  # otherwise faiss warns that the sample is small
        drawn = np.random.default_rng(seed).permutation(count)[:SAMPLE]
        cells.train(vectors[np.sort(drawn)])
    index.add(vectors)
    return index


def _pairs(
    index: faiss.Index, vectors: NDArray[np.float32], start: int, neighbours: int
) -> NDArray[np.int64]:
    """Encode the pairs of a block of images with their neighbours as first * N + second."""
    second = index.search(vectors[start : start + BLOCK], neighbours + 1)[1]
    first = np.broadcast_to(np.arange(start, start + len(second))[:, None], second.shape)
    kept = (second >= 0) & (second != first)
    found: NDArray[np.int64] = (np.minimum(first, second) * len(vectors) + np.maximum(first, second))[kept]
    return found
