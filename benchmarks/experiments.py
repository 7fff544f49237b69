"""DVC experiments as the measurements run them: in copies of the checkout, each stage timed."""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def command(settings: Sequence[str], targets: Sequence[str]) -> list[str]:
    """The command that a user would type."""
    return ["dvc", "exp", "run", *(part for each in settings for part in ("-S", each)), *targets]


DATASETS = ("isic2020", "multi_cancer", "multi_organ", "pcam")
"""The published datasets."""


def roots(data: str) -> list[str]:
    """Settings that name the folders of the published datasets below one folder as their roots."""
    below = Path(data).resolve()
    return [f"datasets.{name}.root={below / name}" for name in DATASETS]


def prepare(settings: Sequence[str], datasets: Sequence[str]) -> None:
    """Make what all experiments with these settings share, in this checkout, which takes them.

    An experiment in a copy begins with what the checkout has: it would decode and group anew.
    """
    targets = [f"split@{name}" for name in datasets]
    subprocess.run(command(settings, targets), check=True, stdout=subprocess.DEVNULL)


def run(typed: Sequence[str]) -> tuple[str, dict[str, float]]:
    """Run an experiment in a copy: its name, and the seconds of each stage that ran.

    A stage whose result was in DVC's cache is not among them.
    """
    queued = [*typed[:3], "--temp", *typed[3:]]
    name, stage, begun, seconds, tail = "", "", 0.0, dict[str, float](), []
    with subprocess.Popen(queued, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            tail = [*tail[-30:], line]
            if line.startswith(("Running stage", "Updating lock file")) and stage:
                seconds[stage] = time.perf_counter() - begun
                print(f"{stage}: {seconds[stage]:.0f} s", file=sys.stderr, flush=True)
                stage = ""
            if line.startswith("Running stage"):
                stage, begun = line.split("'")[1], time.perf_counter()
            if line.startswith("Ran experiment(s):"):
                name = line.split(":")[1].strip()
    if process.returncode or not name:
        sys.exit(f"{shlex.join(queued)}: exit {process.returncode}\n{''.join(tail)}")
    return name, seconds
