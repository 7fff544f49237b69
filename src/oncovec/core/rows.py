"""Tables of the rows of params.yaml for stages that need no more, and outputs that belong to no row."""

import shlex
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.params import Params, read

COLUMNS = ("system", "task", "dataset")

SET_COLUMNS = ("set", "task", "label", "class")
"""Columns of the table of external test sets; a set without `labels:` has one row, with an empty label."""


def write_systems(params: Params) -> None:
    """Write `data/systems.csv`: system, task and dataset of each row, in the order of params.yaml."""
    rows = ((name, system.task, system.dataset) for name, system in params.systems.items())
    tables.write(paths.SYSTEMS, tables.of(COLUMNS, rows))


def read_systems() -> pd.DataFrame:
    """Read `data/systems.csv`."""
    return tables.read(paths.SYSTEMS, COLUMNS)


def write_external(params: Params) -> None:
    """Write `data/external/sets.csv`: the classes of each label of each row, in the order of params.yaml."""
    rows = [
        (name, row.task, label, each)
        for name, row in params.external.items()
        for label, classes in (row.labels or {"": ("",)}).items()
        for each in classes
    ]
    tables.write(paths.EXTERNAL_SETS, tables.of(SET_COLUMNS, rows))


def read_external() -> pd.DataFrame:
    """Read `data/external/sets.csv`."""
    return tables.read(paths.EXTERNAL_SETS, SET_COLUMNS)


def refuse_unknown(system: str, root: Path = Path()) -> None:
    """Refuse the name of a system that no row of params.yaml has.

    Args:
        system: the name.
        root: root of the checkout.

    Raises:
        OncovecError: if there is no such row; the message names the rows, and the most similar one first.
    """
    path = root / paths.PARAMS
    rows = read(path).get("systems") if path.is_file() else None
    names = [str(name) for name in rows] if isinstance(rows, dict) else []
    if not names or system in names:
        return
    similar = get_close_matches(system, names, 1)
    meant = f" (did you mean {similar[0]}?)" if similar else ""
    raise OncovecError(f"no row of systems: is called {system}{meant}; there are {', '.join(names)}")


def left_over(params: Params) -> list[Path]:
    """List the outputs of systems and of external test sets that belong to no row, sorted."""
    folders = (paths.MODELS, paths.LIVE, paths.RESULTS)
    systems = [path for folder in folders for path in folder.glob("*")]
    systems += paths.SYSTEM_METRICS.glob("*.json")
    sets = [*paths.EXTERNAL_SETS.parent.glob("*.csv"), *paths.EXTERNAL_METRICS.glob("*.json")]
    found = [path for path in systems if _row(path) not in params.systems]
    found += [path for path in sets if _row(path) not in params.external and path != paths.EXTERNAL_SETS]
    return sorted(path for path in found if not path.name.startswith("."))


def _row(path: Path) -> str:
    return path.name.removesuffix(".json").removesuffix(".csv")


def refuse_left_over(params: Params) -> None:
    """Refuse outputs that have no row, since `report` depends on their folders as a whole.

    Raises:
        OncovecError: if there are such outputs; the message names the command that removes them.
    """
    if found := left_over(params):
        names = sorted({_row(path) for path in found})
        command = shlex.join(["rm", "-r", *map(str, found)])
        raise OncovecError(
            f"no row of systems: or external: is called {', '.join(names)}, and there are outputs of that "
            f"name; remove them with `{command}`"
        )
