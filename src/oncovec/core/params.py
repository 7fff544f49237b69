"""params.yaml and its types: every knob, its range, and the line that a bad value gets."""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from oncovec.core import paths
from oncovec.core.errors import OncovecError

MARGIN_OBJECTIVES = ("triplet", "contrastive")
"""Objectives of metric learning, whose loss has a margin; they read the whole section `model`."""

OWN_BACKBONES = ("triplet_cnn", "siamese_cnn", "pcam_cnn")
"""The ancestors' small CNNs; every other backbone is timm's."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Layout = Literal["multi_organ", "multi_cancer", "pcam", "isic2020", "folders", "csv"]
Objective = Literal["triplet", "contrastive", "cross_entropy", "binary_cross_entropy", "arcface"]
Mining = Literal["all", "semihard", "hard"]


class Section(BaseModel):
    """A frozen part of params.yaml that refuses unknown keys and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Phantom(Section):
    """What keeps the phantom run short; no part of a real run."""

    images: Annotated[int, Field(ge=100, le=1_000_000)]
    size: Annotated[int, Field(ge=16, le=1024)]
    image_size: Annotated[int, Field(ge=16, le=1024)]
    epochs: PositiveInt
    seed: Seed


class Data(Section):
    """Where raw files come from, and how many of them are taken."""

    source: Literal["phantom", "local", "remote"]
    root: Annotated[str, Field(min_length=1)]
    limit: PositiveInt | None
    phantom: Phantom


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    repeated = [name for number, name in enumerate(names) if name in names[:number]]
    if repeated:
        raise ValueError(f"names {repeated[0]!r} more than once")
    return names


class Split(Section):
    """How images get their side: the strategy, shares of the three sides and the seed of their draw.

    `unseen_classes` are kept out of training by the tasks that have them.
    """

    strategy: Literal["grouped", "random", "published"]
    train: Annotated[float, Field(gt=0, lt=1)]
    val: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed
    unseen_classes: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        BeforeValidator(lambda names: (names,) if isinstance(names, str) else names),
        AfterValidator(_distinct),
    ] = ()

    @model_validator(mode="after")
    def _adds_up(self) -> "Split":
        total = self.train + self.val + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"train + val + test is {total:g}, and must be 1")
        return self


class Features(Section):
    """What near copies are found by."""

    size: Annotated[int, Field(ge=32, le=512)] = 96
    keypoints: Annotated[int, Field(ge=50, le=2000)] = 400


class Group(Section):
    """When two images come from the same original."""

    neighbours: Annotated[int, Field(ge=1, le=1000)] = 30
    inliers: Annotated[int, Field(ge=4, le=1000)] = 12
    correlation: Annotated[float, Field(ge=0, le=1)] = 0.85


class Preprocess(Section):
    """How an image becomes a square array."""

    resize: Literal["keep", "squash"]


class Augmentation(Section):
    """Random changes to training images; everything off by default."""

    flip_horizontal: Share = 0.0
    flip_vertical: Share = 0.0
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    illuminant: Share = 0.0
    blur: Share = 0.0
    noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    erasing: Share = 0.0


class Model(Section):
    """What systems share."""

    weights: Literal["none", "imagenet"]
    margin: Annotated[float, Field(gt=0, le=2)]
    mining: Mining
    embedding_dim: Annotated[int, Field(ge=2, le=4096)]


class Train(Section):
    """What every training run shares; the recipe itself stands in the system's row."""

    seed: Seed
    epochs: PositiveInt | None
    patience: PositiveInt | None
    precision: Literal["auto", "fp32", "bf16"]
    processes: Annotated[int, Field(ge=1, le=64)]
    threads: Annotated[int, Field(ge=1, le=256)]


class Embed(Section):
    """How images are turned into embeddings."""

    tta: bool
    batch_size: PositiveInt


class Knn(Section):
    """Candidates for the number of neighbours."""

    k: Annotated[
        tuple[PositiveInt, ...],
        Field(min_length=1),
        BeforeValidator(lambda k: (k,) if isinstance(k, int) else k),
    ]


class Evaluate(Section):
    """What is reported."""

    test: bool
    sensitivity: Annotated[float, Field(gt=0, lt=1)] | None
    scatter_points: Annotated[int, Field(ge=10, le=2000)]
    neighbours: Annotated[int, Field(ge=1, le=50)]
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]
    seed: Seed


class Columns(Section):
    """Where a dataset's CSV lies and what its columns are called.

    The column `group` is taken where there is one; a group column of another name must be there, and so
    must the column of published sides, where one is named.
    """

    file: str = "labels.csv"
    image: str = "image"
    label: str = "label"
    group: str | None = "group"
    side: str | None = None


def _version(name: str) -> str:
    if not re.fullmatch(r"[\w-]+/[\w-]+/[1-9]\d*", name, re.ASCII):
        raise ValueError("owner/slug/version, as in masoudnickparvar/brain-tumor-mri-dataset/1")
    return name


def _slug(name: str) -> str:
    if not re.fullmatch(r"[\w-]+", name, re.ASCII):
        raise ValueError("a competition's name, as in its address on Kaggle")
    return name


