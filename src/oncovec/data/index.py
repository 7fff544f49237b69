"""The index of a dataset: every image decoded once, measured, hashed, and written as a table."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

from oncovec.core.errors import OncovecError
from oncovec.core.files import write_csv, write_json
from oncovec.core.parallel import ordered_map
from oncovec.core.progress import progress
from oncovec.core.tables import read_table
from oncovec.data.decode import Facts, UnreadableImageError, probe
from oncovec.data.layouts.listing import Listing, Record, count_missing
from oncovec.data.tree import Folder

CHUNK = 64
"""Images a worker takes at once."""

MEASURED = ("width", "height", "mode", "sha256")


@dataclass(frozen=True)
class Index:
    """A dataset's table.

    Attributes:
        columns: image, label columns, group, what was measured, facts by name.
        rows: one an image that decodes, sorted by image.
        unreadable: image and reason of the others.
        counts: the content of the metrics file, without the source.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    unreadable: list[tuple[str, str]]
    counts: Mapping[str, Any]


def build(tree: Folder, listing: Listing, workers: int | None = None) -> Index:
    """Decode every image of a listing once and put what was found into a table.

    Args:
        tree: the dataset's files.
        listing: its images.
        workers: processes; None for one a core. The result does not depend on it.

    Raises:
        OncovecError: when fewer than two classes are left after leaving out unreadable files.
    """
    measured: list[tuple[Record, Facts]] = []
    unreadable: list[tuple[str, str]] = []
    images = [record.image for record in listing.records]
    for record, found in zip(listing.records, probe_all(tree, images, workers), strict=True):
        if isinstance(found, Facts):
            measured.append((record, found))
        else:
            unreadable.append((record.image, found))
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


def probe_all(tree: Folder, images: Sequence[str], workers: int | None = None) -> list[Facts | str]:
    """Decode images once; of each, in order, what was measured, or why it cannot be read.

    Args:
        tree: where they lie.
        images: their paths.
        workers: processes; None for one a core.
    """
    chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    blocks = ordered_map(partial(_probe_chunk, tree), chunks, workers)
    what = f"verify {PurePath(str(tree)).name}"
    return list(progress(chain.from_iterable(blocks), what, total=len(images)))


def write(index: Index, index_path: Path, unreadable_path: Path, metrics_path: Path, source: str) -> None:
    """Write the table, the unreadable files and the counts; `source` is phantom, local or remote."""
    write_csv(index_path, index.columns, index.rows)
    write_csv(unreadable_path, ("image", "reason"), index.unreadable)
    write_json(metrics_path, {"source": source, **index.counts})


def read(path: Path) -> list[dict[str, str]]:
    """Read an index back, one dict an image; all values are text, empty where unknown.

    Raises:
        OncovecError: when the file is missing or is not an index.
    """
    return read_table(path, ("image", "group", *MEASURED))


def _probe_chunk(tree: Folder, images: Sequence[str]) -> list[Facts | str]:
    return [_probe_one(tree, image) for image in images]


def _probe_one(tree: Folder, image: str) -> Facts | str:
    try:
        return probe(tree, image)
    except UnreadableImageError as error:
        return error.reason


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
        "byte_copies": len(records) - len(copies),
        "copies_with_two_labels": sum(len(same) for same in copies.values() if _disagree(same)),
        "missing_values": count_missing(records, listing.missing_values),
    }


def _disagree(records: Sequence[Record]) -> bool:
    return any(record.labels != records[0].labels for record in records)
