"""The index of a dataset: a table of its images, their labels, groups, sizes and hashes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oncovec.core.errors import OncovecError
from oncovec.core.files import write_csv
from oncovec.core.tables import read_table
from oncovec.data.decode import Facts
from oncovec.data.layouts.listing import Listing, Record, count_missing
from oncovec.data.tree import Folder

MEASURED = ("width", "height", "mode", "sha256")


@dataclass(frozen=True)
class Index:
    """A dataset's table.

    Attributes:
        columns: image, label columns, group, what was measured, facts by name.
        rows: one per image that decodes, sorted by image.
        unreadable: image and reason of the others.
        counts: the content of `metrics/data/`, without the source.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    unreadable: list[tuple[str, str]]
    counts: Mapping[str, Any]

    def column(self, name: str) -> list[str]:
        """Return one column, in the order of the rows."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def build(tree: Folder, listing: Listing, found: Sequence[Facts | str]) -> Index:
    """Put what was measured of the images of a listing into a table.

    Args:
        tree: the dataset's files, for messages.
        listing: its images.
        found: of each image, in order, what was measured, or why it cannot be read.

    Raises:
        OncovecError: when fewer than two classes are left after leaving out unreadable files.
    """
    both = list(zip(listing.records, found, strict=True))
    measured = [(record, facts) for record, facts in both if isinstance(facts, Facts)]
    unreadable = [(record.image, reason) for record, reason in both if isinstance(reason, str)]
    classes = {record.labels[listing.label_columns[0]] for record, _ in measured}
    if len(classes) < 2:
        image, reason = unreadable[0]
        raise OncovecError(
            f"{tree}: {len(unreadable)} of {len(listing.records)} images are unreadable, "
            f"which leaves {len(classes)} classes; the first is {image}: {reason}"
        )
    facts = sorted({fact for record, _ in measured for fact in record.facts})
    return Index(
        columns=("image", *listing.label_columns, "group", *MEASURED, *facts),
        rows=[_row(record, found, listing.label_columns, facts) for record, found in measured],
        unreadable=unreadable,
        counts=_count(listing, measured, len(unreadable)),
    )


def write(index: Index, index_path: Path, unreadable_path: Path) -> None:
    """Write the table and the unreadable files."""
    write_csv(index_path, index.columns, index.rows)
    write_csv(unreadable_path, ("image", "reason"), index.unreadable)


def read(path: Path) -> list[dict[str, str]]:
    """Read an index back, one dict per image; all values are text, empty where unknown.

    Raises:
        OncovecError: when the file is missing or is not an index.
    """
    return read_table(path, ("image", "group", *MEASURED))


def _row(record: Record, found: Facts, label_columns: Sequence[str], facts: Iterable[str]) -> tuple[str, ...]:
    labels = [record.labels[column] for column in label_columns]
    measured = [str(getattr(found, column)) for column in MEASURED]
    return (record.image, *labels, record.group, *measured, *(record.value(fact) for fact in facts))


def _count(listing: Listing, measured: Sequence[tuple[Record, Facts]], unreadable: int) -> dict[str, Any]:
    records = [record for record, _ in measured]
    classes = {
        column: dict(sorted(Counter(record.labels[column] for record in records).items()))
        for column in listing.label_columns
    }
    first = listing.label_columns[0]
    listed = {record.labels[first] for record in listing.records}
    copies: dict[str, list[Record]] = defaultdict(list)
    for record, found in measured:
        copies[found.sha256].append(record)
    return {
        "images": len(records),
        "classes": classes,
        "missing_classes": len(listing.missing_classes) + len(listed - set(classes[first])),
        "groups": len({record.group for record in records if record.group}),
        "unreadable": unreadable,
        "masks": listing.masks,
        "exact_duplicates": len(records) - len(copies),
        "duplicates_with_two_labels": sum(len(same) for same in copies.values() if _disagree(same)),
        "missing_values": count_missing(records, listing.missing_values),
    }


def _disagree(records: Sequence[Record]) -> bool:
    return any(record.labels != records[0].labels for record in records)
