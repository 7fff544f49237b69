"""Options that several commands share."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from oncovec.core import checkout, params, paths
from oncovec.core.errors import OncovecError

Path_ = click.Path(path_type=Path)


def _names(_context: click.Context, _option: click.Parameter, start: str) -> list[CompletionItem]:
    """Return the rows of systems: with this start, for completion by the shell; files if there are none."""
    try:
        rows = params.read(checkout.find() / paths.PARAMS).get("systems")
    except OncovecError:
        rows = None
    names = [str(name) for name in rows] if isinstance(rows, dict) else []
    found = [CompletionItem(name) for name in names if name.startswith(start)]
    return found or [CompletionItem(start, type="file")]


SYSTEM = click.option(
    "--system",
    required=True,
    metavar="NAME",
    shell_complete=_names,
    help="Trained system: a row of params.yaml, or a file of `oncovec export`.",
)
