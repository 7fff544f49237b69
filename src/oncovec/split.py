"""The leak-free split: stratified by class, seeded, and no group on two sides."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oncovec import paths
from oncovec.errors import OncovecError
from oncovec.files import write_csv, write_json
from oncovec.tables import read_table

SIDES = ("train", "val", "test")
COLUMNS = ("image", "label", "group", "side")


@dataclass(frozen=True)
class Labelled:
    """Images that can be split, and what was left out.

    Attributes:
        images, labels, groups: equally long and sorted by image.
        two_labels: images left out because their byte-copies carry different labels.
        unlabelled: images left out because the label column is empty.
    """

    images: list[str]
    labels: list[str]
    groups: list[str]
    two_labels: int
    unlabelled: int


def labelled(index: Sequence[Mapping[str, str]], groups: Mapping[str, str], label: str) -> Labelled:
    """Take the images that have exactly one label.

    Raises:
        OncovecError: when the index has no such label column.
    """
    if index and label not in index[0]:
        raise OncovecError(f"no label column {label!r} in the index; there are {', '.join(index[0])}")
    seen: dict[str, set[str]] = defaultdict(set)
    for row in index:
        if row[label]:
            seen[row["sha256"]].add(row[label])
    rows = sorted(index, key=lambda row: row["image"])
    one = [row for row in rows if len(seen[row["sha256"]]) < 2]
    kept = [row for row in one if row[label]]
    return Labelled(
        [row["image"] for row in kept],
        [row[label] for row in kept],
        [groups[row["image"]] for row in kept],
        two_labels=len(rows) - len(one),
        unlabelled=len(one) - len(kept),
    )


def draw(labels: Sequence[str], groups: Sequence[str], shares: Sequence[float], seed: int) -> list[str]:
    """Give every image a side so that groups stay whole and classes keep their shares.

    Groups are taken class by class, the rarest class first, and within a class from large to small
    in a random order of equals; each goes to the side that it leaves least full, measured against
    the side's target for the group's classes. The last groups of a class are kept for sides that
    have none of it yet.

    Args:
        labels: class of each image.
        groups: group of each image, equally long.
        shares: shares of train, val and test, which add up to 1.
        seed: seed of the random order.

    Returns:
        Side of each image.

    Raises:
        OncovecError: for fewer than two classes, for a class with fewer than three groups, and for one
            that did not come on every side.
    """
    names, codes = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    _, members = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    counts = np.zeros((members.max(initial=-1) + 1, len(names)), dtype=np.int64)
    np.add.at(counts, (members, codes), 1)
    _check_classes(names.tolist(), counts)
    left = (counts > 0).sum(axis=0)
    target = np.outer(shares, counts.sum(axis=0))
    filled = np.zeros_like(target)
    side_of = np.empty(len(counts), dtype=np.int64)
    for group in _order(counts, left, seed):
        mine = counts[group]
        present = mine > 0
        empty = (filled == 0) & present & (left <= (filled == 0).sum(axis=0))
        needed = empty.sum(axis=1)
        allowed = needed == needed.max()
        fullness = (mine * (filled + mine) / target).sum(axis=1)
        side = int(np.where(allowed, fullness, np.inf).argmin())
        filled[side] += mine
        left = left - present
        side_of[group] = side
    _check_sides(names.tolist(), filled)
    return [SIDES[side] for side in side_of[members]]


def _order(counts: np.ndarray, groups_of_class: np.ndarray, seed: int) -> np.ndarray:
    """Order of assignment: rarest class, then large groups, then chance."""
    rarest = np.where(counts > 0, groups_of_class, np.iinfo(np.int64).max).min(axis=1)
    chance = np.random.default_rng(seed).permutation(len(counts))
    return np.lexsort((chance, -counts.sum(axis=1), rarest))


def _check_classes(names: Sequence[str], counts: np.ndarray) -> None:
    if len(names) < 2:
        raise OncovecError(f"only one class, {', '.join(names)!r}: a split needs at least two")
    images_of, groups_of = counts.sum(axis=0).tolist(), (counts > 0).sum(axis=0).tolist()
    small = [
        f"{name!r} has {images} image{'s' * (images != 1)} in {groups} group{'s' * (groups != 1)}"
        for name, images, groups in zip(names, images_of, groups_of, strict=True)
        if groups < len(SIDES)
    ]
    if small:
        raise OncovecError(
            f"too small for three sides: class {'; class '.join(small)}; at least 3 are needed"
        )


def _check_sides(names: Sequence[str], filled: np.ndarray) -> None:
    for side, row in zip(SIDES, filled, strict=True):
        for name, images in zip(names, row, strict=True):
            if not images:
                raise OncovecError(
                    f"class {name!r} found no place in {side}: its groups are too few, "
                    "or share too many classes; try another split.seed"
                )


def table(data: Labelled, sides: Sequence[str]) -> dict[str, Any]:
    """Images and groups a side and class, and what was left out, for `metrics/splits/`."""
    content: dict[str, Any] = {
        "images": len(data.images),
        "groups": len(set(data.groups)),
        "left_out": {"two_labels": data.two_labels, "unlabelled": data.unlabelled},
    }
    for side in SIDES:
        chosen = [(g, c) for g, c, s in zip(data.groups, data.labels, sides, strict=True) if s == side]
        images = Counter(c for _, c in chosen)
        groups = Counter(c for _, c in set(chosen))
        content[side] = {
            "images": len(chosen),
            "groups": len({g for g, _ in chosen}),
            "classes": {c: {"images": images[c], "groups": groups[c]} for c in sorted(images)},
        }
    return content


def write(data: Labelled, sides: Sequence[str], task: str, positive: str | None) -> None:
    """Write the split's table, its counts, and the classes that stand beside it.

    Raises:
        OncovecError: when the positive class has no image, or there are more classes than two.
    """
    classes = sorted(set(data.labels))
    if positive is not None and (positive not in classes or len(classes) != 2):
        raise OncovecError(
            f"tasks.{task}.positive = {positive!r}: needs two classes, this one among them; "
            f"there are {', '.join(classes)}"
        )
    write_csv(paths.split(task), COLUMNS, zip(data.images, data.labels, data.groups, sides, strict=True))
    write_json(paths.split_facts(task), {"classes": classes, "positive": positive})
    write_json(paths.split_metrics(task), table(data, sides))


def read(path: Path) -> list[dict[str, str]]:
    """Read a split: rows of `image,label,group,side`."""
    return read_table(path, COLUMNS)
