"""Types for rows of params.yaml that name images: downloads, datasets, tasks, external test sets."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from oncovec.core import paths
from oncovec.core.files import rounded
from oncovec.core.recipes import Layout, Name, Section, Text


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    repeated = [name for number, name in enumerate(names) if name in names[:number]]
    if repeated:
        raise ValueError(f"names {repeated[0]!r} more than once")
    return names


def _as_tuple(names: Any) -> Any:
    """Let a single name stand for a list of one."""
    return (names,) if isinstance(names, str | int) else names


Classes = Annotated[tuple[Text, ...], BeforeValidator(_as_tuple), AfterValidator(_distinct)]


class Columns(Section):
    """The path of a dataset's CSV file and the names of its columns.

    The column `group` is optional. A group column with another name must exist. A column of published
    splits must exist if it is named.
    """

    file: str = "labels.csv"
    image: str = "image"
    label: str = "label"
    group: str | None = "group"
    split: str | None = None


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


class Download(Section):
    """The files to fetch: versions of Kaggle datasets, a Kaggle competition, or the bulk files of ISIC."""

    kaggle: tuple[KaggleVersion, ...] = ()
    competition: Slug | None = None
    isic: Literal[2020] | None = None

    @model_validator(mode="after")
    def _fetches_something(self) -> "Download":
        if not (self.kaggle or self.competition or self.isic):
            raise ValueError("nothing to fetch; it needs kaggle:, competition: or isic:")
        return self


def _window(window: tuple[float, float]) -> tuple[float, float]:
    low, high = rounded(window)  # as the facts of a trained system keep it
    if low >= high:
        raise ValueError(f"[{low:g}, {high:g}]: the first value becomes black and must be below the second")
    return low, high


Window = Annotated[tuple[float, float], AfterValidator(_window)]
Grouping = Literal["folder", "dicom"]


def _refuse_keys_of_other_layouts(row: "Dataset | External") -> None:
    group, layout, columns = row.group, row.layout, row.columns
    if layout != "csv" and "columns" in row.model_fields_set:
        raise ValueError(f"columns: for layout: csv; layout {layout} has no table to name columns of")
    if group == "folder" and layout != "folders":
        raise ValueError(f"group: folder is for layout: folders; layout {layout} has its own")
    if group == "dicom" and layout not in ("folders", "csv"):
        raise ValueError(f"group: dicom is for layout: folders or csv; layout {layout} has its own")
    if group == "dicom" and columns.group and "group" in columns.model_fields_set:
        raise ValueError(f"group: dicom and columns.group: {columns.group} both name the groups; remove one")


class Dataset(Section):
    """A dataset: the folder of its files, their layout, and the size at which images are stored.

    `stratify` names the label columns whose values keep their shares in every split. None means all label
    columns. `group` says what keeps images together, see `layouts.own.read_folders`. `window` has the values
    of deep images and of DICOM that become black and white, see `data.decode.decode`.
    """

    root: Annotated[str, Field(min_length=1)]
    layout: Layout
    image_size: Annotated[int, Field(ge=16, le=2048)]
    stratify: Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(_distinct)] | None = None
    group: Grouping | None = None
    window: Window | None = None
    columns: Columns = Columns()

    @model_validator(mode="after")
    def _has_keys_of_its_layout(self) -> "Dataset":
        _refuse_keys_of_other_layouts(self)
        return self


class Task(Section):
    """A task: a dataset, the label column to learn, and the classes that are kept out of training.

    `positive` names the class of a binary task that it looks for, `normal` the classes without disease of
    another task.
    """

    dataset: Name
    label: Text
    positive: Text | None = None
    normal: Classes = ()
    few_shot_classes: Classes = ()

    @model_validator(mode="after")
    def _names_classes_that_fit(self) -> "Task":
        if self.positive in self.few_shot_classes:
            raise ValueError(
                f"few_shot_classes: {self.positive} is the positive class; it must be trained on"
            )
        if self.positive and self.normal:
            raise ValueError("normal: for tasks without a positive class; a binary one needs positive alone")
        return self


def _no_file_of_ours(name: str) -> str:
    if name == paths.EXTERNAL_SETS.stem:
        raise ValueError(f"{paths.EXTERNAL_SETS} is a file of the pipeline; choose another name")
    return name


ExternalName = Annotated[Name, AfterValidator(_no_file_of_ours)]


class External(Section):
    """An external test set: images of a task from another collection, which are never trained on.

    `labels` names, for each label of the set, the classes of the task that it stands for; a prediction of any
    of them is right. A label that is not named is a class of the task. `dataset` is that of the task;
    `layout`, `group`, `columns` and `window` are as of a dataset, but of the set; without a window of
    its own, the set has that of the dataset.
    """

    task: Name
    dataset: Name
    root: Annotated[str, Field(min_length=1)]
    layout: Layout
    group: Grouping | None = None
    window: Window | None = None
    columns: Columns = Columns()
    labels: dict[Text, Annotated[Classes, Field(min_length=1)]] = Field(default={})

    @model_validator(mode="after")
    def _has_keys_of_its_layout(self) -> "External":
        _refuse_keys_of_other_layouts(self)
        return self

    @model_validator(mode="after")
    def _names_a_class_once(self) -> "External":
        named = [name for classes in self.labels.values() for name in classes]
        if repeated := {name for name in named if named.count(name) > 1}:
            raise ValueError(f"labels: class {min(repeated)!r} has two labels")
        return self
