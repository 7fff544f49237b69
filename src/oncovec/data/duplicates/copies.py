"""Near copies: images that come from the same original, found among all pairs without looking at each."""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from oncovec.core.parallel import ordered_map
from oncovec.core.params import Group
from oncovec.core.progress import progress
from oncovec.data.duplicates.features import FeatureSet
from oncovec.data.duplicates.registration import register, view
from oncovec.data.groups import DisjointSets

DIMENSIONS = 128
"""Principal components in which neighbours are sought: a tenth of the work, and the same neighbours."""

SAMPLE = 20_000
"""Images from which the components and the cells of the search are learned."""

EXACT = 20_000
"""Up to this many images every pair is compared; beyond, only those in neighbouring cells."""

PROBES = 32
"""Cells that are searched for each image."""

CHUNK = 256
"""Pairs that a worker looks at before it hands back."""


COLUMNS = ("first", "second", "similarity", "inliers", "correlation")
"""Of the table of confirmed pairs."""


class Pair(NamedTuple):
    """Two images, by row, and how alike they are: cosine of the vectors, and what `register` says."""

    first: int
    second: int
    similarity: float
    inliers: int
    correlation: float


def find(features: FeatureSet, settings: Group, rows: Sequence[int] | None = None) -> list[Pair]:
    """Find the pairs of images that come from the same original.

    Images of the same pixels need no second look, and those without texture would not stand it: of each such
    image the pairs with the first of them and with its neighbours among them are taken as they are.

    Args:
        features: of all images.
        settings: how many candidates, and what confirms one.
        rows: images that are compared; None for all. Of byte-copies one is enough.

    Returns:
        Confirmed pairs, sorted by rows.
    """
    chosen = np.arange(len(features)) if rows is None else np.asarray(rows, np.int64)
    started = time.perf_counter()
    pairs = candidates(features.vectors[chosen], settings.neighbours)
    first = same_pixels(features, chosen)
    alike = first[pairs[:, 0]] == first[pairs[:, 1]]
    again = np.flatnonzero(first != np.arange(len(first)))
    known = np.unique(np.concatenate([pairs[alike], np.stack([first[again], again], axis=1)]), axis=0)
    searched = time.perf_counter()
    looked_at = look(features, chosen[pairs[~alike]], settings.inliers)
    seen = [pair for pair in looked_at if is_copy(pair, settings)]
    looked = time.perf_counter()
    print(
        f"near copies: {len(pairs)} candidates among {len(chosen)} images in {searched - started:.1f} s; "
        f"{len(known)} pairs of the same pixels; "
        f"{len(seen)} confirmed by a second look in {looked - searched:.1f} s"
    )
    return sorted([*(_of_same_pixels(features, *rows) for rows in chosen[known].tolist()), *seen])