KaggleVersion = Annotated[str, AfterValidator(_version)]
Slug = Annotated[str, AfterValidator(_slug)]


class Dataset(Section):
    """A dataset: where it lies or is fetched from, how it is laid out, at what size it is stored."""

    layout: Layout
    root: Annotated[str, Field(min_length=1)]
    source: Literal["local", "remote"] | None = None
    image_size: Annotated[int, Field(ge=16, le=2048)]
    enlarge: bool = False
    columns: Columns = Columns()
    kaggle: tuple[KaggleVersion, ...] = ()
    competition: Slug | None = None
    isic: Literal[2020] | None = None
    folder: str = ""

    @model_validator(mode="after")
    def _has_a_folder_where_it_may(self) -> "Dataset":
        if self.folder and self.layout not in ("folders", "csv"):
            raise ValueError(f"folder is for layouts folders and csv; {self.layout} finds its own")
        return self


class Task(Section):
    """A dataset and the label column that is learned."""

    dataset: Name
    label: Annotated[str, Field(min_length=1)]
    positive: Annotated[str, Field(min_length=1)] | None = None


class System(Section):
    """A trained system: a task, a backbone, an objective and a recipe."""

    task: Name
    dataset: Name
    backbone: str
    frozen: bool = False
    hidden: tuple[PositiveInt, ...] = ()
    input_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    objective: Objective
    input_size: Annotated[int, Field(ge=16, le=2048)]
    lr: Annotated[float, Field(gt=0, le=1)]
    backbone_lr: Annotated[float, Field(gt=0, le=1)] | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: Annotated[int, Field(ge=2)]
    epochs: PositiveInt
    balanced: bool = False
    tta: bool = False
    reads_model: Literal["model", "model.weights"]
    reads_augment: Literal["augment", "model.weights"]
    weights: str | None = None
    mining: Mining | None = None
    embedding_dim: Annotated[int, Field(ge=2, le=4096)] | None = None
    patience: PositiveInt | None = None
    augment: Augmentation | None = None

    @model_validator(mode="after")
    def _reads_what_it_uses(self) -> "System":
        model = "model" if self.objective in MARGIN_OBJECTIVES else "model.weights"
        if self.reads_model != model:
            raise ValueError(f"objective {self.objective} needs reads_model: {model}")
        augment = "augment" if self.augment is None else "model.weights"
        if self.reads_augment != augment:
            own = "no augment of its own" if self.augment is None else "its own augment"
            raise ValueError(f"a row with {own} needs reads_augment: {augment}")
        if self.objective not in MARGIN_OBJECTIVES and not self.hidden:
            raise ValueError("a classifier needs hidden: its last hidden layer is the embedding")
        if self.label_smoothing and self.objective not in ("cross_entropy", "arcface"):
            raise ValueError(f"objective {self.objective} has no label_smoothing")
        for key in ("mining", "embedding_dim"):
            if self.objective not in MARGIN_OBJECTIVES and getattr(self, key) is not None:
                raise ValueError(f"objective {self.objective} has no {key}")
        if self.patience and self.schedule == "cosine":
            raise ValueError("patience is for schedule: constant; cosine runs to its end")
        return self


class Params(Section):
    """The whole of params.yaml."""

    data: Data
    features: Features
    group: Group
    split: Split
    preprocess: Preprocess
    augment: Augmentation
    model: Model
    train: Train
    embed: Embed
    knn: Knn
    evaluate: Evaluate
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    systems: Annotated[dict[Name, System], Field(min_length=1)]

    @model_validator(mode="after")
    def _rows_fit_together(self) -> "Params":
        for name, task in self.tasks.items():
            _known(f"tasks.{name}.dataset", task.dataset, self.datasets)
        for name, system in self.systems.items():
            _known(f"systems.{name}.task", system.task, self.tasks)
            dataset = self.tasks[system.task].dataset
            if system.dataset != dataset:
                raise ValueError(
                    f"systems.{name}.dataset = {system.dataset!r}: task {system.task} is one of {dataset!r}"
                )
        return self


def _known(key: str, value: str, allowed: dict[Name, Any]) -> None:
    if value not in allowed:
        raise ValueError(f"{key} = {value!r}: no such row; there are {', '.join(sorted(allowed))}")


def load(path: Path = paths.PARAMS) -> Params:
    """Read and validate params.yaml.

    Raises:
        OncovecError: one line that names the key, its value and what is allowed.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        raise OncovecError(f"{path}: no such file; run from the root of a checkout") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OncovecError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise OncovecError(f"{path}: expected sections such as data: and systems:")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise OncovecError(f"{path}: {_line(error)}") from None


def _line(error: ValidationError) -> str:
    """The first problem as `key = value: what is wrong`, and how many more there are.

    An unknown key comes first: where one is misspelt, the right one is missing, too.
    """
    problems = error.errors(include_url=False)
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"{key}: unknown key"
    elif first["type"] == "missing":
        text = f"{key}: missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        value = first["input"]
        shown = f" = {value!r}" if not isinstance(value, dict) else ""
        text = f"{key}{shown}: {message}" if key else message
    return text + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
