"""Groups: the images of one patient, lesion or slide, and duplicates of each other, near or exact."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from oncovec.core.files import write_csv
from oncovec.core.tables import read_table

COPY_KEYS = ("sha256",)
"""Index columns whose equal values make two images duplicates of each other."""

KEYS = ("group", "lesion", *COPY_KEYS)
"""Index columns whose equal values join two images; an empty value joins nothing."""


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
    rows: Iterable[Mapping[str, str]],
    keys: tuple[str, ...] = KEYS,
    pairs: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """Join images that share a value of `keys`, are a `duplicate_of` one another, or a pair, transitively.

    Args:
        rows: rows of an index, in any order.
        keys: columns to join by; a column that is not there is passed over.
        pairs: images that were found to be near-duplicates.

    Returns:
        Group of each image, sorted by image. A group is named by the first of its images, so that
        the name does not depend on the order of the rows.
    """
    table = sorted(rows, key=lambda row: row["image"])
    sets = DisjointSets(len(table))
    first: dict[tuple[str, str], int] = {}
    for position, row in enumerate(table):
        for key in keys:
            if value := row.get(key):
                sets.unite(first.setdefault((key, value), position), position)
        # ISIC's list of duplicates names originals by their files' stems, whether they are here or not.
        if "duplicate_of" in row:
            for name in (Path(row["image"]).stem, *row["duplicate_of"].split()):
                sets.unite(first.setdefault(("duplicate_of", name), position), position)
    position_of = {row["image"]: position for position, row in enumerate(table)}
    for one, other in pairs:
        sets.unite(position_of[one], position_of[other])
    return {row["image"]: table[sets.find(position)]["image"] for position, row in enumerate(table)}


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
    write_csv(path, ("image", "group", "duplicates"), rows)


def read(path: Path) -> dict[str, str]:
    """Read the group of each image."""
    return {row["image"]: row["group"] for row in read_table(path, ("image", "group"))}


def read_copies(path: Path) -> dict[str, str]:
    """Read the cluster of duplicates that each image is in; an image without one is a cluster of its own."""
    return {row["image"]: row["duplicates"] for row in read_table(path, ("image", "duplicates"))}
