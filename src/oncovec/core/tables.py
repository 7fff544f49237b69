"""Reading the CSV tables that stages hand to each other, and laying tables out for people."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from oncovec.core.errors import OncovecError
from oncovec.core.files import write_rows


def read_table(path: Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read a CSV as a list of rows.

    Raises:
        OncovecError: when it is not there or cannot be read, is no text, lacks one of `columns`, or has a row
            that is cut.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return read_rows(stream, str(path), columns)
    except FileNotFoundError:
        raise OncovecError(f"{path}: not there yet; run `dvc repro`") from None
    except OSError as error:
        raise OncovecError(f"{path}: cannot be read ({error.strerror})") from None


def read_rows(stream: TextIO, name: str, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read an open CSV as a list of rows; `name` is what errors call it. See `read_table`."""
    try:
        reader = csv.DictReader(stream)
        rows = list(reader)
        header = reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise OncovecError(f"{name}: not a CSV table ({error}); run `dvc repro` to write it again") from None
    for column in columns:
        if column not in header:
            raise OncovecError(f"{name}: no column {column!r}; there are {', '.join(header) or 'none'}")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise OncovecError(f"{name}: row {number} is cut; run `dvc repro` to write it again")
    return rows


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows of cells, the header among them, in columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a CSV as text, floats rounded, without its final newline."""
    stream = io.StringIO()
    write_rows(stream, [columns, *rows])
    return stream.getvalue().rstrip("\n")
