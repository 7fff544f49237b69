"""The report's tables: systems, external test sets, datasets, splits, packages; each cell is text."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd
import psutil

from oncovec.core import parallel
from oncovec.data.audit import command as audit
from oncovec.data.audit import leaks
from oncovec.data.split_names import SPLITS
from oncovec.evaluation import summary
from oncovec.evaluation.report import MODELS
from oncovec.serving.card import OF_MODELS, OF_SETS, number, with_interval
from oncovec.serving.report.read import Run, System

PACKAGES = (
    *("torch", "torchvision", "timm", "dvc", "faiss-cpu", "kornia", "numpy", "opencv-python-headless"),
    *("pandas", "pillow", "pytorch-metric-learning", "scikit-learn"),
)
"""Packages that metrics depend on most."""

OF_ANSWERED = ("balanced_accuracy", "set_coverage", "set_size")
"""Metrics over the answered images of an external test set."""


@dataclass(frozen=True)
class Table:
    """A table of text: a caption, a header, and rows whose first cell names the row."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def systems(run: Run) -> Iterator[Table]:
    """Yield one table per task: its systems and baselines, with 95 % intervals."""
    for task in run.tasks:
        yield _of_task(task, run.of_task(task))


def _of_task(task: str, found: Sequence[System]) -> Table:
    all_of = {each.name: summary.of_all_images(each.measured.report, each.split) for each in found}
    known = {metric for table in all_of.values() for _, metric in table.index}
    metrics = [name for name in OF_MODELS if name in known and not name.startswith(("ece", "ood", "set_"))]
    rows, baselines = [], {}
    for each in found:
        table = all_of[each.name]
        for model in dict.fromkeys(table.index.get_level_values("model")):
            cells = (_images(table, model), *(_cell(table, model, metric) for metric in metrics))
            if model in MODELS:
                rows.append((each.name, model, *cells, _beaten(each) if model == "knn" else ""))
            else:
                baselines[model, cells] = ("baseline", model, *cells, "")
    splits = " and ".join(dict.fromkeys(each.split for each in found))
    header = ("system", "predicts", "images (groups)", *metrics, "beats the best baseline")
    return Table(f"{task}: the {splits} split", header, [*sorted(rows, key=_order), *baselines.values()])


def _order(row: Sequence[str]) -> int:
    """KNN before heads; systems stay in their order."""
    return MODELS.index(row[1])


def _images(table: pd.DataFrame, model: str) -> str:
    counts = [_cell(table, model, name) for name in ("images", "groups")]
    return f"{counts[0]} ({counts[1]})"


def _cell(table: pd.DataFrame, model: str, metric: str) -> str:
    return with_interval(table.loc[(model, metric)]) if (model, metric) in table.index else ""


def _beaten(system: System) -> str:
    if "baseline" not in system.headline:
        return "not compared"
    shown = "yes" if system.headline["beats_baseline"] else "not shown"
    return f"{shown} ({system.headline['baseline']['name']})"


def recipes(run: Run) -> Table:
    """Return a table of how each system was trained, by its facts."""
    header = (
        *("system", "task", "backbone", "initial weights", "objective", "trained parameters"),
        *("best epoch", "input px", "embedding", "protocol"),
    )
    keys = ("task", "backbone", "weights", "objective", "trainable", "best_epoch", "input_size")
    rows = [
        (
            each.name,
            *(str(each.facts.get(key, "not recorded")) for key in (*keys, "embedding_dim")),
            str(each.facts.get("protocol", "")),
        )
        for each in run.systems.values()
    ]
    return Table("How the systems were trained", header, rows)


def external(run: Run) -> Iterator[Table]:
    """Yield one table per external test set: its systems, with 95 % intervals where there are any."""
    for name, content in run.external.items():
        task = run.params.external[name].task
        plot = run.intervals[task]
        bounds = {
            (row.system, row.metric, row.value): row
            for row in plot[plot["set"] == name].itertuples(index=False)
        }
        rows = []
        for system, own in content["systems"].items():
            values = {metric: own[metric] for metric in OF_SETS if metric in own}
            answered = own.get("answered", {})
            cells = [
                with_interval(bounds[key])
                if (key := (system, metric, str(values.get(metric)))) in bounds
                else _text(values.get(metric))
                for metric in OF_SETS
            ]
            rows.append((system, *cells, *(_text(answered.get(metric)) for metric in OF_ANSWERED)))
        left = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in content["left_out"].items())
        header = ("system", *OF_SETS, *(f"{metric} of the answered" for metric in OF_ANSWERED))
        yield Table(f"{name}, task {task}, source {content['source']}; left out: {left}", header, rows)


def _text(value: Any) -> str:
    return "" if value is None else number(str(value))


def datasets(run: Run) -> Table:
    """Return a table of what was found in the files of each dataset."""
    counted = {
        "unreadable": "unreadable",
        "masks": "masks",
        "exact_duplicates": "exact duplicates",
        "duplicates_with_two_labels": "exact duplicates with two labels",
        "missing_classes": "classes without an image",
    }
    header = (
        *("dataset", "source", "images", *counted.values(), "near-duplicate pairs"),
        *("groups", "largest group", "left out: two labels", "left out: unlabelled"),
    )
    rows = []
    for name, each in run.datasets.items():
        found = (
            *(each.data.get(key) for key in ("images", *counted)),
            *(each.groups["near_duplicates"]["pairs"], each.groups["groups"], each.groups["largest_group"]),
            *(each.splits["left_out"][key] for key in ("two_labels", "unlabelled")),
        )
        rows.append((name, str(each.data["source"]), *map(_text, found)))
    return Table("Images, and what was found in them", header, rows)


def splits(run: Run) -> Table:
    """Return a table of the images and groups of each split, and of its leaks."""
    rows = []
    for name, each in run.datasets.items():
        counts = [f"{each.splits[split]['images']} ({each.splits[split]['groups']})" for split in SPLITS]
        rows.append((name, each.splits["strategy"], *counts, leaks.summary(each.splits["audit"])))
    return Table("Splits: images (groups)", ("dataset", "strategy", *SPLITS, "leaks"), rows)


def audits(run: Run) -> dict[str, str]:
    """Return what `oncovec audit` prints of each dataset."""
    return {name: "\n".join(audit.lines(each.splits["audit"])) for name, each in run.datasets.items()}


def packages(run: Run) -> Table:
    """Return a table of versions: those that training recorded, and those installed now."""
    recorded: dict[str, list[str]] = {}
    for each in run.systems.values():
        for name, found in each.facts.get("versions", {}).items():
            recorded.setdefault(name, []).append(found)
    rows = [
        (name, ", ".join(dict.fromkeys(recorded.get(name, ["not recorded"]))), _installed(name))
        for name in dict.fromkeys([*PACKAGES, *recorded])
    ]
    return Table("Versions of packages", ("package", "when trained", "when this page was written"), rows)


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def machine(run: Run) -> Table:
    """Return a table of the machine that writes the page; the run does not record its own."""
    rows = [
        ("Oncovec", _installed("oncovec")),
        ("Python", platform.python_version()),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("CPU cores", str(parallel.cpu_count())),
        ("memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("CPU threads of a stage (train.threads)", str(run.params.train.threads)),
        ("GPU of training", "not recorded"),
        ("time of the stages", "not measured"),
    ]
    return Table("The machine that wrote this page", ("what", "value"), rows)
