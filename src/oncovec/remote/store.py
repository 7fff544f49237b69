"""The cache of fetched files, outside of DVC's outputs, and the checks that a file passes to be believed."""

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from oncovec.errors import OncovecError
from oncovec.files import replacing, write_json
from oncovec.manifest import FACTS, Facts
from oncovec.remote import archive, transfer
from oncovec.remote.archive import DamagedError, UnfitError
from oncovec.remote.transfer import Location, StatusError

COPIES = 3
"""Whole copies of a file that are fetched before a run gives up on a good one."""


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched.

    Attributes:
        name: its path in the cache, which is its name in a manifest and in messages.
        locate: asks where it lies now.
        prefix: where its files lie in the dataset.
        optional: whether the publisher may have none.
        instead_of: name of an optional file that makes this one superfluous.
        credit: whose it is and under what licence; written beside it.
    """

    name: str
    locate: Callable[[], Location]
    prefix: str = ""
    optional: bool = False
    instead_of: str = ""
    credit: str = ""


def folder() -> Path:
    """Where fetched files are kept: ONCOVEC_CACHE, or `oncovec` in the user's cache folder.

    Raises:
        OncovecError: for a relative path, which a queued run in a copy of the checkout would mistake.
    """
    given = os.environ.get("ONCOVEC_CACHE")
    path = Path(given).expanduser() if given else user_cache_path("oncovec")
    if not path.is_absolute():
        raise OncovecError(f"ONCOVEC_CACHE = {given!r}: give an absolute path")
    return path


def bring(wanted: Wanted, pin: Facts | None, check: bool = True) -> Facts | None:
    """Bring a file into the cache, unless it is there, and prove that it is what it should be.

    Args:
        wanted: the file.
        pin: what the manifest says of it; None where nothing is pinned.
        check: hash what is there again, rather than compare its size only.

    Returns:
        What the file is; None for an optional one that the publisher does not have.

    Raises:
        OncovecError: one line, when it cannot be had or `COPIES` copies of it were wrong.
    """
    target = folder() / wanted.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if pin is None and wanted.optional and _absence(target).is_file():
                return None
            return _kept(wanted, target, pin, check) or _fetch_good(wanted, target, pin)
    except OSError as error:
        raise OncovecError(f"{target}: {error.strerror}; ONCOVEC_CACHE may name another folder") from None


def differs(facts: Facts, pin: Facts | None) -> str:
    """Say in what a file differs from its pin; empty for the same bytes, or the same files packed anew."""
    if pin is None or facts["sha256"] == pin["sha256"]:
        return ""
    if facts["folders"] and facts["folders"] == pin["folders"]:
        return ""
    return f"not the pinned file (sha256 {facts['sha256'][:12]}…, pinned {pin['sha256'][:12]}…)"


def _kept(wanted: Wanted, target: Path, pin: Facts | None, check: bool) -> Facts | None:
    """What is in the cache and good; None for nothing. What is there and wrong is thrown away."""
    if not target.is_file():
        return None
    try:
        facts = _receipt(target) or _examine(target, None)  # without: an earlier run ended before its check
        if target.stat().st_size != facts["bytes"] or (check and _hash(target)[0] != facts["sha256"]):
            raise DamagedError("damaged since it was fetched")
        problem = differs(facts, pin)
    except UnfitError as error:
        problem = str(error)
    if not problem:
        return facts
    _throw_away(wanted, target, problem)
    return None


def _fetch_good(wanted: Wanted, target: Path, pin: Facts | None) -> Facts | None:
    problem = ""
    for copy in range(COPIES):
        try:
            facts = _examine(target, transfer.fetch(wanted.locate, target, wanted.name, fresh=copy > 0))
            problem = differs(facts, pin)
        except UnfitError as error:
            problem = str(error)
        except StatusError as error:
            # A bucket that does not list its files answers 403 for one that is not there.
            if not wanted.optional or error.status not in (403, 404):
                raise
            if pin:
                raise OncovecError(f"{wanted.name}: pinned, and the publisher has none any more") from None
            _absence(target).touch()
            return None
        if not problem:
            write_credit(wanted, target)
            return facts
        _throw_away(wanted, target, problem)
    pinned = "; if you trust the new one: `oncovec trust DATASET`" if "pinned" in problem else ""
    raise OncovecError(f"{wanted.name}: {problem}; {COPIES} copies fetched and thrown away{pinned}")


def _examine(target: Path, md5: str | None) -> Facts:
    """Read a file that has just come, and leave a receipt beside it.

    Raises:
        UnfitError: when it is not what the server sent, or no archive to be read.
    """
    archive.forget()
    sha256, found = _hash(target)
    if md5 not in (None, found):
        raise DamagedError("not the bytes that the server has (md5)")
    folders = archive.inspect(target) if target.suffix == ".zip" else None
    facts: Facts = {"bytes": target.stat().st_size, "sha256": sha256, "folders": folders}
    write_json(_receipt_path(target), facts)
    return facts


def _hash(path: Path) -> tuple[str, str]:
    """sha256 in hex, and md5 in base64 as servers write it."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            sha256.update(block)
            md5.update(block)
    return sha256.hexdigest(), base64.b64encode(md5.digest()).decode()


def _receipt_path(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _absence(target: Path) -> Path:
    """A mark that the publisher does not have an optional file, so that it is not asked for again."""
    return target.with_name(target.name + ".absent")


def _receipt(target: Path) -> Facts | None:
    """What was written about a file when it was checked; None where nothing, or nothing legible, was."""
    try:
        return FACTS.validate_json(_receipt_path(target).read_bytes())
    except (OSError, ValueError):
        return None


def _throw_away(wanted: Wanted, target: Path, problem: str) -> None:
    archive.forget()
    target.unlink(missing_ok=True)
    _receipt_path(target).unlink(missing_ok=True)
    print(f"{wanted.name}: {problem}; thrown away")


def write_credit(wanted: Wanted, target: Path) -> None:
    """Write whose a file is and under what licence beside it."""
    with replacing(target.with_name("ATTRIBUTION.txt")) as part:
        part.write_text(wanted.credit, encoding="utf-8")
