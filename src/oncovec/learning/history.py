"""The history of a training: one row per epoch."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Epoch:
    """One row of the history; `oncovec.learning.validation` computes the metrics."""

    epoch: int
    train_loss: float
    val_loss: float
    train_accuracy: float
    val_accuracy: float
    val_balanced_accuracy: float
    val_auroc: float | None
    positive_distance: float | None
    negative_distance: float | None


HISTORY_COLUMNS = tuple(column.name for column in fields(Epoch))
"""Columns of `history.csv`."""
