"""The kinds of plots: the columns of each, and the tables of all systems of a task, one below the other."""

from collections.abc import Sequence

from oncovec.core import paths
from oncovec.core.tables import read_table

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


def read(system: str, kind: str) -> list[dict[str, str]]:
    """Read a system's table of one kind; `history` is the one that training wrote.

    Raises:
        OncovecError: when it is not there, is damaged, or lacks a column.
    """
    path = paths.history(system) if kind == "history" else paths.table(system, kind)
    return read_table(path, COLUMNS[kind])


def joined(kind: str, systems: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of some systems' tables of one kind, a column `system` in front; see `read`."""
    columns = COLUMNS[kind]
    rows = [[system, *(row[name] for name in columns)] for system in systems for row in read(system, kind)]
    return ["system", *columns], rows
