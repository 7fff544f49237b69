"""A table of the rows of `systems:` for stages that need no more, and outputs that belong to no row."""

import shlex
from pathlib import Path

import pandas as pd

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.params import Params

COLUMNS = ("system", "task", "dataset")


def write_systems(params: Params) -> None:
    """Write `data/systems.csv`: system, task and dataset of each row, in the order of params.yaml."""
    rows = ((name, system.task, system.dataset) for name, system in params.systems.items())
    tables.write(paths.SYSTEMS, tables.of(COLUMNS, rows))


def read_systems() -> pd.DataFrame:
    """Read `data/systems.csv`."""
    return tables.read(paths.SYSTEMS, COLUMNS)


def left_over(params: Params) -> list[Path]:
    """List the paths in the folders of systems that belong to no row of `systems:`, sorted."""
    found = [*paths.MODELS.glob("*"), *paths.RESULTS.glob("*"), *paths.SYSTEM_METRICS.glob("*.json")]
    visible = [path for path in found if not path.name.startswith(".")]
    return sorted(path for path in visible if path.name.removesuffix(".json") not in params.systems)


def refuse_left_over(params: Params) -> None:
    """Refuse outputs of systems that have no row, since `report` depends on these folders as a whole.

    Raises:
        OncovecError: if there are such outputs; the message names the command that removes them.
    """
    if found := left_over(params):
        names = sorted({path.name.removesuffix(".json") for path in found})
        command = shlex.join(["rm", "-r", *map(str, found)])
        raise OncovecError(
            f"no row of systems: is called {', '.join(names)}, and there are outputs of that name; remove "
            f"them with `{command}`"
        )
