"""Groups: images of one patient, lesion or slide, and exact and near-duplicates of each other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from oncovec.core import tables

COPY_KEYS = ("sha256",)
"""Index columns; two images with an equal value are duplicates of each other."""

KEYS = ("group", "lesion", *COPY_KEYS)
"""Index columns; two images with an equal value are in one group. An empty value joins nothing."""


COLUMNS = ("image", "group", "duplicates")


class DisjointSets:
    """Disjoint sets of the numbers below `count` (union-find); the name of a set is its smallest member."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, item: int) -> int:
        """Return the name of the set of `item`."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def unite(self, one: int, other: int) -> None:
        """Merge the sets of `one` and `other`."""
        low, high = sorted((self.find(one), self.find(other)))
        self._parent[high] = low


def join(
    table: pd.DataFrame,
    keys: tuple[str, ...] = KEYS,
    pairs: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """Join images into groups.

    Two images are joined if they share a value of `keys`, if one is a `duplicate_of` the other, or if they
    are one of `pairs`. Joining is transitive.

    Args:
        table: an index, in any order.
        keys: columns to join by; missing columns are skipped.
        pairs: pairs of near-duplicates.

    Returns:
        Group of each image, sorted by image. The name of a group is the first of its images by name, so it
        does not depend on the order of the rows.
    """
    table = table.sort_values("image")
    images = table["image"].tolist()
    sets = DisjointSets(len(images))
    first: dict[tuple[str, str], int] = {}
    for key in (key for key in keys if key in table):
        for position, value in enumerate(table[key]):
            if value:
                sets.unite(first.setdefault((key, value), position), position)
    # ISIC's list of duplicates names originals by file stem, also if they are missing from the index.
    for position, originals in enumerate(table.get("duplicate_of", ())):
        for name in (Path(images[position]).stem, *originals.split()):
            sets.unite(first.setdefault(("duplicate_of", name), position), position)
    position_of = {image: position for position, image in enumerate(images)}
    for one, other in pairs:
        sets.unite(position_of[one], position_of[other])
    return {image: images[sets.find(position)] for position, image in enumerate(images)}


def bridges(table: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs whose images have different values in the column `group`, such as two patients."""
    group_of = dict(zip(table["image"], table["group"], strict=True))
    return [(a, b) for a, b in pairs if group_of[a] and group_of[b] and group_of[a] != group_of[b]]


def table(groups: Mapping[str, str], duplicates: Mapping[str, str], pairs: int) -> dict[str, Any]:
    """Count groups and clusters of duplicates, and find the largest of both, for `metrics/groups/`."""
    group_sizes, cluster_sizes = Counter(groups.values()), Counter(filter(None, duplicates.values()))
    shared = [size for size in cluster_sizes.values() if size > 1]
    return {
        "images": len(groups),
        "groups": len(group_sizes),
        "largest_group": max(group_sizes.values(), default=0),
        "near_duplicates": {
            "pairs": pairs,
            "clusters": len(shared),
            "images": sum(shared),
            "largest_cluster": max(shared, default=0),
        },
    }


def write(groups: Mapping[str, str], duplicates: Mapping[str, str], path: Path) -> None:
    """Write the table `image,group,duplicates`; a blank image has no cluster of duplicates."""
    rows = ((image, group, duplicates[image]) for image, group in groups.items())
    tables.write(path, tables.of(COLUMNS, rows))


def read(path: Path) -> pd.DataFrame:
    """Read the table `image,group,duplicates`.

    An image without duplicates is its own cluster; a blank image has none.
    """
    return tables.read(path, COLUMNS)
