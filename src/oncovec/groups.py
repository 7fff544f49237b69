"""Groups: the images of one patient, lesion or slide, and byte-copies of each other."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from oncovec.files import write_csv
from oncovec.tables import read_table

KEYS = ("group", "lesion", "sha256")
"""Index columns whose equal values join two images; an empty value joins nothing."""


def join(rows: Iterable[Mapping[str, str]], keys: tuple[str, ...] = KEYS) -> dict[str, str]:
    """Join images that share a value in any of `keys` or are a `duplicate_of` one another, transitively.

    Args:
        rows: rows of an index, in any order.
        keys: columns to join by; a column that is not there is passed over.

    Returns:
        Group of each image, sorted by image. A group is named by the first of its images, so that
        the name does not depend on the order of the rows.
    """
    table = sorted(rows, key=lambda row: row["image"])
    parent = list(range(len(table)))

    def find(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def unite(one: int, other: int) -> None:
        low, high = sorted((find(one), find(other)))
        parent[high] = low

    first: dict[tuple[str, str], int] = {}
    for position, row in enumerate(table):
        for key in keys:
            if value := row.get(key):
                unite(first.setdefault((key, value), position), position)
        # ISIC's list of duplicates names originals by their files' stems, whether they are here or not.
        if "duplicate_of" in row:
            for name in (Path(row["image"]).stem, *row["duplicate_of"].split()):
                unite(first.setdefault(("duplicate_of", name), position), position)
    return {row["image"]: table[find(position)]["image"] for position, row in enumerate(table)}


def write(groups: Mapping[str, str], path: Path) -> None:
    """Write the table `image,group`."""
    write_csv(path, ("image", "group"), groups.items())


def read(path: Path) -> dict[str, str]:
    """Read the group of each image."""
    return {row["image"]: row["group"] for row in read_table(path, ("image", "group"))}
