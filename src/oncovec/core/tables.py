"""Tables: one reader and one writer of CSV with pandas, and text tables with aligned columns."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
from pandas.errors import EmptyDataError, ParserError

from oncovec.core.errors import OncovecError, not_there
from oncovec.core.files import replacing, rounded


def read(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV as a table of text; a class with the name `NA` stays text, and an empty cell becomes ''.

    Raises:
        OncovecError: if the file does not exist, cannot be read, is not text, or lacks one of `columns`.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return parse(stream, str(path), columns)
    except FileNotFoundError:
        raise not_there(path) from None
    except OSError as error:
        raise OncovecError(f"{path}: cannot be read ({error.strerror})") from None


def parse(stream: TextIO, name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read an open CSV; error messages use `name` for it. See `read`."""
    try:
        # The header is read as a row. Otherwise pandas uses the first column as the index if rows are longer.
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
    """Make a table of Python objects from rows; an integer in a column with None does not become a float."""
    return pd.DataFrame([tuple(row) for row in rows], columns=list(columns), dtype=object)


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV with a header, Unix line ends, rounded floats and empty cells for None.

    Raises:
        ValueError: for NaN or infinity.
    """
    with replacing(path) as part:
        part.write_text(as_csv(table) + "\n", encoding="utf-8", newline="")


def as_csv(table: pd.DataFrame) -> str:
    """Return a CSV as text with rounded floats and without a final newline; see `write`."""
    cells = of(table.columns, (map(rounded, row) for row in table.itertuples(index=False, name=None)))
    # Python does not quote a carriage return, but a reader ends the row there.
    odd = any("\r" in str(cell) for row in cells.itertuples(index=False, name=None) for cell in row)
    text: str = cells.to_csv(
        index=False, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL
    )
    return text.removesuffix("\n")


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells, including the header, in columns that are two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
