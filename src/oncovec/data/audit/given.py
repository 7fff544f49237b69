"""Read a user's own split: folders named after splits, or a CSV with a column of splits."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from oncovec.core.errors import OncovecError
from oncovec.data import folders
from oncovec.data.audit.leaks import IN_A_SPLIT, KEYS, RESERVED, key_of, plain, splits_of
from oncovec.data.layouts.locate import Locator
from oncovec.data.layouts.scan import SUFFIXES, is_image, known, note, read_rows, scan
from oncovec.data.split_names import HOW, SPLITS, splits_by_name
from oncovec.data.tree import Folder, alone, kind

IMAGE_COLUMNS = (
    *("image", "path", "file", "filename", "file_name", "filepath", "file_path"),
    *("image_path", "image_name", "image_file", "image_id", "id"),
)
SPLIT_COLUMNS = ("split", "side", "set", "subset", "partition", "fold", "phase")
LABEL_COLUMNS = ("label", "class", "target", "category", "diagnosis", "dx")


@dataclass(frozen=True)
class Columns:
    """Names of a CSV's columns; None or () for columns that are found by their usual names."""

    image: str | None = None
    split: str | None = None
    label: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """The images of a user's split, as columns of equal length; an empty string means unknown.

    Attributes:
        tree: tree of the images.
        images, splits, labels: one entry per image; an image that is twice in a table has two entries.
        keys: patient, lesion, slide or group, if a table has them.
        notes: lines to print.
        doubts: reasons why leaks may be missed, one line each; a check fails if there is one.
    """

    tree: Folder
    images: list[str]
    splits: list[str]
    labels: list[str]
    keys: dict[str, list[str]]
    notes: list[str]
    doubts: list[str]


def read(path: Path, table: Path | None = None, columns: Columns | None = None) -> Given:
    """Read the images of a user's split, and the split of each image.

    Args:
        path: a folder; or a CSV, whose paths are relative to its own folder.
        table: a CSV whose paths are relative to the folder `path`.
        columns: columns of the CSV.

    Raises:
        OncovecError: if the path does not exist, there is no image, the table is invalid, or there is only
            one split.
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


def _read_folder(tree: Folder) -> Given:
    found = scan(*tree.walk(every=True), tree)
    images = found.images
    if not images:
        raise OncovecError(f"{tree}: no image below this folder; looked for {', '.join(SUFFIXES)}")
    places = folders.places(images)
    split = [place.split for place in places]
    strays = folders.strays(places)
    _refuse_one_split(str(tree), split, f"none in {_listed(strays)}; " if strays else "")
    doubts = []
    if strays:
        doubts.append(
            f"{tree}: leaks through {strays.total()} images are missed, for no split is "
            f"recognised in {_listed(strays)}; {HOW}"
        )
    loose = split.count("") - strays.total() if any(split) else 0
    notes = [
        note(loose, "images in no folder of a split"),
        note(sum(place.is_twofold for place in places), "images in folders of two splits; the inner counts"),
        *found.notes(),
    ]
    return Given(tree, images, split, folders.labels(places), {}, [line for line in notes if line], doubts)


def _listed(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _refuse_one_split(where: str, splits: Sequence[str], others: str = "") -> None:
    if len(present := splits_of(splits)) == 1:
        raise OncovecError(f"{where}: no verdict: {present[0]} is the only split recognised; {others}{HOW}")


def _read_table(tree: Folder, table: Path, asked: Columns) -> Given:
    rows = read_rows(*alone(table), [*filter(None, (asked.image, asked.split, asked.label)), *asked.groups])
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
    unknown = []
    for column in columns.groups:
        values = list(map(known, cells(column)))
        if any(values):
            keys[_key(column, keys)] = values
        else:
            unknown.append(column)
    images, respelled = _located(tree, table, cells(columns.image))
    named = list(map(known, cells(columns.split)))
    split_by_name = splits_by_name(set(named))
    split = [split_by_name[cell] or cell for cell in named]
    if taken := sorted(set(split) & set(RESERVED)):
        raise OncovecError(f"{table}: a split may not be called {taken[0]!r}")
    _refuse_one_split(str(table), split)
    used = [("image", columns.image), ("split", columns.split), ("label", columns.label)]
    used += [(key, column) for key, column in zip(keys, _without(columns.groups, unknown), strict=True)]
    notes = [
        f"columns of {table.name}: {', '.join(f'{what} {column!r}' for what, column in used if column)}",
        *(f"column {column!r} has no known value and is left out" for column in unknown),
        note(split.count("") if any(split) else 0, "rows in no split"),
        *respelled,
    ]
    labels = cells(columns.label)
    return Given(tree, images, split, labels, keys, [line for line in notes if line], _doubts(table, split))


def _doubts(table: Path, splits: Sequence[str]) -> list[str]:
    """Name splits that are not train, val or test if others are, because they may also be training data."""
    present = splits_of(splits)
    others = [split for split in present if split not in SPLITS]
    if not others or len(others) == len(present):
        return []
    count = sum(split in others for split in splits)
    return [f"{table}: leaks through {count} images may be missed, for no split is {_listed(others)}; {HOW}"]


def _without(columns: Iterable[str], left_out: Sequence[str]) -> list[str]:
    return [column for column in columns if column not in left_out]


def _key(column: str, taken: Collection[str]) -> str:
    """Choose the name of a column in the audit: its kind; if that is taken, its own name, made unique."""
    if (key := key_of(column)) not in (*taken, *IN_A_SPLIT):
        return key
    key = plain(column)
    while key in taken or key in IN_A_SPLIT:
        key += "_column"
    return key


def _found(header: Sequence[str], asked: Columns) -> Columns:
    """Fill in columns that the user did not name, by the usual names; no column is used twice."""

    def usual(names: Iterable[str]) -> list[str]:
        return [column for name in names for column in header if plain(column) == name]

    taken = {asked.image, asked.split, asked.label, *asked.groups}

    def choose(column: str | None, names: Iterable[str]) -> str | None:
        chosen = column or next((name for name in usual(names) if name not in taken), None)
        taken.add(chosen)
        return chosen

    image = choose(asked.image, IMAGE_COLUMNS)
    split, label = choose(asked.split, SPLIT_COLUMNS), choose(asked.label, LABEL_COLUMNS)
    groups = usual(name for names in KEYS.values() for name in names)
    return Columns(image, split, label, asked.groups or tuple(name for name in groups if name not in taken))


def _located(tree: Folder, table: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """Find the file of each name; a name of no file stays as it is.

    Returns:
        The paths in the tree, and lines to print.

    Raises:
        OncovecError: for a name that may be several files.
    """
    locate = Locator(tree, every=True)
    return [_file(locate, table, name) for name in names], locate.notes(table.name)


def _file(locate: Locator, table: Path, name: str) -> str:
    path = PurePosixPath(name).as_posix()
    if is_image(path) and kind(locate.tree.root / path):
        return path
    found = locate(path)
    if len(found) > 1:
        raise OncovecError(f"{table}: {name!r} may be {_listed(found)}; write paths in the table")
    return found[0] if found else path
