"""Somebody's own split, however it is laid out: side folders, or a CSV with a column of sides."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from oncovec import sides
from oncovec.audit.leaks import KEYS, RESERVED, key_of, plain
from oncovec.datasets.scan import SUFFIXES, is_image, note, read_rows, scan
from oncovec.errors import OncovecError
from oncovec.tree import Folder, alone

BESIDE = {"", "set", "data", "dataset", "split", "folder", "image", "images", "imgs"}
"""Words that may stand beside the name of a side: `test_set`, `Training Images`."""

IMAGE_COLUMNS = (
    *("image", "path", "file", "filename", "file_name", "filepath", "file_path"),
    *("image_path", "image_name", "image_file", "image_id", "id"),
)
SIDE_COLUMNS = ("side", "split", "set", "subset", "partition", "fold", "phase")
LABEL_COLUMNS = ("label", "class", "target", "category", "diagnosis", "dx")
_MASK = re.compile(r"_mask(_\d+)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """Names of a CSV's columns; None or nothing where they are to be found by their usual names."""

    image: str | None = None
    side: str | None = None
    label: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """The images of somebody's split, as columns of equal length; empty texts are unknown.

    Attributes:
        tree: where the images lie.
        images, sides, labels: one an image; an image that a table names twice is there twice.
        keys: patient, lesion, slide or group, as far as a table has them.
        notes: lines worth printing.
    """

    tree: Folder
    images: list[str]
    sides: list[str]
    labels: list[str]
    keys: dict[str, list[str]]
    notes: list[str]


def read(path: Path, table: Path | None = None, columns: Columns | None = None) -> Given:
    """Find out what somebody's images are, and which side each is on.

    Args:
        path: a folder; or a CSV, whose paths are relative to its own folder.
        table: a CSV whose paths are relative to the folder `path`.
        columns: of the CSV.

    Raises:
        OncovecError: when there is no such thing, no image, or a table that is wrong.
    """
    if table is None and path.is_file():
        if path.suffix.lower() != ".csv":
            raise OncovecError(f"{path}: neither a folder nor a CSV")
        path, table = path.parent, path
    if not path.is_dir():
        raise OncovecError(f"{path}: no such file or folder")
    if table is not None:
        return _read_table(Folder(path), table, columns or Columns())
    if columns not in (None, Columns()):
        raise OncovecError(f"{path}: columns are of a CSV, and this is a folder; name it with --table")
    return _read_folder(Folder(path))


def side_of(name: str) -> str | None:
    """The side that a folder or a cell of a table names: train, val, test; None for anything else."""
    words = set(re.split(r"[^a-z]+", name.lower())) - BESIDE
    return sides.side_of(words.pop()) if len(words) == 1 else None


def _read_folder(tree: Folder) -> Given:
    found = scan(tree.paths())
    masks = _masks(found.images)
    images = [image for image in found.images if image not in masks]
    if not images:
        raise OncovecError(f"{tree}: no image below this folder; looked for {', '.join(SUFFIXES)}")
    folders = [image.split("/")[:-1] for image in images]
    side = [next(filter(None, map(side_of, parents)), "") for parents in folders]
    classes = [[folder for folder in parents if not side_of(folder)] for parents in folders]
    notes = [
        note(len(masks), "masks of other images left out"),
        note(side.count("") if any(side) else 0, "images in no folder of a side"),
        note(found.others, "files that are no images ignored"),
    ]
    return Given(tree, images, side, _labels(classes), {}, [line for line in notes if line])


def _masks(images: Iterable[str]) -> set[str]:
    """Files named as masks of images that lie beside them, as in breast ultrasound."""
    stem_of = {image: image.rpartition(".")[0] for image in images}
    stems = set(stem_of.values())
    return {image for image, stem in stem_of.items() if _MASK.search(stem) and _MASK.sub("", stem) in stems}


def _labels(folders: list[list[str]]) -> list[str]:
    """Class of each image: the outermost folder that is not the same for all of them."""
    while folders and all(folders) and len({parents[0] for parents in folders}) == 1:
        folders = [parents[1:] for parents in folders]
    return [parents[0] if parents else "" for parents in folders]


def _read_table(tree: Folder, table: Path, asked: Columns) -> Given:
    rows = read_rows(*alone(table), [*filter(None, (asked.image, asked.side, asked.label)), *asked.groups])
    if not rows:
        raise OncovecError(f"{table}: no image found; it has a header and no rows")
    columns = _found(list(rows[0].cells), asked)
    if columns.image is None:
        header = ", ".join(rows[0].cells)
        raise OncovecError(f"{table}: no column of paths; name it with --image; there are {header}")

    def cells(column: str | None) -> list[str]:
        return [row.cells[column] if column else "" for row in rows]

    empty = [row.number for row in rows if not row.cells[columns.image]]
    if empty:
        raise OncovecError(f"{table}: row {empty[0]} has nothing in column {columns.image!r}")
    keys: dict[str, list[str]] = {}
    for column in columns.groups:
        key = key_of(column)
        keys[plain(column) if key in keys else key] = cells(column)
    images = _located(tree, cells(columns.image))
    side = [side_of(cell) or cell for cell in cells(columns.side)]
    if taken := sorted(set(side) & set(RESERVED)):
        raise OncovecError(f"{table}: a side may not be called {taken[0]!r}")
    return Given(tree, images, side, cells(columns.label), keys, [_said(table, columns, keys)])


def _found(header: Sequence[str], asked: Columns) -> Columns:
    """Fill in what was not asked for by the usual names; no column serves twice."""

    def usual(names: Iterable[str]) -> list[str]:
        return [column for name in names for column in header if plain(column) == name]

    taken = {asked.image, asked.side, asked.label, *asked.groups}

    def choose(column: str | None, names: Iterable[str]) -> str | None:
        chosen = column or next((name for name in usual(names) if name not in taken), None)
        taken.add(chosen)
        return chosen

    image = choose(asked.image, IMAGE_COLUMNS)
    side, label = choose(asked.side, SIDE_COLUMNS), choose(asked.label, LABEL_COLUMNS)
    groups = usual(name for names in KEYS.values() for name in names)
    return Columns(image, side, label, asked.groups or tuple(name for name in groups if name not in taken))


def _located(tree: Folder, names: list[str]) -> list[str]:
    """Paths as they are; or, of a table that names images without their suffix, the files of that name."""
    if any(is_image(name) for name in names):
        return [PurePosixPath(name).as_posix() for name in names]
    file_of = {PurePosixPath(path).stem: path for path in scan(tree.paths()).images}
    return [file_of.get(name, name) for name in names]


def _said(table: Path, columns: Columns, keys: Iterable[str]) -> str:
    used = [("image", columns.image), ("side", columns.side), ("label", columns.label)]
    used += zip(keys, columns.groups, strict=True)
    return f"columns of {table.name}: {', '.join(f'{what} {column!r}' for what, column in used if column)}"
