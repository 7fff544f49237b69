"""Pairs of near-duplicates: likely ones are looked at again, and those that are confirmed make clusters."""

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
"""Pairs that a worker is given at once."""

COLUMNS = ("first", "second", "similarity", "inliers", "correlation")
"""Of the table of confirmed pairs."""

Grey = NDArray[np.uint8]
Task = tuple[NDArray[np.int64], dict[int, tuple[Keypoints, Grey]]]
"""Pairs of rows, and what the worker needs of each row."""


class Pair(NamedTuple):
    """Two images, by row, and how alike they are: cosine of the vectors, and what `register` says."""

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
) -> list[Pair]:
    """Find the pairs of images that come from the same original.

    Images whose small copies are equal need no second look, and those without texture would not stand it:
    each is paired with the first of its kind, and that one alone is compared with others.

    Args:
        copies: (N, 128, 128) grey, each image in its upper left corner; may be memory-mapped.
        shapes: (N, 2) height and width of each there.
        settings: how many keypoints and candidates, and what confirms a pair.
        rows: images that are compared; None for all. Of files of the same bytes one is enough.
        folder: where the keypoints lie meanwhile, 136 bytes each; None for the system's temporary folder.

    Returns:
        Confirmed pairs, sorted by rows.
    """
    chosen = np.arange(len(copies)) if rows is None else np.unique(np.array(rows, np.int64))
    first = same_pixels(copies, shapes, chosen)
    with KeypointFile(len(copies), folder) as keypoints:
        gather(keypoints, copies, shapes, chosen[first == chosen], settings.keypoints)
        # No second look confirms an image that has fewer keypoints than must agree.
        rich = np.flatnonzero(keypoints.counts >= settings.inliers)
        space = vectors(keypoints, rich)
        likely = rich[candidates(space, settings.neighbours)]
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
    """For each of `rows` the first of them whose small copy is the same."""
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
    """Register the images of each pair, with all cores, and yield near-duplicates in order."""
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
    # Every core has its worker; products spread over all cores would only wait for each other.
    with threadpool_limits(1):
        views = {row: view(*image) for row, image in images.items()}
        for one, other in pairs.tolist():
            fit = register(views[one], views[other], settings.inliers)
            if fit is not None and fit.correlation >= settings.correlation:
                found.append((one, other, fit))
    return found


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
