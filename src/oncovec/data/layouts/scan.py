"""Find the image files of a dataset and read its tables."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper

from oncovec.core.errors import OncovecError
from oncovec.data.tree import Folder

SUFFIXES = ("jpg", "jpeg", "png", "tif", "tiff", "bmp", "gif", "webp")

UNKNOWN = ("", "-", "?", "na", "n/a", "<na>", "nan", "none", "null", "unknown")
"""Cells that mean an unknown value, in any letter case."""


@dataclass(frozen=True)
class Scan:
    """Image files of a tree, in the order of the tree, and the number of other files."""

    images: list[str]
    others: int


@dataclass(frozen=True)
class TableRow:
    """One row of a table: its row number, where the header is row 1, and its cells without outer blanks."""

    number: int
    cells: Mapping[str, str]


def scan(paths: Sequence[str]) -> Scan:
    """Find the images among the files of a tree, by file name only."""
    images = [path for path in paths if is_image(path)]
    return Scan(images, len(paths) - len(images))


def images_by_stem(paths: Iterable[str], folder: str) -> dict[str, str]:
    """Map file name without suffix to path, for the images directly in `folder`; '' is the top folder."""
    inside = [path for path in paths if path.rpartition("/")[0] == folder and is_image(path)]
    return {path.rpartition("/")[2].rpartition(".")[0]: path for path in inside}


def is_image(path: str) -> bool:
    """Whether a file is an image, by its suffix."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() in SUFFIXES


def nearest_folder(image: str, names: Iterable[str]) -> str | None:
    """Return the innermost folder of `image`, in lower case, that is one of `names`."""
    folders = image.lower().split("/")[:-1]
    return next((folder for folder in reversed(folders) if folder in names), None)


def read_rows(tree: Folder, name: str, columns: Sequence[str]) -> list[TableRow]:
    """Read a CSV that was not written by Oncovec.

    Raises:
        OncovecError: if the file is missing, is not UTF-8 text, lacks one of `columns`, has a column twice,
            or has a row with more or fewer cells than the header. The message has the row number, if there
            is one.
    """
    where = tree.where(name)
    try:
        stream = TextIOWrapper(BytesIO(tree.read(name)), newline="", encoding="utf-8-sig")
        return list(_rows(where, csv.reader(stream, strict=True), columns))
    except FileNotFoundError:
        raise OncovecError(f"{where}: no such file; the images' labels are read from it") from None
    except (OSError, ValueError, csv.Error) as error:
        raise OncovecError(f"{where}: cannot be read as a CSV in UTF-8 ({error})") from None


def _rows(where: str, lines: Iterator[list[str]], columns: Sequence[str]) -> Iterator[TableRow]:
    header = [cell.strip() for cell in next(lines, [])]
    for mark, called in ((";", "';'"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise OncovecError(f"{where}: its cells are parted by {called}; save it with commas")
    for column in columns:
        if column not in header:
            raise OncovecError(f"{where}: no column {column!r}; there are {', '.join(header) or 'none'}")
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise OncovecError(f"{where}: the column {twice!r} is there twice; rename one")
    for number, cells in enumerate(lines, start=2):
        if not cells:
            continue
        if len(cells) != len(header):
            raise OncovecError(f"{where}: row {number} has {len(cells)} cells, the header {len(header)}")
        yield TableRow(number, dict(zip(header, map(str.strip, cells), strict=True)))


def known(cell: str) -> str:
    """Return the content of a cell; empty if it is one of `UNKNOWN`."""
    return "" if cell.lower() in UNKNOWN else cell


def note(count: int, what: str) -> str:
    """Return a line with a count and what is counted; empty if the count is 0."""
    return f"{count} {what}" if count else ""
