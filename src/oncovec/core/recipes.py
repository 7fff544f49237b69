"""A system's recipe as training sees it: its row, merged with its base, and what its data say."""

from collections.abc import Sequence
from typing import Any

from oncovec.core.errors import OncovecError
from oncovec.core.knobs import MARGIN_OBJECTIVES, Knobs, System
from oncovec.core.params import Params, Task
from oncovec.core.stage import row


class Recipe(Knobs):
    """Everything that training needs to know: the knobs of a system, and the facts below.

    Attributes:
        source: phantom, remote or local.
        classes: in the order of the network's outputs.
        label: the label column that is learned.
        few_shot_classes: kept out of training, not among `classes`.
        positive: the class that a binary task looks for; None otherwise.
        image_size, resize: how the prepared images were stored.
        epochs: `train.epochs` where it is set, else the row's own, at most a phantom's cap.
        patience: None for a cosine schedule, which is laid out for all its epochs.
    """

    system: str
    task: str
    dataset: str
    source: str
    classes: tuple[str, ...]
    positive: str | None
    label: str
    few_shot_classes: tuple[str, ...]
    image_size: int
    resize: str
    seed: int
    precision: str
    threads: int

    @property
    def classifies(self) -> bool:
        """Whether the system has a head with a probability for each class."""
        return self.objective not in MARGIN_OBJECTIVES


def resolve(params: Params, name: str, labels: Sequence[str], prepared: dict[str, Any]) -> Recipe:
    """Complete a system's row by what training runs share and by its data.

    Args:
        params: the whole of params.yaml.
        name: of the row.
        labels: of the images that the task can use, '' where one has none.
        prepared: the facts beside the prepared array: `source`, `image_size`, `resize`, `epochs`.

    Raises:
        OncovecError: when the task has too few classes, or not those that it names.
    """
    system: System = row(params.systems, "systems", name)
    train, task = params.train, params.tasks[system.task]
    knobs = system.model_dump(exclude={"base"})
    knobs["epochs"] = train.epochs or min(system.epochs, prepared.get("epochs", system.epochs))
    knobs["patience"] = None if system.schedule == "cosine" else system.patience or train.patience
    return Recipe(
        **knobs,
        system=name,
        source=prepared["source"],
        classes=classes_of(system.task, task, labels),
        positive=task.positive,
        label=task.label,
        few_shot_classes=task.few_shot_classes,
        image_size=prepared["image_size"],
        resize=prepared["resize"],
        seed=train.seed,
        precision=train.precision,
        threads=train.threads,
    )


def classes_of(name: str, task: Task, labels: Sequence[str]) -> tuple[str, ...]:
    """Classes that a task is trained on, sorted: those of its images without its few-shot classes.

    Args:
        name: of the task.
        task: its row.
        labels: of its images, '' where one has none.

    Raises:
        OncovecError: for a positive class without an image or among more than two classes, a few-shot class
            without an image, and for fewer than two classes to train on.
    """
    present = sorted(set(labels) - {""})
    strange = [name for name in task.few_shot_classes if name not in present]
    if strange:
        raise OncovecError(
            f"tasks.{name}.few_shot_classes: no image of {', '.join(strange)}; there are {', '.join(present)}"
        )
    if task.positive is not None and (task.positive not in present or len(present) != 2):
        raise OncovecError(
            f"tasks.{name}.positive = {task.positive!r}: needs two classes, this one among them; "
            f"there are {', '.join(present) or 'none'}"
        )
    classes = tuple(each for each in present if each not in task.few_shot_classes)
    if len(classes) < 2:
        without = f" without {', '.join(task.few_shot_classes)}" if task.few_shot_classes else ""
        raise OncovecError(
            f"tasks.{name}: {', '.join(classes) or 'nothing'} to train on{without}; it needs two classes"
        )
    return classes
