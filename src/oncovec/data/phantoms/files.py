"""Write drawn images, and the defects of published sets: exact and near-duplicates, and broken files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from oncovec.core.progress import progress
from oncovec.data.phantoms.canvas import chance, generator

COPIES = 0.015
"""Share of exact duplicates that is added to a dataset; at least one duplicate."""


@dataclass(frozen=True)
class Class:
    """One class of a dataset: number of images, path of the i-th image, and the function that writes it."""

    count: int
    path: Callable[[int], str]
    write: Callable[[Path, Generator, int], None]


@dataclass(frozen=True)
class Copy:
    """The `number`-th image of class `of` (beyond its count) is a copy of that class's `source`-th."""

    of: int
    number: int
    source: int
    near: bool


def save(path: Path, pixels: NDArray[np.uint8] | NDArray[np.bool_], quality: int = 92) -> None:
    """Write pixels, (H, W) or (H, W, 3), in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=quality)  # lossless formats ignore the quality


def fill(folder: Path, classes: Sequence[Class], seed: int, near: float = 0.03) -> list[Copy]:
    """Draw every image of every class, then add exact and near-duplicates within classes.

    Args:
        folder: the dataset's folder.
        classes: the classes to draw.
        seed: random seed of all draws; an image depends only on it and on its own path.
        near: share of near-duplicates to add; at least one is added.

    Returns:
        The added duplicates, so that tables can list them.
    """
    jobs = [(each, number) for each in classes for number in range(each.count)]
    for each, number in progress(jobs, "drawing"):
        path = each.path(number)
        each.write(folder / path, generator(seed, path), number)
    rng = generator(seed, "copies")
    exact = max(1, round(COPIES * len(jobs)))
    beyond = [each.count for each in classes]
    added: list[Copy] = []
    for _ in range(exact + max(1, round(near * len(jobs)))):
        of = int(rng.choice(len(classes), p=np.array(beyond) / sum(beyond)))
        copy = Copy(of, beyond[of], int(rng.integers(classes[of].count)), near=len(added) >= exact)
        beyond[of] += 1
        added.append(copy)
        source, target = (folder / classes[of].path(number) for number in (copy.source, copy.number))
        target.parent.mkdir(parents=True, exist_ok=True)
        if copy.near:
            write_near_duplicate(rng, source, target)
        else:
            target.write_bytes(source.read_bytes())
    return added


def write_near_duplicate(rng: Generator, source: Path, target: Path) -> None:
    """Write the source a little brighter or darker and encoded again; rotate half of them by 1-3 degrees."""
    with Image.open(source) as opened:
        picture = opened.copy()
    if chance(rng, 0.5):
        width, height = picture.size
        turned = picture.rotate(rng.uniform(1, 3) * rng.choice([-1, 1]), Image.Resampling.BICUBIC)
        # Cropping 3 % of each side removes most of the black corners.
        box = (0.03 * width, 0.03 * height, 0.97 * width, 0.97 * height)
        picture = turned.resize((width, height), Image.Resampling.BICUBIC, box=box)
    brighter = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.94, 1.06))
    save(target, np.asarray(brighter), quality=80)


def write_truncated(path: Path, source: Path) -> None:
    """Write the first 60 % of a good file, as after a broken transfer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = source.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])


def write_text(path: Path) -> None:
    """Write a text with the name of an image, as after a failed download."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("<html><body>503 Service Unavailable</body></html>\n", encoding="utf-8")
