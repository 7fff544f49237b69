"""Pairs of near-duplicates: candidates are verified, and confirmed pairs form clusters."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from oncovec.core.parallel import ordered_map
from oncovec.core.params import NearDuplicates
from oncovec.core.progress import progress
from oncovec.data.duplicates.candidates import candidates
from oncovec.data.duplicates.keypoints import KeypointFile, Keypoints, crop, gather
from oncovec.data.duplicates.registration import Fit, register, view
from oncovec.data.duplicates.vectors import vectors
from oncovec.data.groups import DisjointSets

CHUNK = 256
"""Number of pairs that a worker gets at once."""

COLUMNS = ("first", "second", "similarity", "inliers", "correlation")
"""Columns of the table of confirmed pairs."""

Grey = NDArray[np.uint8]
Task = tuple[NDArray[np.int64], dict[int, tuple[Keypoints, Grey]]]
"""Pairs of rows, and the keypoints and small copy of each row."""


class Pair(NamedTuple):
    """Two images, by row, and their similarity: cosine of the vectors, and the result of `register`."""

    first: int
    second: int
    similarity: float
    inliers: int
    correlation: float


def find(
    copies: NDArray[np.uint8],
    shapes: NDArray[np.int32],
    settings: NearDuplicates,
    rows: Sequence[int] | None = None,
    folder: Path | None = None,
    known: int | None = None,
) -> list[Pair]:
    """Find the pairs of images of the same original.

    Images with equal small copies need no verification, and images without texture would fail it. Each is
    paired with the first image of the same copy, and only that first image is compared with others.

    Args:
        copies: (N, 128, 128) grey, each image in the upper left corner; may be memory-mapped.
        shapes: (N, 2) height and width of each image in its copy.
        settings: number of keypoints and candidates, and the thresholds that confirm a pair.
        rows: images that are compared; None for all. Of exact duplicates one is enough.
        folder: folder for the temporary file of keypoints, 136 bytes per keypoint; None for the system's
            temporary folder.
        known: if given, the images before this row are only compared with those from it on, and these only
            with the former; equal small copies are paired anywhere.

    Returns:
        Confirmed pairs, sorted by rows.
    """
    chosen = np.arange(len(copies)) if rows is None else np.unique(np.array(rows, np.int64))
    first = same_pixels(copies, shapes, chosen)
    with KeypointFile(len(copies), folder) as keypoints:
        gather(keypoints, copies, shapes, chosen[first == chosen], settings.keypoints)
        # An image with fewer keypoints than must agree cannot be confirmed.
        rich = np.flatnonzero(keypoints.counts >= settings.inliers)
        space = vectors(keypoints, rich)
        first_new = None if known is None else int(np.searchsorted(rich, known))
        likely = rich[candidates(space, settings.neighbours, known=first_new)]
        found = []
        for one, other, fit in look(copies, shapes, keypoints, likely, settings):
            ends = space[np.searchsorted(rich, [one, other])]
            found.append(Pair(one, other, float(ends[0] @ ends[1]), fit.inliers, fit.correlation))
        equal = [
            Pair(one, other, 1.0, int(keypoints.counts[one]), 1.0)
            for one, other in zip(first.tolist(), chosen.tolist(), strict=True)
            if one != other
        ]
    print(
        f"near-duplicates: {len(likely)} candidates among {len(chosen)} images; "
        f"{len(equal)} pairs of the same pixels; {len(found)} confirmed by a second look"
    )
    return sorted([*found, *equal])


def same_pixels(
    copies: NDArray[np.uint8], shapes: NDArray[np.int32], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find, for each of `rows`, the first of them with the same small copy."""
    first: dict[tuple[bytes, bytes], int] = {}
    found = np.empty_like(rows)
    for place, row in enumerate(rows.tolist()):
        content = blake2b(crop(copies, shapes, row).tobytes(), digest_size=16).digest()
        found[place] = first.setdefault((content, shapes[row].tobytes()), row)
    return found


def look(
    copies: NDArray[np.uint8],
    shapes: NDArray[np.int32],
    keypoints: KeypointFile,
    pairs: NDArray[np.int64],
    settings: NearDuplicates,
) -> Iterator[tuple[int, int, Fit]]:
    """Register the images of each pair on all cores, and yield near-duplicates in order."""
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    tasks: Iterator[Task] = (
        (chunk, {row: (keypoints[row], crop(copies, shapes, row)) for row in np.unique(chunk).tolist()})
        for chunk in chunks
    )
    found = ordered_map(partial(_look_at, settings), tasks)
    return chain.from_iterable(progress(found, "second look", total=len(chunks)))


def _look_at(settings: NearDuplicates, task: Task) -> list[tuple[int, int, Fit]]:
    pairs, images = task
    found = []
    # Every core has a worker, so matrix products on several threads would only wait for each other.
    with threadpool_limits(1):
        views = {row: view(*image) for row, image in images.items()}
        for one, other in pairs.tolist():
            fit = register(views[one], views[other], settings.inliers)
            if fit is not None and fit.correlation >= settings.correlation:
                found.append((one, other, fit))
    return found


def cluster(count: int, pairs: Iterable[Pair]) -> list[int]:
    """Find, for each of `count` images, the first image that is connected to it by confirmed pairs."""
    sets = DisjointSets(count)
    for pair in pairs:
        sets.unite(pair.first, pair.second)
    return [sets.find(row) for row in range(count)]


def table(pairs: Iterable[Pair], images: Sequence[str]) -> Iterator[tuple[str, str, float, int, float]]:
    """Yield the rows of the table of confirmed pairs, with the names of the images."""
    for pair in pairs:
        yield (images[pair.first], images[pair.second], pair.similarity, pair.inliers, pair.correlation)
