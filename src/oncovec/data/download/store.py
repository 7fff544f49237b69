"""Fetched files in `data/archives`, and the checks that a file must pass."""

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing, write_json
from oncovec.data.download import archive, transfer
from oncovec.data.download.archive import DamagedError, UnfitError
from oncovec.data.download.manifest import FACTS, Facts
from oncovec.data.download.transfer import Location, StatusError

COPIES = 3
"""Number of complete copies of a file that are fetched before a run gives up."""


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched.

    Attributes:
        name: its path in `data/archives`, which is also its name in a manifest and in messages.
        locate: function that returns its current location.
        prefix: folder of the dataset for its files.
        column: one of its columns, if it is a table.
        optional: whether the publisher may not have it.
        instead_of: name of an optional file; if that one exists, this one is not needed.
        credit: its authors and licence; written beside it.
    """

    name: str
    locate: Callable[[], Location]
    prefix: str = ""
    column: str = ""
    optional: bool = False
    instead_of: str = ""
    credit: str = ""


def bring(wanted: Wanted, pin: Facts | None, ask: bool = False) -> Facts | None:
    """Fetch a file to `data/archives`, unless it is present, and check that it is the expected file.

    Args:
        wanted: the file.
        pin: its facts in the manifest; None if nothing is pinned.
        ask: whether to request an optional file again that the publisher did not have.

    Returns:
        The facts of the file; None for an optional file that the publisher does not have.

    Raises:
        OncovecError: one line, if the file cannot be fetched or `COPIES` copies of it were wrong.
    """
    target = paths.ARCHIVES / wanted.name
    try:
        with _alone(target, wanted.name):
            if pin is None and wanted.optional and _absence(target).is_file() and not ask:
                print(f"{wanted.name}: the publisher had none")
                return None
            facts = _kept(wanted, target, pin) or _fetch_good(wanted, target, pin)
            if facts:
                _write_credit(wanted, target)
            return facts
    except OSError as error:
        raise OncovecError(f"{target}: {error.strerror}") from None


@contextlib.contextmanager
def _alone(target: Path, name: str) -> Iterator[None]:
    """Lock a file, so that other runs do not fetch it at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{target}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{name}: another run is fetching it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def remember_absence(wanted: Wanted) -> None:
    """Record that the publisher does not have an optional file, so that it is not requested again."""
    _absence(paths.ARCHIVES / wanted.name).touch()


def differs(facts: Facts, pin: Facts | None) -> str:
    """Describe how a file differs from its pin; empty if it does not differ, or there is no pin."""
    if pin is None or facts == pin:
        return ""
    if facts["sha256"] == pin["sha256"]:
        return "the pinned sha256, with another size or other folders than are pinned beside it"
    same = facts["folders"] and facts["folders"] == pin["folders"]
    anew = ": the pinned files, packed anew" if same else ""
    return f"not the pinned file (sha256 {facts['sha256'][:12]}…, pinned {pin['sha256'][:12]}…){anew}"


def _kept(wanted: Wanted, target: Path, pin: Facts | None) -> Facts | None:
    """Return the facts of a present, good file; delete a damaged one. None if there is no good file."""
    if not target.is_file():
        return None
    try:
        # If there is no receipt, an earlier run ended between fetching and checking.
        facts = _receipt(target) or _examine(wanted, target, None, pin)
        if target.stat().st_size != facts["bytes"] or _hash(target)[0] != facts["sha256"]:
            raise DamagedError("damaged since it was fetched")
    except UnfitError as error:
        _throw_away(wanted, target, str(error))
        return None
    if problem := differs(facts, pin):
        # The file is complete, and the manifest of another commit may pin it; fetching it may take hours.
        raise OncovecError(
            f"{target}: {problem}; `oncovec trust DOWNLOAD` pins it, deleting it fetches it anew"
        )
    return facts


def _fetch_good(wanted: Wanted, target: Path, pin: Facts | None) -> Facts | None:
    problem, last = "", None
    for copy in range(1, COPIES + 1):
        if copy > 1:
            transfer.pause(2.0 ** (copy - 2))
        _receipt_path(target).unlink(missing_ok=True)
        try:
            md5 = transfer.fetch(wanted.locate, target, wanted.name, fresh=copy > 1)
            facts = _examine(wanted, target, md5, pin)
            problem, damaged = differs(facts, pin), False
        except UnfitError as error:
            problem, damaged = str(error), isinstance(error, DamagedError)
        except StatusError as error:
            if not wanted.optional or not error.means_absent:
                raise
            if pin:
                raise OncovecError(f"{wanted.name}: pinned, and the publisher has none any more") from None
            print(f"{wanted.name}: the publisher has none")
            return None
        if not problem:
            _absence(target).unlink(missing_ok=True)
            return facts
        before, last = last, _hash(target)[0]
        _throw_away(wanted, target, problem)
        if last == before and not damaged:  # complete, and the same bytes as the last copy
            break
    pinned = "; if you trust the new one: `oncovec trust DOWNLOAD`" if "pinned" in problem else ""
    raise OncovecError(f"{wanted.name}: {problem}; {copy} copies fetched and thrown away{pinned}")


def _examine(wanted: Wanted, target: Path, md5: str | None, pin: Facts | None) -> Facts:
    """Check a fetched file and write a receipt beside it; the content of a pinned file is not inspected.

    Raises:
        UnfitError: if the file is not what the server sent, is an archive that must not be read, or is not
            the expected table.
    """
    sha256, found = _hash(target)
    if md5 not in (None, found):
        raise DamagedError("not the bytes that the server has (md5)")
    size = target.stat().st_size
    if pin and (pin["sha256"], pin["bytes"]) == (sha256, size):
        facts = pin
    else:
        folders = archive.inspect(target) if target.suffix == ".zip" else None
        if wanted.column:
            _check_table(target, wanted.column)
        facts = {"bytes": size, "sha256": sha256, "folders": folders}
    write_json(_receipt_path(target), facts)
    return facts


def _check_table(path: Path, column: str) -> None:
    """Refuse a file that is not a table with this column, such as an error message."""
    try:
        header = path.read_text(encoding="utf-8-sig").partition("\n")[0]
    except UnicodeDecodeError:
        header = ""
    if column not in (cell.strip(' "') for cell in header.split(",")):
        raise DamagedError(f"not a table with a column {column}")


def _hash(path: Path) -> tuple[str, str]:
    """Compute the sha256 of a file in hex, and its md5 in base64, the form that servers use."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            sha256.update(block)
            md5.update(block)
    return sha256.hexdigest(), base64.b64encode(md5.digest()).decode()


def _receipt_path(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _absence(target: Path) -> Path:
    """Return the path of the file that records that the publisher does not have an optional file."""
    return target.with_name(target.name + ".absent")


def _receipt(target: Path) -> Facts | None:
    """Read the facts that were written when a file was checked; None if there are none that are readable."""
    try:
        return FACTS.validate_json(_receipt_path(target).read_bytes())
    except (OSError, ValueError):
        return None


def _throw_away(wanted: Wanted, target: Path, problem: str) -> None:
    target.unlink(missing_ok=True)
    _receipt_path(target).unlink(missing_ok=True)
    print(f"{wanted.name}: {problem}; thrown away")


def _write_credit(wanted: Wanted, target: Path) -> None:
    """Write the authors and licence of a file beside it, unless they are there already."""
    path = target.with_name("ATTRIBUTION.txt")
    if not path.is_file():
        with replacing(path) as part:
            part.write_text(wanted.credit, encoding="utf-8")
