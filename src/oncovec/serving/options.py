"""Options that several commands share."""

from pathlib import Path

import click

Path_ = click.Path(path_type=Path)

SYSTEM = click.option(
    "--system",
    required=True,
    metavar="NAME",
    help="Trained system: a row of params.yaml, or a file of `oncovec export`.",
)
