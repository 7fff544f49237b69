"""The kinds of plots: their columns, and joint tables of all systems of a task."""

from collections.abc import Sequence

import pandas as pd

from oncovec.core import paths, tables

INTERVAL = ("value", "low", "high")

COLUMNS = {
    # Losses and accuracies during training.
    "history": ("epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy"),
    # Comparison of systems with each other and with the baselines, which need no network.
    "metrics": ("model", "metric", *INTERVAL),
    # Classes that are predicted for each actual class.
    "confusion": ("actual", "predicted", "images", "share"),
    # Quality of the ranking of images.
    "roc": ("model", "class", "fpr", "tpr"),
    # Precision at each recall; `prevalence` is the precision of a random ranking.
    "precision_recall": ("model", "class", "recall", "precision", "prevalence"),
    # Calibration of the probabilities.
    "reliability": ("series", "confidence", "accuracy", "images"),
    # Metrics per subgroup.
    "subgroups": ("subset", "metric", *INTERVAL, "images"),
    # Recognition of classes that are kept out of training.
    "few_shot": ("examples", "rule", "metric", *INTERVAL),
    # Positions of the images in the plane of the embedding.
    "embedding": ("method", "x", "y", "label", "split"),
}
"""Every kind of plot and the columns of its table for one system; a comment gives the content of the plot."""

MAY_BE_EMPTY = ("subgroups", "few_shot")
"""Kinds whose table has no rows for some systems: without known subgroups, or without few-shot classes."""


def read(system: str, kind: str) -> pd.DataFrame:
    """Read a system's table of one kind; `history` is the table that training writes.

    Raises:
        OncovecError: if the table does not exist, is damaged, or lacks a column.
    """
    path = paths.history(system) if kind == "history" else paths.table(system, kind)
    return tables.read(path, COLUMNS[kind])[list(COLUMNS[kind])]


def joined(kind: str, systems: Sequence[str]) -> pd.DataFrame:
    """Concatenate the tables of one kind of some systems, with `system` as the first column; see `read`."""
    found = pd.concat({system: read(system, kind) for system in systems}, names=["system"])
    return found.reset_index("system").reset_index(drop=True)
