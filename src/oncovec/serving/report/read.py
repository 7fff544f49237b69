"""Read the present run: metrics, facts and params; refuse what is missing, damaged or out of date."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from oncovec.core import files, params, paths, tables
from oncovec.core.errors import OncovecError, not_there
from oncovec.core.params import Params
from oncovec.core.parts import CheckoutParts
from oncovec.data.split_names import SPLITS
from oncovec.evaluation import revisions, summary
from oncovec.evaluation.external import PLOTS
from oncovec.evaluation.gallery import Gallery
from oncovec.serving import card, measured
from oncovec.serving.card import Measured

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Dataset:
    """The counts of a dataset, as the stages `preprocess`, `group` and `split` wrote them."""

    data: Json
    groups: Json
    splits: Json


@dataclass(frozen=True)
class System:
    """What is told of a system.

    Attributes:
        name: row of `systems:`.
        facts: facts of the trained system.
        split: split of its metrics: test, or val if test is not evaluated.
        measured: what was measured of it.
        headline: its part of `metrics/summary.json`.
        card: its model card, as Markdown; it names no image.
    """

    name: str
    facts: Json
    split: str
    measured: Measured
    headline: Json
    card: str


@dataclass(frozen=True)
class Run:
    """The present run; rows are in the order of params.yaml.

    Attributes:
        params: the params.
        text: the text of params.yaml.
        datasets: the datasets of the systems.
        systems: all systems.
        external: metrics of each external test set.
        intervals: rows of the plot of external test sets, by task.
    """

    params: Params
    text: str
    datasets: Mapping[str, Dataset]
    systems: Mapping[str, System]
    external: Mapping[str, Json]
    intervals: Mapping[str, pd.DataFrame]

    def of_task(self, task: str) -> list[System]:
        """Return the systems of a task."""
        return [each for name, each in self.systems.items() if self.params.systems[name].task == task]

    @property
    def tasks(self) -> list[str]:
        """Return the tasks that a system learns."""
        return list(dict.fromkeys(row.task for row in self.params.systems.values()))


def run() -> Run:
    """Read the run in the working directory, the root of a checkout.

    Raises:
        OncovecError: if a file is missing or damaged, or params.yaml or another file was changed since.
    """
    content = params.load()
    told = _json(paths.SUMMARY)
    if list(told) != list(content.systems):
        raise OncovecError(f"{paths.SUMMARY}: has other systems than {paths.PARAMS}; run `dvc repro`")
    revisions.refuse_stale("", paths.SUMMARY)
    return Run(
        content,
        paths.PARAMS.read_text(encoding="utf-8"),
        {name: _dataset(name) for name in content.datasets if _is_used(name, content)},
        {name: _system(name, told[name]) for name in content.systems},
        {
            name: _json(paths.external_metrics(name), "source", "left_out", "systems")
            for name in content.external
        },
        {row.task: _intervals(row.task) for row in content.external.values()},
    )


def _is_used(dataset: str, content: Params) -> bool:
    return any(row.dataset == dataset for row in content.systems.values())


def _dataset(name: str) -> Dataset:
    return Dataset(
        _json(paths.data_metrics(name), "source", "images"),
        _json(paths.group_metrics(name), "groups", "largest_group", "near_duplicates"),
        _json(paths.split_metrics(name), "strategy", "left_out", "audit", *SPLITS),
    )


def _intervals(task: str) -> pd.DataFrame:
    return tables.read(paths.plot("external", task), ("system", *PLOTS["external"]))


def _system(name: str, headline: Json) -> System:
    parts, result = CheckoutParts(name), _json(paths.system_metrics(name))
    facts, gallery = _json(paths.model_facts(name)), Gallery.load(parts)
    if gallery.weights != facts.get("sha256"):
        raise OncovecError(
            f"{paths.gallery(name)}: made by other weights than {paths.model_facts(name)} speaks of; "
            f"{parts.again}"
        )
    try:
        found = measured.read(parts, facts)
        stale = files.rounded(summary.summarise(result, found.report)) != headline
        text = card.write(facts, gallery, found, names=False)
    except (KeyError, ValueError) as error:
        raise OncovecError(f"{name}: its results lack {error}; {parts.again}") from None
    if stale:
        raise OncovecError(f"{paths.SUMMARY}: does not belong to {paths.report(name)}; run `dvc repro`")
    return System(name, facts, summary.last_split(result), found, headline, text)


def _json(path: Path, *needed: str) -> Json:
    """Read an object that has the keys `needed`."""
    try:
        content = files.read_json(path)
    except FileNotFoundError:
        raise not_there(path) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise OncovecError(f"{path} is damaged ({error}); run `dvc repro`") from None
    if not isinstance(content, dict) or not content.keys() >= set(needed):
        raise OncovecError(f"{path} is damaged (lacks one of {', '.join(needed)}); run `dvc repro`")
    return content
