"""What was measured of a trained system in a checkout: what its model card tells."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from oncovec.core import paths, tables
from oncovec.core.parts import CheckoutParts, read_object
from oncovec.evaluation.external import PLOTS, of_system
from oncovec.evaluation.report import ALL, REPORT_COLUMNS
from oncovec.serving.card import Measured


def read(parts: CheckoutParts, facts: Mapping[str, Any]) -> Measured:
    """Read what was measured of a system.

    Args:
        parts: its files.
        facts: its facts.

    Raises:
        OncovecError: if the report is missing or damaged.
    """
    own = {name: (each["source"], each["systems"][parts.name]) for name, each in external(parts)}
    return Measured(report(parts), _strategy(parts, facts["dataset"]), own, _intervals(parts, facts["task"]))


def report(parts: CheckoutParts) -> pd.DataFrame:
    """Return the report over all images; subsets are left out, since they may name hospitals."""
    path = paths.report(parts.name)
    table = tables.parse(io.StringIO(parts.read(path).decode()), parts.where(path), REPORT_COLUMNS)
    return table[table["subset"] == ALL]


def external(parts: CheckoutParts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each external test set that the system was measured on, with the metrics of this system alone."""
    for name, source, own in of_system(parts):
        yield name, {"source": source, "systems": {parts.name: own}}


def _strategy(parts: CheckoutParts, dataset: str) -> str:
    """Return how the split was drawn; '' if its metrics are not in the checkout, as if it was copied."""
    path = paths.split_metrics(dataset)
    if path not in parts.below(path.parent):
        return ""
    return str(read_object(parts, path, "strategy", again=f"run `dvc repro split@{dataset}`")["strategy"])


def _intervals(parts: CheckoutParts, task: str) -> pd.DataFrame:
    """Return the system's rows of the plot of external test sets; none if it is not there."""
    path = parts.root / paths.plot("external", task)
    columns = ("system", *PLOTS["external"])
    table = tables.read(path, columns) if path.is_file() else tables.of(columns, ())
    return table[table["system"] == parts.name]
