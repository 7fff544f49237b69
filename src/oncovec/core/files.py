"""Writing outputs whole: into a temporary file or folder beside the target, then one rename.

A process that is killed leaves its temporary file, which the next one that writes the same target
removes. Two threads of one process must not write the same target at once.
"""

import csv
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DIGITS = 6
"""Decimals kept in every JSON and CSV that goes into Git."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` if the block succeeds.

    The temporary name keeps the suffix, since some writers (NumPy, Pillow) look at it. If the block
    raises, the temporary file is removed and what stood at `path` stays as it was.
    """
    part = _part(path, path.stem, path.suffix)
    try:
        yield part
        part.replace(path)
    finally:
        _remove(part)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new, empty folder beside `path` and rename it to `path` if the block succeeds.

    What stood at `path` is removed then; of a link, the link alone. If the block raises, the temporary
    folder is removed and what stood at `path` stays as it was.
    """
    part = _part(path, path.name, "")
    aside = part.with_name(part.name + ".old")
    part.mkdir()
    try:
        yield part
        if os.path.lexists(path):
            path.rename(aside)
        part.rename(path)
    finally:
        if os.path.lexists(aside) and not os.path.lexists(path):
            aside.rename(path)
        _remove(aside)
        _remove(part)


def _part(path: Path, stem: str, suffix: str) -> Path:
    """Make the folder of `path`, sweep what killed processes left there, return a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = re.compile(rf"\.{re.escape(stem)}\.(\d+)\.part({re.escape(suffix)}|\.old)")
    for found in path.parent.iterdir():
        match = left.fullmatch(found.name)
        if match and not _is_another(int(match[1])):
            _remove(found)
    return path.with_name(f".{stem}.{os.getpid()}.part{suffix}")


def _is_another(pid: int) -> bool:
    """Whether a process of this number runs that is not this one."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return pid != os.getpid()


def _remove(path: Path) -> None:
    """Remove a file, a link (not what it points to) or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def rounded(value: Any) -> Any:
    """Round every float in nested dicts and lists to `DIGITS` decimals.

    Raises:
        ValueError: for NaN or infinity, which leave unreadable rows in every later diff.
    """
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"not a finite number: {value}")
        return round(value, DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with rounded, finite floats and a final newline."""
    text = json.dumps(rounded(content), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV with a header, Unix line ends, rounded floats and empty cells for None."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([rounded(cell) for cell in row] for row in rows)
