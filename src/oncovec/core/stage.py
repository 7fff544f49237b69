"""Run one stage: read params, call its main function, and show a user's mistake as one line."""

import gc
import inspect
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oncovec.core import params, paths
from oncovec.core.errors import OncovecError, one_line
from oncovec.core.parallel import end_with_parent

STARTED_BY = "ONCOVEC_STARTED_BY"
"""Environment variable of a training process: it contains the number of the process that started it."""

RESTORE = "`git restore metrics plots dvc.lock && dvc checkout` brings back the last commit's results"
"""Advice after a failed stage: DVC removes the outputs of a stage before the stage runs."""


def set_up() -> None:
    """Prepare a process for a stage, before it imports anything slow."""
    # The imports of a stage make a million objects that stay. Looking for garbage among them takes a third of
    # the time of the imports; `run` turns it on again. While a stage starts, Python says so in sys.argv.
    if sys.argv[:1] == ["-m"]:
        gc.disable()
    # By default, threads that wait for work spin. Beside another busy process (a queue with two workers) this
    # made training several times slower. OpenMP reads the variable once, when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # A log shows each epoch when the epoch ends, not when the stage ends. It shows any name in any locale.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    # After DVC is killed, its stage must end too, so that it does not overwrite the outputs of a later run.
    if STARTED_BY in os.environ:
        end_with_parent(int(os.environ[STARTED_BY]))
    elif "DVC_STAGE" in os.environ:
        end_with_parent()


def run(main: Callable[..., None]) -> None:
    """Call `main(params)` or `main(name, params)` with the name from the command line.

    For an `OncovecError`, exit with status 1 and print one line on stderr. Under DVC the line also says how
    to restore the results of the last commit. `check` omits this, since it runs before any
    output is removed.
    """
    named = len(inspect.signature(main).parameters) == 2
    spec = getattr(inspect.getmodule(main), "__spec__", None)
    if spec is None:
        sys.exit("run a stage as a module: python -m stages.NAME")
    stage = spec.name.removeprefix("stages.")
    if len(sys.argv) != 1 + named:
        sys.exit(f"usage: python -m stages.{stage}{' NAME' if named else ''}")
    gc.freeze()
    gc.enable()
    names: list[Any] = sys.argv[1:]
    address = "@".join([stage, *names])
    try:
        main(*names, params.load())
    except OncovecError as error:
        under_dvc = "DVC_STAGE" in os.environ and STARTED_BY not in os.environ
        if under_dvc and stage == "check":
            _let_git_see(paths.PARAMS)
        lost = under_dvc and stage != "check"
        sys.exit(one_line(f"{address}: {error}{f'; {RESTORE}' if lost else ''}"))
    except KeyboardInterrupt:
        sys.exit(one_line(f"{address}: interrupted"))


def _let_git_see(path: Path) -> None:
    """Move the time of a file that DVC has just changed, so that Git does not take it for unchanged.

    `dvc exp run -S` writes a value into params.yaml in the second in which it wrote Git's index. Comments are
    aligned, so the size often stays the same. Git compares seconds and size alone, and `git checkout` would
    leave the refused value.
    """
    if path.is_file():
        later = path.stat().st_mtime + 1
        os.utime(path, (later, later))


def row(rows: dict[str, Any], section: str, name: str) -> Any:
    """Look up a row of params.yaml.

    Raises:
        OncovecError: if there is no such row; the message names the existing rows.
    """
    if name not in rows:
        raise OncovecError(f"no row {name!r} in {section}: of params.yaml; there are {', '.join(rows)}")
    return rows[name]
