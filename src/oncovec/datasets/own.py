"""The user's own dataset: a folder of class folders, or a CSV of paths, labels and groups."""

import os
import stat
from functools import cache
from pathlib import Path, PurePosixPath

from oncovec.datasets.listing import CsvColumns, Listing, Record, make_listing
from oncovec.datasets.scan import TableRow, note, read_rows, scan
from oncovec.errors import OncovecError

RESERVED = ("image", "label", "group", "width", "height", "mode", "sha256", "lesion", "duplicate_of")
"""Columns that the index fills itself, or that join groups; of a user's own, the group column alone does."""


def read_folders(root: Path) -> Listing:
    """List class folders directly below `root`: label `label` is the folder's name, at any depth inside."""
    found = scan(root)
    inside = [image for image in found.images if "/" in image]
    if not inside:
        raise OncovecError(f"{root}: no image found; looked for one folder a class with images inside")
    records = [Record(image, {"label": image.partition("/")[0]}) for image in inside]
    notes = [
        note(found.others, "files that are no images ignored"),
        note(len(found.images) - len(inside), "images in no class folder ignored"),
    ]
    return make_listing(root, records, classes=_folders(root), notes=notes)


def _folders(root: Path) -> list[str]:
    """Folders directly below `root`: each is a class, with images or without."""
    return [entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def read_csv(root: Path, columns: CsvColumns) -> Listing:
    """List the images of a CSV: label `label`, group where there is one, other columns as facts.

    Paths are relative to `root`. Row numbers in messages count the header as row 1.

    Raises:
        OncovecError: for a missing file or column, an empty path or label, an image that is missing,
            listed twice, or outside of `root`, also by way of a link.
    """
    path = root / columns.file
    if Path(columns.file).is_absolute() or ".." in Path(columns.file).parts:
        raise OncovecError(f"columns.file = {columns.file!r}: the CSV must lie below {root}")
    group = columns.group
    named = [columns.image, columns.label]
    rows = read_rows(path, named if group in (None, "group") else [*named, str(group)])
    if not rows:
        raise OncovecError(f"{path}: no image found; it has a header and no rows")
    others = [column for column in rows[0].cells if column not in (*named, group)]
    facts = [column for column in others if column and column not in RESERVED]
    locate = _Locator(root, path)
    records = [_record(locate, row, columns, group, facts) for row in rows]
    left_out = ", ".join(column for column in others if column in RESERVED)
    notes = [
        f"columns of {columns.file} left out, since the index has its own of that name: {left_out}"
        if left_out
        else ""
    ]
    offered = [*(["group"] if group and group in rows[0].cells else []), *facts]
    return make_listing(root, records, offered=offered, notes=notes)


def _record(
    locate: "_Locator", row: TableRow, columns: CsvColumns, group: str | None, facts: list[str]
) -> Record:
    image = locate(row.number, row.cells[columns.image])
    label = row.cells[columns.label]
    if not label:
        raise OncovecError(f"{locate.table}: row {row.number}: the label of {image} is empty")
    values = {fact: row.cells[fact] for fact in facts}
    return Record(image, {"label": label}, row.cells.get(group, "") if group else "", values)


class _Locator:
    """Turns the paths of a table into paths below `root`, and refuses what is not there or twice."""

    def __init__(self, root: Path, table: Path) -> None:
        self.root = root
        self.table = table
        self.rows: dict[str, int] = {}
        self.is_inside = cache(self._is_inside)

    def __call__(self, number: int, cell: str) -> str:
        where = f"{self.table}: row {number}"
        if not cell:
            raise OncovecError(f"{where}: the path is empty")
        path = PurePosixPath(cell)
        image = path.as_posix()
        if path.is_absolute() or ".." in path.parts:
            raise OncovecError(f"{where}: {cell} points outside of {self.root}; give a path below it")
        try:
            status = os.lstat(self.root / path)
            # Only folders and links need resolving; a plain file lies where its folder lies.
            inside = self.is_inside(path if stat.S_ISLNK(status.st_mode) else path.parent)
            regular = stat.S_ISREG(status.st_mode) or (self.root / path).is_file()
        except (OSError, ValueError):
            raise OncovecError(f"{where}: {cell} is not there; paths are relative to {self.root}") from None
        if not inside:
            raise OncovecError(f"{where}: {cell} is a link that points outside of {self.root}")
        if not regular:
            raise OncovecError(f"{where}: {cell} is not a file")
        first = self.rows.setdefault(image, number)
        if first != number:
            raise OncovecError(f"{where}: {cell} is already in row {first}; an image may be there once")
        return image

    def _is_inside(self, path: PurePosixPath) -> bool:
        resolved = (self.root / path).resolve(strict=True)
        return resolved.is_relative_to(self.root.resolve())
