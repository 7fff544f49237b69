"""Checks of the machine: Python, packages, the GPU, memory."""

import platform
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from oncovec.core import parallel
from oncovec.core.errors import OncovecError
from oncovec.serving.doctor.check import MISSING, NOTE, OK, Found

PROJECT, PINNED = Path("pyproject.toml"), Path("requirements.txt")

EXTRA = "pipeline"
"""The extra that `dvc repro` needs."""

SHOWN = 4
"""Packages that a line names."""


def python() -> Found:
    """Compare Python with `requires-python`."""
    wanted, here = _project()["requires-python"], platform.python_version()
    fits = SpecifierSet(wanted).contains(here, prereleases=True)
    return (OK, here) if fits else (MISSING, f"{here}; needed is {wanted}: make PYTHON=python3.12")


def packages() -> Found:
    """Compare the installed packages with the ranges of pyproject.toml and the pins of requirements.txt."""
    wanted = list(_wanted())
    bad, other, pins = [], [], _pins()
    for each in wanted:
        found = _installed(each.name)
        if found is None or not each.specifier.contains(found, prereleases=True):
            bad.append(f"{each.name} ({found or 'not installed'})")
        elif (pin := pins.get(canonicalize_name(each.name))) and not pin.specifier.contains(
            found, prereleases=True
        ):
            other.append(f"{each.name} {found}")
    if bad:
        return MISSING, f"{_named(bad)}: pip install -r {PINNED}"
    if other:
        return NOTE, f"{len(wanted)} fit {PROJECT}; not as in {PINNED}: {_named(other)}"
    return OK, f"{len(wanted)} as in {PINNED}"


def device() -> Found:
    """Import torch and look for a GPU."""
    import torch

    if not torch.cuda.is_available():
        return NOTE, f"torch {torch.__version__}, no GPU: training uses the CPU, which is enough for phantoms"
    facts = torch.cuda.get_device_properties(0)
    count = torch.cuda.device_count()
    others = f" and {count - 1} more" if count > 1 else ""
    return OK, f"torch {torch.__version__}, {facts.name} with {_gib(facts.total_memory)}{others}"


def memory() -> Found:
    """Tell the cores that this process may use, and the memory."""
    found = psutil.virtual_memory()
    return OK, f"{_gib(found.available)} of {_gib(found.total)} available, {parallel.cpu_count()} CPU cores"


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _project() -> dict[str, Any]:
    try:
        content: dict[str, Any] = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        raise OncovecError(f"{PROJECT}: not there or damaged; `git restore {PROJECT}`") from None
    return content


def _wanted() -> Iterator[Requirement]:
    """Yield the requirements of the library and of the pipeline that hold for this machine."""
    project = _project()
    for line in (*project["dependencies"], *project["optional-dependencies"][EXTRA]):
        each = Requirement(line)
        if each.marker is None or each.marker.evaluate():
            yield each


def _pins() -> dict[str, Requirement]:
    """Return the lines of requirements.txt by canonical name; none if it is not there."""
    if not PINNED.is_file():
        return {}
    lines = PINNED.read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in pins}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
