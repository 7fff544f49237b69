"""A fresh git+dvc checkout of this repository, with a phantom so small that all of it runs in a minute."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml
from dvc.utils.hydra import apply_overrides

ROOT = Path(__file__).resolve().parents[1]

SMALL = {"images": 100, "size": 48, "image_size": 24, "epochs": 1}


class Checkout:
    """A clone of the working tree in which commands run as a user would type them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@localhost",
            "DVC_NO_ANALYTICS": "1",
            "CI": "true",
        }

    def run(self, command: str, code: int = 0) -> str:
        """Run a shell command, insist on its exit code, return all it printed."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{command} exited with {done.returncode}:\n{done.stdout[-4000:]}"
        return done.stdout

    def kill(self, command: str, stage: str, orphans: bool = False) -> None:
        """Start a command, wait for a process of `stage`, kill all; or with `orphans` all but the stages.

        Returns when every process that was started here is gone.
        """
        started = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        main = psutil.Process(started.pid)
        while not any(stage in each for each in map(_command, main.children(recursive=True))):
            assert started.poll() is None, f"{command} ended before {stage} began"
            time.sleep(0.05)
        main.suspend()  # DVC rewrites dvc.lock in place when a stage ends, which no stage can make safe
        time.sleep(1.5)  # well into the stage
        everyone = main.children(recursive=True)
        for each in [main, *everyone]:
            if not (orphans and "stages." in _command(each)):
                each.kill()
        started.wait()
        _, alive = psutil.wait_procs(everyone, timeout=20)
        assert not alive, [_command(each) for each in alive]

    @contextmanager
    def running(self, command: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a command; kill it, and all that it started, at the end."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.environment, **quiet
        )
        main = psutil.Process(started.pid)
        try:
            yield started
        finally:
            everyone = [main, *main.children(recursive=True)]
            for each in everyone:
                each.kill()
            started.wait()
            psutil.wait_procs(everyone, timeout=20)

    def ran(self, output: str) -> list[str]:
        """Addresses of the stages that a `dvc repro` or `dvc exp run` ran."""
        return re.findall(r"Running stage '([^']+)'", output)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def read(self, name: str) -> str:
        """Text of a file."""
        return (self.folder / name).read_text(encoding="utf-8")

    def tracked(self) -> dict[str, bytes]:
        """Everything that the pipeline wrote, by path."""
        kinds = (
            "metrics",
            "plots",
            "models",
            "dvclive",
            "data/splits",
            "data/prepared",
            "data/embeddings",
            "data/results",
            "data/external",
        )
        files = [p for kind in kinds for p in (self.folder / kind).rglob("*") if p.is_file()]
        # The tables of rows are of check, whose outputs DVC removes before it runs.
        return {p.relative_to(self.folder).as_posix(): p.read_bytes() for p in files if p.name != "sets.csv"}


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def clone(folder: Path, systems: Collection[str] | None = None, datasets: Collection[str] = ()) -> Checkout:
    """Copy the files that git knows, uncommitted changes included, shrink the phantom, and commit.

    With `systems`, params.yaml keeps these rows, the rows that they need and those of `datasets` alone.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    skipped = ("metrics/", "plots/", "dvc.lock", "tests/")
    for name in filter(None, listed):
        if not name.startswith(skipped) and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    checkout = Checkout(folder)
    changes = [f"data.phantom.{key}={value}" for key, value in SMALL.items()]
    if systems is not None:
        changes += _other_rows(yaml.safe_load(checkout.read("params.yaml")), systems, datasets)
    apply_overrides(folder / "params.yaml", changes)
    checkout.run("git init -q -b main . && git add -A && git commit -qm start")
    return checkout


def _other_rows(
    content: Mapping[str, Any], systems: Collection[str], datasets: Collection[str]
) -> Iterator[str]:
    """Overrides that delete every row that these systems and datasets do not need."""
    needed = {*datasets, *(content["systems"][name]["dataset"] for name in systems)}
    learned = {content["systems"][name]["task"] for name in systems}
    asked = [name for name, row in content["external"].items() if row["task"] in learned]
    kept = {
        "systems": systems,
        "external": asked,
        "tasks": [name for name, row in content["tasks"].items() if row["dataset"] in needed],
        "datasets": needed,
        "downloads": {*needed, *asked},
    }
    for section, names in kept.items():
        yield from (f"~{section}.{name}" for name in content[section] if name not in names)
