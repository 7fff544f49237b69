"""Reading the CSV tables that stages hand to each other."""

import csv
from collections.abc import Sequence
from pathlib import Path

from oncovec.errors import OncovecError


def read_table(path: Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read a CSV as a list of rows.

    Raises:
        OncovecError: when it is not there, is no text, lacks one of `columns`, or has a row that is cut.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            header = reader.fieldnames or []
    except FileNotFoundError:
        raise OncovecError(f"{path}: not there yet; run `dvc repro`") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise OncovecError(f"{path}: not a CSV table ({error}); run `dvc repro` to write it again") from None
    for column in columns:
        if column not in header:
            raise OncovecError(f"{path}: no column {column!r}; there are {', '.join(header) or 'none'}")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise OncovecError(f"{path}: row {number} is cut; run `dvc repro` to write it again")
    return rows
