"""The index of a dataset: a table of its images with labels, groups, sizes and hashes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.core import tables
from oncovec.core.errors import OncovecError
from oncovec.data.decode import Facts
from oncovec.data.layouts.listing import Listing, Record, count_missing
from oncovec.data.tree import Folder

MEASURED = ("width", "height", "mode", "sha256")


@dataclass(frozen=True)
class Index:
    """The index of a dataset.

    Attributes:
        table: one row per image that can be decoded, sorted by image, with the columns image, label columns,
            group, `MEASURED`, and facts sorted by name.
        unreadable: image and reason for each other image.
        counts: the content of `metrics/data/`, without the source.
    """

    table: pd.DataFrame
    unreadable: pd.DataFrame
    counts: Mapping[str, Any]


def build(tree: Folder, listing: Listing, found: Sequence[Facts | str]) -> Index:
    """Build the index from the images of a listing and their measured facts.

    Args:
        tree: the dataset's files, for messages.
        listing: its images.
        found: for each image, in order, the measured facts, or the reason why it cannot be read.

    Raises:
        OncovecError: if too few classes are left without the unreadable files.
    """
    both = list(zip(listing.records, found, strict=True))
    measured = [(record, facts) for record, facts in both if isinstance(facts, Facts)]
    failed = [(record.image, reason) for record, reason in both if isinstance(reason, str)]
    unreadable = tables.of(("image", "reason"), sorted([*failed, *listing.unreadable]))
    classes = {record.labels[listing.label_columns[0]] for record, _ in measured} - {""}
    if len(classes) < listing.least:
        image, reason = unreadable.iloc[0]
        raise OncovecError(
            f"{tree}: {len(unreadable)} of {len(measured) + len(unreadable)} images are unreadable, "
            f"which leaves {len(classes)} classes; the first is {image}: {reason}"
        )
    facts = sorted({fact for record, _ in measured for fact in record.facts})
    table = tables.of(
        ("image", *listing.label_columns, "group", *MEASURED, *facts),
        (_row(record, found, listing.label_columns, facts) for record, found in measured),
    )
    return Index(table, unreadable, _count(listing, table, len(unreadable)))


def write(index: Index, index_path: Path, unreadable_path: Path) -> None:
    """Write the table of images and the table of unreadable files."""
    tables.write(index_path, index.table)
    tables.write(unreadable_path, index.unreadable)


def read(path: Path) -> pd.DataFrame:
    """Read an index, one row per image; all values are text, empty if unknown.

    Raises:
        OncovecError: if the file is missing or is not an index.
    """
    return tables.read(path, ("image", "group", *MEASURED))


def _row(record: Record, found: Facts, label_columns: Sequence[str], facts: Iterable[str]) -> tuple[str, ...]:
    labels = [record.labels[column] for column in label_columns]
    measured = [str(getattr(found, column)) for column in MEASURED]
    return (record.image, *labels, record.group, *measured, *(record.value(fact) for fact in facts))


def label_columns(table: pd.DataFrame) -> list[str]:
    """Return the label columns of an index: the columns between `image` and `group`."""
    columns = list(table.columns)
    return columns[columns.index("image") + 1 : columns.index("group")]


def contradicted(table: pd.DataFrame) -> pd.Series:
    """Find the images that have an exact duplicate with another label in any label column: (N,) bool."""
    labels = table[label_columns(table)]
    # A missing label contradicts nothing.
    distinct = labels.where(labels != "").groupby(table["sha256"]).transform("nunique")
    return (distinct > 1).any(axis=1)


def rows_of(table: pd.DataFrame, images: Iterable[str]) -> NDArray[np.int64]:
    """Return the positions of images in an index, and so in the arrays in its order."""
    return np.asarray(pd.Index(table["image"]).get_indexer(list(images)), np.int64)


def _count(listing: Listing, table: pd.DataFrame, unreadable: int) -> dict[str, Any]:
    classes = {
        column: table.loc[table[column] != "", column].value_counts().sort_index().to_dict()
        for column in listing.label_columns
    }
    first = listing.label_columns[0]
    listed = {record.labels[first] for record in listing.records} - {""}
    kept = set(table["image"])
    return {
        "images": len(table),
        "classes": classes,
        "missing_classes": len(listing.missing_classes) + len(listed - set(classes[first])),
        "groups": table["group"][table["group"] != ""].nunique(),
        "unreadable": unreadable,
        "masks": listing.masks,
        "exact_duplicates": len(table) - table["sha256"].nunique(),
        "duplicates_with_two_labels": int(contradicted(table).sum()),
        "missing_values": count_missing(
            [record for record in listing.records if record.image in kept], listing.missing_values
        ),
    }
