"""The result of every adapter: the images of a dataset, their labels, groups and facts."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from oncovec.core.errors import OncovecError, one_line
from oncovec.data.tree import UNNAMED, Folder, is_plain_text


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
        unreadable: image, escaped, and reason for each file that is no record because of its name.
        least: least number of classes.
    """

    records: list[Record]
    label_columns: tuple[str, ...]
    masks: int
    missing_classes: tuple[str, ...]
    missing_values: Mapping[str, int]
    notes: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    least: int = 2


def make_listing(
    tree: Folder,
    records: Iterable[Record],
    *,
    label_columns: tuple[str, ...] = ("label",),
    classes: Iterable[str] = (),
    offered: Sequence[str] = (),
    masks: int = 0,
    notes: Iterable[str] = (),
    least: int = 2,
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
        least: least number of classes.

    Raises:
        OncovecError: for fewer classes.
    """
    every = sorted(records, key=lambda record: record.image)
    ordered = [record for record in every if is_plain_text(record.image)]
    unnamed = [one_line(record.image) for record in every if not is_plain_text(record.image)]
    present = {record.labels[label_columns[0]] for record in ordered} - {""}
    _refuse_two_spellings(tree, present)
    if len(present) < least:
        one = f"{tree}: {_too_few_classes(len(ordered), present)}"
        others = f"; {len(unnamed)} files are left out, such as {unnamed[0]}: {UNNAMED}" if unnamed else ""
        raise OncovecError(one + others)
    return Listing(
        records=ordered,
        label_columns=label_columns,
        masks=masks,
        missing_classes=tuple(sorted(set(classes) - present)),
        missing_values=count_missing(ordered, offered),
        notes=tuple(note for note in notes if note),
        unreadable=tuple((image, UNNAMED) for image in unnamed),
        least=least,
    )


def _too_few_classes(images: int, present: Iterable[str]) -> str:
    if not present:
        return f"none of the {images} images has a label"
    return f"all {images} images are of one class, {', '.join(present)!r}; two are needed"


def _refuse_two_spellings(tree: Folder, classes: Iterable[str]) -> None:
    first: dict[str, str] = {}
    for name in sorted(classes):
        plain = _spelled(name)
        if (other := first.setdefault(plain, name)) != name:
            raise OncovecError(f"{tree}: classes {other!r} and {name!r}: two spellings of one? Rename one")


def _spelled(name: str) -> str:
    """Return what two spellings of one class have in common: 1 and 1.0, Lung-cancer and lung cancer."""
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    try:
        return str(Decimal(plain.replace("_", "x")).normalize())  # Python reads 1_0 as 10
    except InvalidOperation:
        return " ".join(re.split(r"[\s_-]+", plain))


def count_missing(records: Sequence[Record], columns: Iterable[str]) -> dict[str, int]:
    """Count the records without a value in each of `columns`; columns without a gap are left out."""
    gaps = {column: sum(not record.value(column) for record in records) for column in columns}
    return {column: gap for column, gap in sorted(gaps.items()) if gap}
