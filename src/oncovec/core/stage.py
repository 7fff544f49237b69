"""Run one stage: read params, call its main, and turn a user's mistake into one line."""

import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from oncovec.core import params
from oncovec.core.errors import OncovecError


def run(main: Callable[..., None]) -> None:
    """Call `main(params)` or `main(name, params)` with the name from the command line.

    Exits with 1 and one line on stderr for an `OncovecError`.
    """
    named = len(inspect.signature(main).parameters) == 2
    spec = getattr(inspect.getmodule(main), "__spec__", None)
    if spec is None:
        sys.exit("run a stage as a module: python -m stages.NAME")
    stage = spec.name.removeprefix("stages.")
    if len(sys.argv) != 1 + named:
        sys.exit(f"usage: python -m stages.{stage}{' NAME' if named else ''}")
    names: list[Any] = sys.argv[1:]
    address = "@".join([stage, *names])
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        main(*names, params.load())
    except OncovecError as error:
        sys.exit(f"{address}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{address}: interrupted")


def _end_with(parent: int) -> None:
    """End when DVC was killed: a later run must not find its outputs overwritten by an earlier one."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def row(rows: dict[str, Any], section: str, name: str) -> Any:
    """Look up a row of params.yaml.

    Raises:
        OncovecError: when there is no such row, naming those that there are.
    """
    if name not in rows:
        raise OncovecError(f"no row {name!r} in {section}: of params.yaml; there are {', '.join(rows)}")
    return rows[name]
