"""Types for sections and rows of params.yaml: names, ranges, and the recipe of a system."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

METRIC_OBJECTIVES = ("triplet", "contrastive")
"""Objectives of metric learning: they train the embedding, have no head, and need base: model."""

OWN_BACKBONES = ("triplet_cnn", "siamese_cnn", "pcam_cnn")
"""Small CNNs of the published projects; every other backbone comes from timm."""

BASES = ("model", "classifier", "flagship")
"""Sections of params.yaml that contain recipes."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Layout = Literal["multi_organ", "multi_cancer", "pcam", "isic2020", "folders", "csv"]
Objective = Literal["triplet", "contrastive", "cross_entropy", "binary_cross_entropy", "arcface"]
Mining = Literal["all", "semihard", "hard"]


def _text(value: Any) -> Any:
    """Turn a whole number into text, as a class may be called 0; refuse a truth value."""
    if isinstance(value, bool):
        raise ValueError("YAML reads true and false as truth values; put the name in quotes")
    return str(value) if isinstance(value, int) else value


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]


class Section(BaseModel):
    """A frozen part of params.yaml that refuses unknown keys and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Augmentation(Section):
    """Random changes to training images; all are off by default."""

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


def augmentation(value: Any) -> Any:
    """Turn `none` into a table that turns nothing on."""
    return {} if value == "none" else value


class Recipe(Section):
    """The recipe of a system: backbone, objective and training; see the comments in params.yaml.

    `margin`, `mining` and `embedding_dim` apply to metric learning, `arcface_margin` (degrees) to ArcFace.
    `weights` is `none`, `imagenet` or a file. A file must have the sha256 `weights_sha256`.
    """

    backbone: Text
    objective: Objective
    weights: Text = "none"
    weights_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    frozen: bool = False
    hidden: tuple[PositiveInt, ...] = ()
    input_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    margin: Annotated[float, Field(gt=0, le=2)] | None = None
    mining: Mining | None = None
    embedding_dim: Annotated[int, Field(ge=2, le=4096)] | None = None
    arcface_margin: Annotated[float, Field(gt=0, lt=90)] = 28.6
    input_size: Annotated[int, Field(ge=16, le=2048)]
    batch_size: Annotated[int, Field(ge=2)]
    epochs: PositiveInt
    patience: PositiveInt | None = None
    lr: Annotated[float, Field(gt=0, le=1)]
    backbone_lr: Annotated[float, Field(gt=0, le=1)] | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixstyle: Share = 0.0
    balanced: bool = False
    tta: bool = False
    augment: Annotated[Augmentation, BeforeValidator(augmentation)] = Augmentation()


def _optional(field: FieldInfo) -> FieldInfo:
    return FieldInfo.merge_field_infos(field, default=None)


RecipeSection = create_model(
    "RecipeSection",
    __base__=Section,
    **{name: (field.annotation, _optional(field)) for name, field in Recipe.model_fields.items()},  # type: ignore[call-overload]
)
"""Some parameters of a recipe; the rows of `systems:` set the others."""


class System(Recipe):
    """A row of `systems:` merged with its recipe: a task, a backbone, an objective and a training recipe."""

    base: Literal["model", "classifier", "flagship"]
    task: Name
    dataset: Name

    @model_validator(mode="after")
    def _fits_together(self) -> "System":
        metric = self.objective in METRIC_OBJECTIVES
        if metric and self.base != "model":
            raise ValueError(f"objective {self.objective} needs base: model, the recipe of metric learning")
        if not metric and self.base == "model":
            raise ValueError(
                f"objective {self.objective} needs base: classifier or flagship; model is for metric learning"
            )
        for key in ("margin", "mining", "embedding_dim"):
            if metric != (getattr(self, key) is not None):
                raise ValueError(f"objective {self.objective} {'needs' if metric else 'has no'} {key}")
        if not metric and not self.hidden:
            raise ValueError("a classifier needs hidden: its last hidden layer is the embedding")
        if self.label_smoothing and self.objective not in ("cross_entropy", "arcface"):
            raise ValueError(f"objective {self.objective} has no label_smoothing")
        if self.mixstyle and self.frozen:
            raise ValueError("mixstyle is for backbones that are trained, not for frozen ones")
        if self.patience and self.schedule == "cosine":
            raise ValueError("patience is for schedule: constant; cosine runs to its end")
        if (self.weights in ("none", "imagenet")) != (self.weights_sha256 is None):
            raise ValueError("weights_sha256 is for weights that are a file, and a file needs it")
        return self
