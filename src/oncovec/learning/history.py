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

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics that this training has, by name."""
        values = {name: getattr(self, name) for name in HISTORY_COLUMNS if name != "epoch"}
        return {name: value for name, value in values.items() if value is not None}


HISTORY_COLUMNS = tuple(column.name for column in fields(Epoch))
"""Columns of `history.csv`."""
