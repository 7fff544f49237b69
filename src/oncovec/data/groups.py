"""Groups: the images of one patient, lesion or slide, and duplicates of each other, near or exact."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from oncovec.core import tables

COPY_KEYS = ("sha256",)
"""Index columns whose equal values make two images duplicates of each other."""

KEYS = ("group", "lesion", *COPY_KEYS)
"""Index columns whose equal values join two images; an empty value joins nothing."""


COLUMNS = ("image", "group", "duplicates")


class DisjointSets:
    """Sets of the numbers below `count`, each named by its smallest member (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, item: int) -> int:
        """Name of the set that `item` is in."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def unite(self, one: int, other: int) -> None:
        """Make one set of the two that hold `one` and `other`."""
        low, high = sorted((self.find(one), self.find(other)))
        self._parent[high] = low


def join(
    table: pd.DataFrame,
    keys: tuple[str, ...] = KEYS,
    pairs: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """Join images that share a value of `keys`, are a `duplicate_of` one another, or a pair, transitively.

    Args:
        table: an index, in any order.
        keys: columns to join by; a column that is not there is passed over.
        pairs: images that were found to be near-duplicates.

    Returns:
        Group of each image, sorted by image. A group is named by the first of its images, so that
        the name does not depend on the order of the rows.
    """
    table = table.sort_values("image")
    images = table["image"].tolist()
    sets = DisjointSets(len(images))
    first: dict[tuple[str, str], int] = {}
    for key in (key for key in keys if key in table):
        for position, value in enumerate(table[key]):
            if value:
                sets.unite(first.setdefault((key, value), position), position)
    # ISIC's list of duplicates names originals by their files' stems, whether they are here or not.
    for position, originals in enumerate(table.get("duplicate_of", ())):
        for name in (Path(images[position]).stem, *originals.split()):
            sets.unite(first.setdefault(("duplicate_of", name), position), position)
    position_of = {image: position for position, image in enumerate(images)}
    for one, other in pairs:
        sets.unite(position_of[one], position_of[other])
    return {image: images[sets.find(position)] for position, image in enumerate(images)}


def table(groups: Mapping[str, str], duplicates: Mapping[str, str], pairs: int) -> dict[str, Any]:
    """Counts for `metrics/groups/`: groups, clusters of duplicates, and the largest of both, in images."""
    group_sizes, cluster_sizes = Counter(groups.values()), Counter(duplicates.values())
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
    """Write the table `image,group,duplicates`."""
    rows = ((image, group, duplicates[image]) for image, group in groups.items())
    tables.write(path, tables.of(COLUMNS, rows))


def read(path: Path) -> pd.DataFrame:
    """Read the table `image,group,duplicates`; an image without duplicates is a cluster of its own."""
    return tables.read(path, COLUMNS)
