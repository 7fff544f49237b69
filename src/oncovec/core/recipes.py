"""A system's recipe: its row of params.yaml, completed by the shared knobs and by its data."""

from dataclasses import dataclass
from typing import Any

from oncovec.core.params import MARGIN_OBJECTIVES, Augmentation, Params, System
from oncovec.core.stage import row


@dataclass(frozen=True)
class Recipe:
    """Everything that training needs to know, resolved.

    Attributes:
        classes: in the order of the network's outputs.
        positive: the class that a binary task looks for; None otherwise.
        image_size, resize: how the prepared images were stored.
        input_size: px asked for in the row; see `oncovec.learning.backbones.input_size`.
        margin, mining, embedding_dim: of metric-learning systems; None for classifiers.
        weights: `none`, `imagenet` or a file.
        backbone_lr: the row's own, else `lr`.
        patience: None for a cosine schedule, which is laid out for all its epochs.
        epochs: `train.epochs` where it is set, else the row's own, at most a phantom's cap.
    """

    system: str
    task: str
    dataset: str
    source: str
    classes: tuple[str, ...]
    positive: str | None
    image_size: int
    resize: str
    backbone: str
    frozen: bool
    hidden: tuple[int, ...]
    input_dropout: float
    dropout: float
    objective: str
    margin: float | None
    mining: str | None
    embedding_dim: int | None
    weights: str
    input_size: int
    lr: float
    backbone_lr: float
    schedule: str
    weight_decay: float
    ema: float
    label_smoothing: float
    batch_size: int
    epochs: int
    balanced: bool
    tta: bool
    augment: Augmentation
    patience: int | None
    seed: int
    precision: str
    threads: int

    @property
    def classifies(self) -> bool:
        """Whether the system has a head with a probability for each class."""
        return self.objective not in MARGIN_OBJECTIVES


def resolve(params: Params, name: str, split: dict[str, Any], prepared: dict[str, Any]) -> Recipe:
    """Complete a row: its own value, else the shared one.

    Args:
        params: the whole of params.yaml; read lazily, so that a classifier never looks at the margin.
        name: of the row.
        split: what stands beside the task's split: `classes` (without the unseen ones) and `positive`.
        prepared: what stands beside the prepared array: `source`, `image_size`, `resize`, `epochs`.
    """
    system: System = row(params.systems, "systems", name)
    model, train = params.model, params.train
    metric = system.objective in MARGIN_OBJECTIVES
    own_epochs = min(system.epochs, prepared.get("epochs", system.epochs))
    return Recipe(
        system=name,
        task=system.task,
        dataset=system.dataset,
        source=prepared["source"],
        classes=tuple(split["classes"]),
        positive=split["positive"],
        image_size=prepared["image_size"],
        resize=prepared["resize"],
        backbone=system.backbone,
        frozen=system.frozen,
        hidden=system.hidden,
        input_dropout=system.input_dropout,
        dropout=system.dropout,
        objective=system.objective,
        margin=model.margin if metric else None,
        mining=(system.mining or model.mining) if metric else None,
        embedding_dim=(system.embedding_dim or model.embedding_dim) if metric else None,
        weights=system.weights or model.weights,
        input_size=system.input_size,
        lr=system.lr,
        backbone_lr=system.backbone_lr or system.lr,
        schedule=system.schedule,
        weight_decay=system.weight_decay,
        ema=system.ema,
        label_smoothing=system.label_smoothing,
        batch_size=system.batch_size,
        epochs=train.epochs or own_epochs,
        balanced=system.balanced,
        tta=system.tta,
        augment=params.augment if system.augment is None else system.augment,
        patience=None if system.schedule == "cosine" else system.patience or train.patience,
        seed=train.seed,
        precision=train.precision,
        threads=train.threads,
    )
