"""Stages that are out of date: their recorded outputs are not of the code and params beside them."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from review.lock import Lock

NEVER = "has not run"
COMMAND = "its command"


@dataclass(frozen=True)
class Stale:
    """Causes by stage; metrics that these stages and those after them wrote; whether these are all."""

    causes: Mapping[str, tuple[str, ...]]
    metrics: tuple[str, ...]
    are_all: bool

    def by_cause(self) -> Mapping[str, list[str]]:
        """Return the sorted stages of each cause; causes of most stages first."""
        found: dict[str, list[str]] = {}
        for stage in sorted(self.causes):
            for cause in self.causes[stage]:
                found.setdefault(cause, []).append(stage)
        return dict(sorted(found.items(), key=lambda each: (-len(each[1]), each[0])))


def find(status: Mapping[str, Any], lock: Lock, tracked: Set[str]) -> Stale:
    """Find what is out of date, whatever of DVC's outputs is in the clone.

    Args:
        status: what `dvc status` says; of outputs in DVC's cache it tells the state of the clone,
            which is left out.
        lock: the dvc.lock beside it.
        tracked: files that Git tracks, or tracked before the change.
    """
    files = [
        PurePosixPath(each) for each in tracked if not each.endswith(".gitignore")
    ]  # DVC's, beside outputs
    known = {each.as_posix() for file in files for each in (file, *file.parents)}
    causes: dict[str, set[str]] = {}
    for stage, said in status.items():
        if found := set(_causes(said, known)) if stage in lock.stages else {NEVER}:
            causes[stage] = found
    for stage, path in lock.uneven():
        causes.setdefault(stage, set()).add(path)
    late = set(lock.after(causes))
    metrics = sorted(filter(_is_metric, lock.makers))
    written = tuple(path for path in metrics if lock.makers[path] in late)
    told = {stage: tuple(sorted(found)) for stage, found in causes.items()}
    return Stale(told, written, len(written) == len(metrics))


def _is_metric(path: str) -> bool:
    """Return whether an output has metrics of a system, a dataset or an external test set."""
    return path.startswith("metrics/") and path.count("/") > 1


def _causes(said: list[Any], known: Set[str]) -> Iterator[str]:
    for each in said:
        if each == "changed command":
            yield COMMAND
        elif isinstance(each, dict):
            for states in each.values():
                yield from _of_files(states, known)


def _of_files(states: Mapping[str, Any], known: Set[str]) -> Iterator[str]:
    for path, state in states.items():
        if isinstance(state, dict):  # keys of a file of params
            yield from state
        elif path in known and state in ("modified", "new", "deleted"):
            yield path
