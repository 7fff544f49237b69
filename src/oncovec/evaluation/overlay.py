"""The kinds of plots: the columns of each, and the tables of all systems of a task in one."""

from collections.abc import Sequence

import pandas as pd

from oncovec.core import paths, tables

INTERVAL = ("value", "low", "high")

COLUMNS = {
    # Did training work?
    "history": ("epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy"),
    # Which system is better, and does it beat what needs no network?
    "metrics": ("model", "metric", *INTERVAL),
    # Which classes are taken for which?
    "confusion": ("actual", "predicted", "images", "share"),
    # How well are images ranked?
    "roc": ("model", "class", "fpr", "tpr"),
    # Are the probabilities right?
    "reliability": ("series", "confidence", "accuracy", "images"),
    # Whom is it worse for?
    "subgroups": ("subset", "metric", *INTERVAL, "images"),
    # Are classes recognised that it was not trained on?
    "few_shot": ("examples", "rule", "metric", *INTERVAL),
    # What lies near what?
    "embedding": ("method", "x", "y", "label", "split"),
}
"""Every kind of plot, by the question that it answers, and the columns of a system's table of it."""


def read(system: str, kind: str) -> pd.DataFrame:
    """Read a system's table of one kind; `history` is the one that training wrote.

    Raises:
        OncovecError: when it is not there, is damaged, or lacks a column.
    """
    path = paths.history(system) if kind == "history" else paths.table(system, kind)
    return tables.read(path, COLUMNS[kind])[list(COLUMNS[kind])]


def joined(kind: str, systems: Sequence[str]) -> pd.DataFrame:
    """Put some systems' tables of one kind below each other, with a column `system` in front; see `read`."""
    found = pd.concat({system: read(system, kind) for system in systems}, names=["system"])
    return found.reset_index("system").reset_index(drop=True)
