"""dvc.lock: which stage made what of what."""

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from review.errors import ReviewError

NAME = "dvc.lock"


class Lock:
    """The stages of a dvc.lock, and the files that lead from one to the next."""

    def __init__(self, text: str | None, named: Container[str] | None = None):
        """Read the text of a dvc.lock; None is one without a stage.

        Args:
            text: of the file.
            named: stages to keep; None for all.

        Raises:
            ReviewError: if it is not YAML, for example because it holds marks of a merge conflict.
        """
        try:
            content = yaml.load(text or "", getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
            stages: Mapping[str, Any] = content.get("stages", {})
        except (yaml.YAMLError, AttributeError):
            raise ReviewError(f"{NAME} is not what DVC writes; was a merge conflict left in it?") from None
        self.stages = {name: stage for name, stage in stages.items() if named is None or name in named}
        self.makers = {out["path"]: name for name, stage in self.stages.items() for out in outs(stage)}
        self.hashes = {out["path"]: out["md5"] for stage in self.stages.values() for out in outs(stage)}

    def is_output(self, path: str) -> bool:
        """Return whether a path is an output, is in one or contains one."""
        return any(True for _ in self._made(path))

    def before(self, name: str) -> Iterator[str]:
        """Yield a stage and all stages whose outputs lead to it."""
        yield from self._reached([name], lambda each: self._inputs(self.stages.get(each, {})))

    def after(self, names: Iterable[str]) -> Iterator[str]:
        """Yield these stages and all stages that use their outputs, directly or not."""
        used: dict[str, set[str]] = {}
        for name, stage in self.stages.items():
            for maker in self._inputs(stage):
                used.setdefault(maker, set()).add(name)
        yield from self._reached(names, lambda each: used.get(each, ()))

    def origins(self, path: str) -> Mapping[str, Any]:
        """Return what an output was made from: commands, params and files that no stage makes, by name."""
        found: dict[str, Any] = {}
        for name in self.before(self.makers[path]) if path in self.makers else ():
            stage = self.stages[name]
            found[f"{name} cmd"] = stage["cmd"]
            found[f"{name} params"] = stage.get("params", {})
            found |= {dep["path"]: dep.get("md5") for dep in deps(stage) if not self.is_output(dep["path"])}
        return found

    def uneven(self) -> Iterator[tuple[str, str]]:
        """Yield each stage that ran on other bytes of an output than are recorded, and the output."""
        for name, stage in self.stages.items():
            for dep in deps(stage):
                if self.hashes.get(dep["path"], dep.get("md5")) != dep.get("md5"):
                    yield name, dep["path"]

    def _inputs(self, stage: Mapping[str, Any]) -> set[str]:
        return {maker for dep in deps(stage) for maker in self._made(dep["path"])}

    def _made(self, path: str) -> Iterator[str]:
        folders = {path, *(each.as_posix() for each in PurePosixPath(path).parents)}
        for out, maker in self.makers.items():
            if out in folders or out.startswith(f"{path}/"):
                yield maker

    @staticmethod
    def _reached(names: Iterable[str], step: Any) -> Iterator[str]:
        waiting, seen = list(names), set()
        while waiting:
            if (name := waiting.pop()) not in seen:
                seen.add(name)
                waiting += step(name)
                yield name


def outs(stage: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the outputs of a stage, each with `path` and `md5`."""
    yield from stage.get("outs", ())


def deps(stage: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the files and folders that a stage read, each with `path` and `md5`."""
    yield from stage.get("deps", ())
