"""The configuration of one training run: the recipe of a system and facts about its data."""

from collections.abc import Sequence
from typing import Any

from oncovec.core.datasets import Task
from oncovec.core.errors import OncovecError
from oncovec.core.params import Params
from oncovec.core.recipes import METRIC_OBJECTIVES, Recipe, System
from oncovec.core.stage import row


class TrainingConfig(Recipe):
    """All that training needs to know: the recipe of a system and the facts below.

    Attributes:
        source: phantom, remote or local.
        classes: the trained classes, in the order of the network's outputs.
        label: the label column to learn.
        few_shot_classes: the classes kept out of training; they are not in `classes`.
        positive: the positive class of a binary task; None otherwise.
        normal: the trained classes without disease, if the task names such; empty otherwise.
        image_size, resize, window: how the prepared images are stored.
        epochs: `train.epochs` if it is set; otherwise the value of the row, at most the cap of a phantom.
        batch_size: that of the row, at most the cap of a phantom.
        patience: None for a cosine schedule, which always runs for all its epochs.
    """

    system: str
    task: str
    dataset: str
    source: str
    classes: tuple[str, ...]
    positive: str | None
    normal: tuple[str, ...] = ()
    label: str
    few_shot_classes: tuple[str, ...]
    image_size: int
    resize: str
    window: tuple[float, float] | None = None
    seed: int
    precision: str
    threads: int

    @property
    def classifies(self) -> bool:
        """Whether the system has a head that gives a probability for each class."""
        return self.objective not in METRIC_OBJECTIVES


def resolve(params: Params, name: str, labels: Sequence[str], prepared: dict[str, Any]) -> TrainingConfig:
    """Complete a system's row with the shared training parameters and the facts about its data.

    Args:
        params: the whole of params.yaml.
        name: name of the row.
        labels: labels of the images that the task can use; '' for an image without a label.
        prepared: the facts beside the prepared array: `source`, `image_size`, `resize`, `window` and, for
            phantoms, `epochs` and `batch_size`.

    Raises:
        OncovecError: if the task has too few classes, or lacks a class that it names.
    """
    # A row is merged with its recipe when params.yaml is read (`core.params.merged`), so it has the margin.
    system: System = row(params.systems, "systems", name)
    train, task = params.train, params.tasks[system.task]
    settings = system.model_dump(exclude={"base"})
    settings["epochs"] = train.epochs or min(system.epochs, prepared.get("epochs", system.epochs))
    settings["batch_size"] = min(system.batch_size, prepared.get("batch_size", system.batch_size))
    settings["patience"] = None if system.schedule == "cosine" else system.patience or train.patience
    classes = classes_of(system.task, task, labels)
    return TrainingConfig(
        **settings,
        system=name,
        source=prepared["source"],
        classes=classes,
        positive=task.positive,
        normal=tuple(each for each in task.normal if each in classes),
        label=task.label,
        few_shot_classes=task.few_shot_classes,
        image_size=prepared["image_size"],
        resize=prepared["resize"],
        window=prepared.get("window"),
        seed=train.seed,
        precision=train.precision,
        threads=train.threads,
    )


def classes_of(name: str, task: Task, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the sorted classes of training: the classes of the images without the few-shot classes.

    Args:
        name: name of the task.
        task: row of the task.
        labels: labels of its images; '' for an image without a label.

    Raises:
        OncovecError: if the positive class has no image or there are not exactly two classes, if a few-shot
            class or a normal class has no image, if fewer than two classes remain for training, or if all of
            these are normal.
    """
    present = sorted(set(labels) - {""})
    for key, named in (("few_shot_classes", task.few_shot_classes), ("normal", task.normal)):
        if strange := [each for each in named if each not in present]:
            raise OncovecError(
                f"tasks.{name}.{key}: no image of {', '.join(strange)}; there are {', '.join(present)}"
            )
    if task.positive is not None and (task.positive not in present or len(present) != 2):
        raise OncovecError(
            f"tasks.{name}.positive = {task.positive!r}: needs two classes, this one among them; "
            f"there are {', '.join(present) or 'none'}"
        )
    if task.normal and len(present) == 2:
        raise OncovecError(f"tasks.{name}.normal: for more than two classes; name the other one as positive")
    classes = tuple(each for each in present if each not in task.few_shot_classes)
    if len(classes) < 2:
        without = f" without {', '.join(task.few_shot_classes)}" if task.few_shot_classes else ""
        raise OncovecError(
            f"tasks.{name}: {', '.join(classes) or 'nothing'} to train on{without}; it needs two classes"
        )
    if set(classes) <= set(task.normal):
        raise OncovecError(f"tasks.{name}.normal: no class with disease is left to train on")
    return classes
