"""The result of every adapter: the images of a dataset, their labels, groups and facts."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oncovec.core.errors import OncovecError
from oncovec.data.tree import Folder


@dataclass(frozen=True, slots=True)
class Record:
    """One image: `image` is its path in the dataset's tree; an empty `group` means unknown."""

    image: str
    labels: Mapping[str, str]
    group: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    def value(self, column: str) -> str:
        """Return the group or the fact `column`; empty if it is not known."""
        return self.group if column == "group" else self.facts.get(column, "")


@dataclass(frozen=True)
class Listing:
    """A dataset's images, sorted by path.

    Attributes:
        records: one record per image.
        label_columns: label columns that can be learned; the first one has the finest classes.
        masks: number of files left out because they are masks of other images.
        missing_classes: published classes of the first label column that have no image.
        missing_values: for each column of the layout with gaps, the number of images without a value.
        notes: lines to print.
    """

    records: list[Record]
    label_columns: tuple[str, ...]
    masks: int
    missing_classes: tuple[str, ...]
    missing_values: Mapping[str, int]
    notes: tuple[str, ...]


def make_listing(
    tree: Folder,
    records: Iterable[Record],
    *,
    label_columns: tuple[str, ...] = ("label",),
    classes: Iterable[str] = (),
    offered: Sequence[str] = (),
    masks: int = 0,
    notes: Iterable[str] = (),
) -> Listing:
    """Sort the records and count what is missing.

    Args:
        tree: tree of the images, for messages.
        records: at least one, in any order.
        label_columns: keys of every record's labels.
        classes: published classes of the first label column.
        offered: `group` or facts that this layout should have for every image.
        masks: number of files left out because they are masks.
        notes: lines to print; empty ones are dropped.

    Raises:
        OncovecError: for fewer than two classes, and for a path that cannot be written into a table.
    """
    ordered = sorted(records, key=lambda record: record.image)
    for record in ordered:
        if not _storable(record.image):
            raise OncovecError(f"{tree}: {record.image!r} has a line break or is not UTF-8; rename the file")
    present = {record.labels[label_columns[0]] for record in ordered} - {""}
    _refuse_two_spellings(tree, present)
    if len(present) < 2:
        raise OncovecError(
            f"{tree}: all {len(ordered)} images are of one class, {', '.join(present)!r}; two are needed"
        )
    return Listing(
        records=ordered,
        label_columns=label_columns,
        masks=masks,
        missing_classes=tuple(sorted(set(classes) - present)),
        missing_values=count_missing(ordered, offered),
        notes=tuple(note for note in notes if note),
    )


def _refuse_two_spellings(tree: Folder, classes: Iterable[str]) -> None:
    first: dict[str, str] = {}
    for name in sorted(classes):
        plain = " ".join(re.split(r"[\s_-]+", name.casefold().strip()))
        if (other := first.setdefault(plain, name)) != name:
            raise OncovecError(f"{tree}: classes {other!r} and {name!r}: two spellings of one? Rename one")


def count_missing(records: Sequence[Record], columns: Iterable[str]) -> dict[str, int]:
    """Count the records without a value in each of `columns`; columns without a gap are left out."""
    gaps = {column: sum(not record.value(column) for record in records) for column in columns}
    return {column: gap for column, gap in sorted(gaps.items()) if gap}


def _storable(name: str) -> bool:
    if name.isascii() and name.isprintable():
        return True
    # Python represents undecodable bytes of a file name as lone surrogates.
    return not any(letter in "\r\n\0" or "\ud800" <= letter <= "\udfff" for letter in name)
