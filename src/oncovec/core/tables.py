"""Tables: one reader and one writer of CSV with pandas, and tables laid out for people."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
from pandas.errors import EmptyDataError, ParserError

from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing, rounded


def read(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV as a table of text: a class called `NA` stays one, and an empty cell is ''.

    Raises:
        OncovecError: when it is not there or cannot be read, is no text, or lacks one of `columns`.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return parse(stream, str(path), columns)
    except FileNotFoundError:
        raise OncovecError(f"{path}: not there yet; run `dvc repro`") from None
    except OSError as error:
        raise OncovecError(f"{path}: cannot be read ({error.strerror})") from None


def parse(stream: TextIO, name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read an open CSV; `name` is what errors call it. See `read`."""
    try:
        # The header is read as a row: else pandas takes the first column for an index where rows are longer.
        content = pd.read_csv(stream, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except EmptyDataError:
        content = pd.DataFrame([[]])
    except (UnicodeDecodeError, ParserError) as error:
        reason = " ".join(str(error).split())
        raise OncovecError(f"{name}: not a CSV table ({reason}); run `dvc repro` to write it again") from None
    header = content.iloc[0].tolist()
    table = content.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)
    for column in columns:
        if column not in header:
            raise OncovecError(f"{name}: no column {column!r}; there are {', '.join(header) or 'none'}")
    return table


def of(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> pd.DataFrame:
    """Make a table of rows, of Python objects: an integer beside a None does not become a float."""
    return pd.DataFrame([tuple(row) for row in rows], columns=list(columns), dtype=object)


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV with a header, Unix line ends, rounded floats and empty cells for None.

    Raises:
        ValueError: for NaN or infinity.
    """
    with replacing(path) as part:
        part.write_text(as_csv(table) + "\n", encoding="utf-8", newline="")


def as_csv(table: pd.DataFrame) -> str:
    """Return a CSV as text, floats rounded, without its final newline; see `write`."""
    cells = of(table.columns, (map(rounded, row) for row in table.itertuples(index=False, name=None)))
    # Python does not quote a carriage return, which ends the row for a reader.
    odd = any("\r" in str(cell) for row in cells.itertuples(index=False, name=None) for cell in row)
    text: str = cells.to_csv(
        index=False, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL
    )
    return text.removesuffix("\n")


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows of cells, the header among them, in columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
