"""Finding a dataset's image files and reading the tables beside them."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oncovec.errors import OncovecError

SUFFIXES = ("jpg", "jpeg", "png", "tif", "tiff", "bmp", "gif", "webp")


@dataclass(frozen=True)
class Scan:
    """Image files as sorted POSIX paths below the scanned folder, and the number of other files."""

    images: list[str]
    others: int


@dataclass(frozen=True)
class TableRow:
    """One row of a table, its cells without surrounding blanks, and its line in the file."""

    number: int
    cells: Mapping[str, str]


def scan(root: Path) -> Scan:
    """List the images in `root` and in all folders below it.

    Hidden files and folders are passed over. Links to folders are followed; a folder that is reached
    twice is read once, so loops end. No file is opened, and none is asked for its status.
    """
    images: list[str] = []
    others = 0
    seen: set[tuple[int, int]] = set()
    folders = [""]
    while folders:
        folder = folders.pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        below = []
        for entry in _entries(root / folder):
            path = folder + entry.name
            if entry.is_dir():
                below.append(path + "/")
            elif is_image(entry.name):
                images.append(path)
            else:
                others += 1
        folders += reversed(below)
    return Scan(sorted(images), others)


def images_by_stem(folder: Path) -> dict[str, str]:
    """Map name without suffix to name, for the images directly in `folder`; empty where it is missing."""
    if not folder.is_dir():
        return {}
    names = [entry.name for entry in _entries(folder) if is_image(entry.name)]
    return {name.rpartition(".")[0]: name for name in names}


def is_image(name: str) -> bool:
    """Tell by the suffix whether a file is an image."""
    return name.rpartition(".")[2].lower() in SUFFIXES


def nearest_folder(image: str, names: Iterable[str]) -> str | None:
    """Return the innermost folder of `image`, in lower case, that is one of `names`."""
    folders = image.lower().split("/")[:-1]
    return next((folder for folder in reversed(folders) if folder in names), None)


def read_rows(path: Path, columns: Sequence[str]) -> list[TableRow]:
    """Read a CSV that somebody else wrote.

    Raises:
        OncovecError: when it is missing, no UTF-8 text, lacks one of `columns`, has a column twice, or
            has a row with more or fewer cells than the header; with the row number where there is one.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return list(_rows(path, csv.reader(stream, strict=True), columns))
    except FileNotFoundError:
        raise OncovecError(f"{path}: no such file; the images' labels are read from it") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OncovecError(f"{path}: cannot be read as a CSV in UTF-8 ({error})") from None


def _rows(path: Path, lines: Iterator[list[str]], columns: Sequence[str]) -> Iterator[TableRow]:
    header = [cell.strip() for cell in next(lines, [])]
    for column in columns:
        if column not in header:
            raise OncovecError(f"{path}: no column {column!r}; there are {', '.join(header) or 'none'}")
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise OncovecError(f"{path}: the column {twice!r} is there twice; rename one")
    for number, cells in enumerate(lines, start=2):
        if not cells:
            continue
        if len(cells) != len(header):
            raise OncovecError(f"{path}: row {number} has {len(cells)} cells, the header {len(header)}")
        yield TableRow(number, dict(zip(header, map(str.strip, cells), strict=True)))


def note(count: int, what: str) -> str:
    """Return a line that says how many of what; empty for none."""
    return f"{count} {what}" if count else ""


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Files and folders that are not hidden, by name; pipes and other oddities would block a reader."""
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not entry.name.startswith(".") and _is_plain(entry)]
    except OSError as error:
        raise OncovecError(f"{folder}: cannot be listed ({error.strerror})") from None
    return sorted(kept, key=lambda entry: entry.name)


def _is_plain(entry: os.DirEntry[str]) -> bool:
    # A link whose target is gone stays: its image is then reported as unreadable.
    return entry.is_file() or entry.is_dir() or (entry.is_symlink() and not Path(entry.path).exists())