def same_pixels(features: FeatureSet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of `rows` the position of the first one whose vector and grey image have the same bytes."""
    first: dict[bytes, int] = {}
    found = np.empty(len(rows), np.int64)
    for position, row in enumerate(rows.tolist()):
        content = blake2b(features.greys[row], digest_size=16)
        content.update(features.shapes[row])
        content.update(features.vectors[row])
        found[position] = first.setdefault(content.digest(), position)
    return found


def _of_same_pixels(features: FeatureSet, first: int, second: int) -> Pair:
    """What a second look could say at best: all keypoints agree."""
    return Pair(first, second, 1.0, int(features.offsets[first + 1] - features.offsets[first]), 1.0)


def is_copy(pair: Pair, settings: Group) -> bool:
    """Whether enough keypoints agree on one geometry, and the pixels agree under it."""
    return pair.inliers >= settings.inliers and pair.correlation >= settings.correlation


def cluster(count: int, pairs: Iterable[Pair]) -> list[int]:
    """Name for each of `count` images the first one that a chain of confirmed pairs leads to."""
    sets = DisjointSets(count)
    for pair in pairs:
        sets.unite(pair.first, pair.second)
    return [sets.find(row) for row in range(count)]


def table(pairs: Iterable[Pair], images: Sequence[str]) -> Iterator[tuple[str, str, float, int, float]]:
    """Rows of the table of confirmed pairs, by the images' names."""
    for pair in pairs:
        yield (images[pair.first], images[pair.second], pair.similarity, pair.inliers, pair.correlation)


def candidates(vectors: NDArray[np.float16], neighbours: int, seed: int = 0) -> NDArray[np.int64]:
    """Find the pairs that are worth a second look: each image with those nearest to it.

    The vectors are centred and reduced to their principal components first. Above `EXACT` images an
    inverted file is searched (faiss, IVF), so the work grows more slowly than the number of pairs.

    Args:
        vectors: (N, D) of length 1.
        neighbours: of each image.
        seed: which images are the sample from which components and cells are learned.

    Returns:
        (M, 2) rows, the smaller first, sorted, each pair once.
    """
    import faiss

    count = len(vectors)
    if count < 2:
        return np.zeros((0, 2), np.int64)
    reduced = _reduce(vectors, seed)
    width = reduced.shape[1]
    flat = faiss.IndexFlatIP(width)
    index: faiss.Index = flat
    if count > EXACT:
        index = cells = faiss.IndexIVFFlat(flat, width, int(4 * np.sqrt(count)), faiss.METRIC_INNER_PRODUCT)
        cells.nprobe = PROBES
        cells.cp.min_points_per_centroid = 1  # else faiss warns that the sample is small
        cells.train(reduced[_sample(count, seed)])
    index.add(reduced)
    found = [
        index.search(reduced[start : start + 4096], neighbours + 1)[1] for start in range(0, count, 4096)
    ]
    second = np.concatenate(found)
    first = np.broadcast_to(np.arange(count)[:, None], second.shape)
    kept = (second >= 0) & (second != first)
    pairs = np.stack([np.minimum(first, second)[kept], np.maximum(first, second)[kept]], axis=1)
    return np.unique(pairs, axis=0).astype(np.int64)


def _reduce(vectors: NDArray[np.float16], seed: int) -> NDArray[np.float32]:
    import faiss

    rows = _sample(len(vectors), seed)
    sample = vectors[rows].astype(np.float32)
    mean = sample.mean(axis=0)
    # Around their mean, N vectors differ in N - 1 directions; faiss would make up another.
    width = min(DIMENSIONS, vectors.shape[1], len(rows) - 1)
    reduction = faiss.PCAMatrix(vectors.shape[1], width)
    reduction.train(sample - mean)
    reduced = np.empty((len(vectors), width), np.float32)
    for start in range(0, len(vectors), 4096):
        block = vectors[start : start + 4096].astype(np.float32) - mean
        reduced[start : start + 4096] = reduction.apply(block)
    faiss.normalize_L2(reduced)
    return reduced


def _sample(count: int, seed: int) -> NDArray[np.int64]:
    if count <= SAMPLE:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, SAMPLE, replace=False))


def look(features: FeatureSet, pairs: NDArray[np.int64], least: int = 0) -> Iterator[Pair]:
    """Register the images of each pair, with all cores; fits of fewer than `least` keypoints are left out."""
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    found = chain.from_iterable(ordered_map(partial(_look_at, features, least), chunks))
    for pair in progress(found, f"near copies {features.folder.name}", total=len(pairs)):
        if pair is not None:
            yield pair


def _look_at(features: FeatureSet, least: int, pairs: NDArray[np.int64]) -> list[Pair | None]:
    # Every core has its worker; products spread over all cores would only wait for each other.
    with threadpool_limits(1):
        return _look_at_once(features, least, pairs)


def _look_at_once(features: FeatureSet, least: int, pairs: NDArray[np.int64]) -> list[Pair | None]:
    views = {row: view(features, row) for row in np.unique(pairs).tolist()}
    found: list[Pair | None] = []
    for first, second in pairs.tolist():
        fit = register(views[first], views[second], least)
        if fit is None:
            found.append(None)
            continue
        cosine = features.vectors[first].astype(np.float32) @ features.vectors[second].astype(np.float32)
        found.append(Pair(first, second, float(cosine), fit.inliers, fit.correlation))
    return found
