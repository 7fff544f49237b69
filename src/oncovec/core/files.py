"""Writing that leaves nothing half done: files are renamed when they are whole, folders removed on an error.

A killed process leaves its temporary file behind. The next process that writes the same target removes
this file. Two threads of one process must not write the same target at once.
"""

import errno
import io
import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Number
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from oncovec.core.errors import OncovecError

DIGITS = 6
"""Decimals that every JSON and CSV file in Git keeps."""

UNWRITABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)
"""Errors of a folder without write permission, a full disk or an impossible path; no defects of the code."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` if the block succeeds.

    The temporary name keeps the suffix, since some writers (NumPy, Pillow) read it. If the block raises,
    the temporary file is removed and an existing file at `path` stays unchanged.

    Raises:
        OncovecError: if the disk is full or the folder is not writable.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with _refusing(path):
        _clear(path)
        try:
            yield part
            part.replace(path)
        finally:
            _remove(part)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield `path` as a new, empty folder, and remove it if the block raises.

    This is for folders that a stage writes. DVC removes the outputs of a stage before it runs, and compares
    their hashes before it uses them, so that what a killed process wrote is never taken for a result. A
    temporary folder beside `path` would stay where DVC restores the output from its cache. If `path` is a
    link, only the link is removed.

    Raises:
        OncovecError: if the disk is full or the folder is not writable.
    """
    with _refusing(path):
        _remove(path)
        path.mkdir(parents=True)
        try:
            yield path
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Raise an `OncovecError` of one line if the disk is full or `path` cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise OncovecError(f"{path}: not written ({error})") from error
        raise


def _clear(path: Path) -> None:
    """Make the parent folder of `path` and remove the temporary files of `path` from killed processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = re.compile(rf"\.{re.escape(path.stem)}\.(\d+)\.part{re.escape(path.suffix)}")
    for found in path.parent.iterdir():
        match = left.fullmatch(found.name)
        if match and not _is_another(int(match[1])):
            _remove(found)


def _is_another(pid: int) -> bool:
    """Return whether a process with this number runs and is not the current process."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return pid != os.getpid()


def _remove(path: Path) -> None:
    """Remove a file, a link (not its target) or a whole folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def rounded(value: Any) -> Any:
    """Round every number that is not an integer to `DIGITS` decimals, also in nested dicts and lists.

    Numbers and arrays of NumPy and PyTorch become plain numbers and lists.

    Raises:
        ValueError: for NaN or infinity, which make unreadable rows in every later diff.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, Number):
        return value
    if isinstance(value, Integral):
        return int(value)
    number = float(value)  # type: ignore[arg-type]  # a complex number is refused
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {number}")
    return round(number, DIGITS) + 0.0


def write_npz(file: Path | IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as npz, without pickles and without compression; equal arrays give equal bytes.

    NumPy's own writer gives other bytes with another patch release of Python, whose headers differ.
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with rounded, finite floats and a final newline."""
    text = json.dumps(rounded(content), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
