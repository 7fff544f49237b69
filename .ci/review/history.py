"""What Git and DVC say: the commit before the change, its files, changed metrics and params, `dvc status`."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from review.errors import ReviewError

BASES = ("main", "origin/main")

METRICS = "metrics/"
"""Folder of the metrics in Git; those of single epochs, below `dvclive/`, are in DVC's cache alone."""


@dataclass(frozen=True)
class Change:
    """A value before and after; None where there is none."""

    old: Any
    new: Any

    @property
    def is_one(self) -> bool:
        """Whether the two values differ."""
        return bool(self.old != self.new)

    @property
    def difference(self) -> float | None:
        """After minus before; None if one of them is no number."""
        return self.new - self.old if _is_number(self.old) and _is_number(self.new) else None


Changes = Mapping[str, Mapping[str, Change]]
"""By file, then by key."""


@dataclass(frozen=True)
class Checkout:
    """A checkout at its root, and the commit where its branch left the branch it is reviewed against."""

    root: Path
    base: str

    def git(self, *arguments: str) -> str:
        """Return what a git command prints."""
        return called(self.root, "git", *arguments)

    def before(self, name: str) -> str | None:
        """Return the text of a file at the base; None if it is not there."""
        if not self.git("ls-tree", self.base, "--", name):
            return None
        return self.git("show", f"{self.base}:{name}")

    def now(self, name: str) -> str | None:
        """Return the text of a file of the working tree; None if it is not there."""
        path = self.root / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def files(self) -> frozenset[str]:
        """Return the changed files that Git tracks; deleted ones, too."""
        told = self.git("diff", "--name-only", "--no-renames", "-z", self.base)
        return frozenset(filter(None, told.split("\0")))

    def tracked(self) -> frozenset[str]:
        """Return the files that Git tracks, and those that it tracked at the base."""
        return self.files() | frozenset(filter(None, self.git("ls-files", "-z").split("\0")))

    def metrics(self) -> Changes:
        """Return all metrics in Git, unchanged ones, too."""
        found = self._dvc("metrics", "diff", "--all", "--json", self.base)
        return {path: keys for path, keys in found.items() if path.startswith(METRICS)}

    def params(self) -> Changes:
        """Return the changed params."""
        return self._dvc("params", "diff", "--json", self.base)

    def status(self) -> Mapping[str, Any]:
        """Return the stages of which DVC says that code, params or outputs are not those of dvc.lock."""
        found: Mapping[str, Any] = json.loads(called(self.root, "dvc", "status", "--json") or "{}")
        return found

    def stages(self) -> frozenset[str]:
        """Return the names of the stages of dvc.yaml; dvc.lock keeps stages of rows that are gone."""
        return frozenset(called(self.root, "dvc", "stage", "list", "--name-only").split())

    def _dvc(self, *arguments: str) -> Changes:
        found = json.loads(called(self.root, "dvc", *arguments) or "{}")
        return {
            file: {key: Change(each.get("old"), each.get("new")) for key, each in sorted(rows.items())}
            for file, rows in sorted(found.items())
        }


def opened(base: str | None) -> Checkout:
    """Return the checkout of the working directory, compared with the commit where it left `base`.

    Args:
        base: a revision; None for main, or the remote's main in a clone without it.

    Raises:
        ReviewError: if there is no repository or revision, or the history is cut before the two meet.
    """
    root = Path(called(Path.cwd(), "git", "rev-parse", "--show-toplevel").strip())
    known = [each for each in ((base,) if base else BASES) if _is_commit(root, each)]
    if not known:
        raise ReviewError(f"{base or BASES[0]}: there is no such revision here; {_advice(root)}")
    done = _run(root, "git", "merge-base", known[0], "HEAD")
    if done.returncode:
        raise ReviewError(f"{known[0]} and HEAD have no commit in common; {_advice(root)}")
    return Checkout(root, done.stdout.strip())


def called(folder: Path, *command: str) -> str:
    """Return what a command prints.

    Raises:
        ReviewError: if it fails, with the last line that it says.
    """
    done = _run(folder, *command)
    if done.returncode:
        said = list(_lines(done.stderr)) or [f"it exited with {done.returncode}"]
        raise ReviewError(f"`{' '.join(command[:2])}` failed: {said[0]}")
    return done.stdout


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ReviewError(
            f"{command[0]} is not installed here; `. .venv/bin/activate` after `make`"
        ) from None


def _lines(said: str) -> Iterator[str]:
    """Yield errors before all else."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    yield from sorted(lines, key=lambda line: not line.startswith(("ERROR", "fatal")))


def _is_commit(root: Path, name: str) -> bool:
    return _run(root, "git", "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}").returncode == 0


def _advice(root: Path) -> str:
    if called(root, "git", "rev-parse", "--is-shallow-repository").strip() == "true":
        return "the history of this clone is cut: `git fetch --unshallow origin` brings it"
    return "name another, or bring it with `git fetch origin`"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
