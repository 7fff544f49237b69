"""Types of params.yaml: every parameter, its range, and the error message for an invalid value."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from oncovec.core import paths
from oncovec.core.datasets import Dataset, Download, External, ExternalName, Task
from oncovec.core.errors import OncovecError
from oncovec.core.recipes import (
    BASES,
    Name,
    PositiveInt,
    Recipe,
    RecipeSection,
    Section,
    Seed,
    System,
    augmentation,
)


class Phantom(Section):
    """Parameters that keep a run on phantoms short; a real run does not use them."""

    images: Annotated[int, Field(ge=100, le=1_000_000)]
    size: Annotated[int, Field(ge=16, le=1024)]
    image_size: Annotated[int, Field(ge=16, le=1024)]
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    seed: Seed


class Data(Section):
    """The source of the files of `download`, and the maximum number of images."""

    source: Literal["phantom", "remote"]
    limit: PositiveInt | None
    phantom: Phantom


class Split(Section):
    """How images are split: the strategy, the shares of the three splits, and the random seed."""

    strategy: Literal["grouped", "random", "published"]
    train: Annotated[float, Field(gt=0, lt=1)]
    val: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed

    @model_validator(mode="after")
    def _adds_up(self) -> "Split":
        total = self.train + self.val + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"train + val + test is {total:g}, and must be 1")
        return self


class NearDuplicates(Section):
    """Criteria by which two images come from the same original."""

    keypoints: Annotated[int, Field(ge=50, le=2000)]
    neighbours: Annotated[int, Field(ge=1, le=1000)]
    inliers: Annotated[int, Field(ge=4, le=1000)]
    correlation: Annotated[float, Field(ge=0, le=1)]


class Preprocess(Section):
    """How an image becomes a square array."""

    resize: Literal["keep", "squash"]


class Train(Section):
    """Parameters that all training runs share; the recipe of each system contains the others."""

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
    """Parameters of evaluation: what is reported."""

    test: bool
    sensitivity: Annotated[float, Field(gt=0, lt=1)] | None
    specificity: Annotated[float, Field(gt=0, lt=1)] | None
    coverage: Annotated[float, Field(gt=0, le=1)]
    set_coverage: Annotated[float, Field(gt=0, lt=1)]
    scatter_points: Annotated[int, Field(ge=10, le=2000)]
    neighbours: Annotated[int, Field(ge=1, le=50)]
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]
    seed: Seed


def _address(value: str) -> str:
    """Refuse what is no address of a server, and one with a password, since params.yaml is in Git."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as http://127.0.0.1:5000, or null")
    if "@" in parts.netloc:
        raise ValueError("name and password go into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    return value


class Params(Section):
    """The whole of params.yaml.

    Each row of `systems:` is merged with its recipe (see `merged`), and only these rows are used.
    """

    data: Data
    downloads: dict[Name, Download]
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    external: dict[ExternalName, External]
    preprocess: Preprocess
    near_duplicates: NearDuplicates
    split: Split
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    model: RecipeSection
    classifier: RecipeSection
    flagship: RecipeSection
    systems: Annotated[dict[Name, System], Field(min_length=1)]
    train: Train
    mlflow: Annotated[str, AfterValidator(_address)] | None
    embed: Embed
    knn: Knn
    evaluate: Evaluate

    @model_validator(mode="before")
    @classmethod
    def _merge_recipes(cls, content: Any) -> Any:
        if not isinstance(content, dict) or not isinstance(content.get("systems"), dict):
            return content
        rows = {name: merged(content, row) for name, row in content["systems"].items()}
        return content | {"systems": rows}

    @model_validator(mode="after")
    def _rows_fit_together(self) -> "Params":
        for name, task in self.tasks.items():
            _known(f"tasks.{name}.dataset", task.dataset, self.datasets)
        for name, external in self.external.items():
            self._has_dataset_of_task(f"external.{name}", external)
            if not any(system.task == external.task for system in self.systems.values()):
                raise ValueError(f"external.{name}.task = {external.task!r}: no row of systems: learns it")
        for name, system in self.systems.items():
            self._has_dataset_of_task(f"systems.{name}", system)
        return self

    def _has_dataset_of_task(self, key: str, row: System | External) -> None:
        _known(f"{key}.task", row.task, self.tasks)
        dataset = self.tasks[row.task].dataset
        if row.dataset != dataset:
            raise ValueError(f"{key}.dataset = {row.dataset!r}: task {row.task} is one of {dataset!r}")


def merged(content: Mapping[str, Any], row: Any) -> Any:
    """Merge a row of `systems:` over its base recipe; augmentation is merged key by key.

    Args:
        content: the whole of params.yaml, not yet validated.
        row: the row as in params.yaml. It is returned unchanged if it is not a table or names no recipe.
    """
    base = row.get("base") if isinstance(row, dict) else None
    recipe = content.get(base) if isinstance(base, str) and base in BASES else None
    if not isinstance(recipe, dict):
        return row
    known = {key: value for key, value in recipe.items() if key in Recipe.model_fields}
    shared, own = augmentation(known.get("augment")), row.get("augment")
    if isinstance(shared, dict) and isinstance(own, dict):
        return known | row | {"augment": shared | own}
    return known | row


def _known(key: str, value: str, allowed: Mapping[Name, Any]) -> None:
    if value not in allowed:
        raise ValueError(f"{key} = {value!r}: no such row; there are {', '.join(sorted(allowed))}")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A reader to which, as to DVC's, only true and false are truth values; `yes` and `no` are text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def load(path: Path = paths.PARAMS) -> Params:
    """Read and validate params.yaml.

    Raises:
        OncovecError: one line that names the key, its value and the allowed values.
    """
    try:
        return Params.model_validate(read(path))
    except ValidationError as error:
        raise OncovecError(f"{path}: {_line(error)}") from None


def read(path: Path = paths.PARAMS) -> dict[str, Any]:
    """Read params.yaml without validation; `yes` and `no` are text.

    Raises:
        OncovecError: if the file does not exist or has no sections.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise OncovecError(f"{path}: no such file; run from the root of a checkout") from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2020-13-45 is a ValueError
        raise OncovecError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise OncovecError(f"{path}: expected sections such as data: and systems:")
    return content


def _line(error: ValidationError) -> str:
    """Return the first problem as `key = value: what is wrong`, and the number of further problems.

    An unknown key comes first, since a misspelt key also makes the correct key missing. A wrong base comes
    second, since all parameters of its recipe are missing without it. A mistake in a recipe appears in every
    row that uses the recipe. Only the recipe is named then.
    """
    problems = error.errors(include_url=False)
    problems = [each for each in problems if each["loc"][:1] != ("systems",)] or problems
    first = min(problems, key=lambda each: (each["type"] != "extra_forbidden", each["loc"][-1:] != ("base",)))
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
