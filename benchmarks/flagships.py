"""Flagships, their ancestors and baselines on the same leak-free splits, pooled over split seeds.

    python benchmarks/flagships.py --data DIR [--seeds 0 1 2] [--tasks NAME …]

For each seed one `dvc exp run --temp` trains the flagships, another the systems of `RIVALS`, on the images
below DIR (the datasets' roots), and judges them on test; frozen have their published head on the backbone
whose ImageNet weights are at hand. The predictions of all seeds are then pooled: each metric has a 95 %
interval by a bootstrap over groups, and so has the difference between the flagship and each other, on the
same images and replicates. Pooled scores are of several models, whose scales may differ, and a ranking
suffers from that (Forman & Scholz, "Apples-to-apples in cross-validation studies", SIGKDD Explorations 12,
2010), so that the mean of the seeds' own metrics stands beside it, and the csv has each seed's, too.
Experiments and the seconds of each training are kept in --work, since no output of the pipeline may hold
them; what is there is not trained again. Best run in a clone of its own, which takes the params of these
runs: what all of them need is made there first.
"""

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import experiments
import numpy as np

from oncovec.core import files, params, paths, tables
from oncovec.core.recipes import METRIC_OBJECTIVES
from oncovec.data import index, prepare
from oncovec.data.embeddings import Embeddings
from oncovec.evaluation import baselines, compare, revisions
from oncovec.metrics import intervals
from oncovec.metrics.classification import Floats, Ints

RIVALS = {
    "multi_organ": ("triplet_multi_organ",),
    "organ": ("inception_organ",),
    "malignancy": ("inception_malignancy",),
    "pcam": ("cnn_pcam", "resnet34_pcam"),
    "melanoma": ("siamese_isic",),
}
"""The published systems of each task."""

FROZEN = ("inception_organ", "inception_malignancy", "resnet34_pcam")
"""Those whose ImageNet weights cannot be had here: their heads are put on `BACKBONE`."""

BACKBONE = "tf_efficientnet_lite0"

KINDS = ("flagship", "published", "frozen")

HEADLINES = {
    "multi_organ": ("f1_macro",),
    "organ": ("balanced_accuracy",),
    "malignancy": ("balanced_accuracy",),
    "pcam": ("auroc",),
    "melanoma": ("auroc", "sensitivity_at_80_specificity"),
}
"""What the printed table has of each task; the csv has every metric."""

MEAN = "mean of seeds"
"""The subset whose metrics are the means of those of each seed."""

RANKED = ("auroc", "sensitivity_at_80_specificity")
"""What pooling of scores may harm."""

COLUMNS = (
    *("task", "system", "model", "subset", "metric", "value", "low", "high"),
    *("flagship_minus", "minus_low", "minus_high", "images", "groups"),
)


@dataclass(frozen=True)
class Pooled:
    """What one model answered on the test sides of all seeds."""

    system: str
    model: str
    probabilities: Floats
    predicted: Ints


@dataclass(frozen=True)
class Sheet:
    """The test images of all seeds, in one order: seed, label, group, and what was answered about them."""

    seeds: Ints
    images: tuple[str, ...]
    labels: Ints
    groups: tuple[str, ...]
    positive: int | None
    predictions: tuple[Pooled, ...]

    def only(self, rows: Ints) -> "Sheet":
        """Some of the images."""
        kept = [
            replace(each, probabilities=each.probabilities[rows], predicted=each.predicted[rows])
            for each in self.predictions
        ]
        return Sheet(
            self.seeds[rows],
            tuple(self.images[row] for row in rows),
            self.labels[rows],
            tuple(self.groups[row] for row in rows),
            self.positive,
            tuple(kept),
        )


def of_kind(kind: str, task: str) -> list[str]:
    """Systems of a task that are trained in one experiment."""
    if kind == "flagship":
        return [f"flagship_{task}"]
    return [system for system in RIVALS[task] if (system in FROZEN) == (kind == "frozen")]


def train(settings: Sequence[str], kind: str, seed: int, tasks: Sequence[str], kept: Path) -> None:
    """Train what is missing of one kind under one seed, and note the experiment and its seconds."""
    known = files.read_json(kept) if kept.exists() else {}
    systems = [name for task in tasks for name in of_kind(kind, task) if f"{name} {seed}" not in known]
    if not systems:
        return
    every = [*settings, f"split.seed={seed}"]
    if kind == "frozen":
        every += ["classifier.weights=imagenet", *(f"systems.{name}.backbone={BACKBONE}" for name in FROZEN)]
    targets = [f"evaluate@{system}" for system in systems]
    name, seconds = experiments.run(experiments.command(every, targets))
    for system in systems:
        known[f"{system} {seed}"] = [name, round(seconds.get(f"train@{system}", 0))]
    files.write_json(kept, known)
    print(f"{kind} {seed}: {name}", flush=True)


def sheet(task: str, seeds: Sequence[int], known: Mapping[str, list[Any]], settings: params.Params) -> Sheet:
    """Pool the predictions of the experiments of all seeds about a task's test images."""
    models = [(f"flagship_{task}", "knn"), (f"flagship_{task}", "head")]
    models += [(rival, "knn") for rival in RIVALS[task]]
    heads = [each for each in RIVALS[task] if settings.systems[each].objective not in METRIC_OBJECTIVES]
    models += [(rival, "head") for rival in heads]
    predictions = [
        [compare.load(f"{system}@{known[f'{system} {seed}'][0]}", "test", model) for system, model in models]
        for seed in seeds
    ]
    found = []
    for column, (system, model) in enumerate(models):
        parts = [each[column] for each in predictions]
        found.append(
            Pooled(
                f"{system}, frozen" if system in FROZEN else system,
                model,
                np.concatenate([part.probabilities for part in parts]),
                np.concatenate([part.predicted for part in parts]),
            )
        )
    predicted = [
        _baselines(task, known[f"flagship_{task} {seed}"][0], each[0], settings)
        for seed, each in zip(seeds, predictions, strict=True)
    ]
    for number, baseline in enumerate(("majority", "thumbnail", "histogram")):
        parts = [each[number] for each in predicted]
        found.append(Pooled(baseline, "baseline", *(np.concatenate([p[i] for p in parts]) for i in range(2))))
    first = [each[0] for each in predictions]
    return Sheet(
        np.repeat(np.array(seeds, np.int64), [len(part.images) for part in first]),
        tuple(image for part in first for image in part.images),
        np.concatenate([part.labels for part in first]),
        tuple(group for part in first for group in part.groups),
        first[0].positive_index,
        tuple(found),
    )


def _baselines(
    task: str, name: str, asked: compare.Predictions, settings: params.Params
) -> list[tuple[Floats, Ints]]:
    """The baselines' predictions about the same images in the same order, with the params of today."""
    dataset = settings.tasks[task].dataset
    text, table = revisions.read(name, [paths.split(dataset), paths.index(dataset)])
    listed = tables.parse(io.StringIO(table), str(paths.index(dataset)))
    learned = listed[["image", settings.tasks[task].label]].set_axis(["image", "label"], axis=1)
    split = tables.parse(io.StringIO(text), str(paths.split(dataset))).merge(learned, on="image")
    split = split[split["label"] != ""]
    columns = {key: split[key].to_numpy(np.str_) for key in ("image", "split", "group")}
    labels = np.array([asked.classes.index(label) for label in split["label"]], np.int64)
    embeddings = Embeddings(
        *(columns["image"], columns["split"], columns["group"], labels),
        np.zeros((len(split), 1), np.float32),
        None,
        asked.classes,
        asked.positive or "",
        *("local", task, dataset),
        normal=settings.tasks[task].normal,
    )
    rows = index.rows_of(listed, split["image"])
    judged, _ = baselines.predict(
        embeddings,
        prepare.open_prepared(dataset),
        rows,
        ["test"],
        settings.knn.k,
        settings.evaluate.sensitivity,
        settings.evaluate.specificity,
    )
    assert all(tuple(embeddings.images[each.rows]) == asked.images for each in judged)
    return [(each.probabilities, each.predicted) for each in judged]


def rows_of(
    task: str, subset: str, found: Sheet, settings: params.Params, parts: Sequence[Ints] | None = None
) -> list[list[object]]:
    """Every metric of every model, and the flagship's KNN minus it; of several parts the means of theirs."""
    weights = intervals.resample(found.groups, settings.evaluate.bootstrap, settings.evaluate.seed)
    bases = intervals.bases(found.labels, found.positive, weights)
    parts = [np.arange(len(found.images))] if parts is None else parts
    averaged = [_mean(found, each, parts, weights) for each in found.predictions]
    flagship, flagship_drawn = averaged[0]
    counts = [len(found.images), len(set(found.groups))]
    rows = []
    for each, (values, drawn) in zip(found.predictions, averaged, strict=True):
        both = [name for name in values if name in flagship]
        gain = {name: flagship[name] - values[name] for name in both}
        gain_drawn = {name: flagship_drawn[name] - drawn[name] for name in both}
        gains = intervals.bounded(gain, gain_drawn, bases, -1.0)
        for metric, interval in intervals.bounded(values, drawn, bases, 0.0).items():
            more = gains.get(metric)
            difference = [None] * 3 if more is None else [more.value, more.low, more.high]
            if _same(each, found.predictions[0]):
                difference = [0.0] * 3
            told = [task, each.system, each.model, subset, metric, *astuple(interval)]
            rows.append([*told, *difference, *counts])
    return rows


def _same(one: Pooled, other: Pooled) -> bool:
    """Whether two answered alike, and so differ by nothing, as `intervals.difference` has it."""
    alike = np.array_equal(one.probabilities, other.probabilities)
    return alike and np.array_equal(one.predicted, other.predicted)


def _mean(
    found: Sheet, predictions: Pooled, parts: Sequence[Ints], weights: intervals.Weights
) -> tuple[dict[str, float], dict[str, Floats]]:
    """The means of the parts' metrics, and the same in each replicate; what a part lacks is left out."""
    told = [
        (found.labels[rows], (predictions.probabilities[rows], predictions.predicted[rows]), found.positive)
        for rows in parts
    ]
    values = [intervals.values_of(*each) for each in told]
    drawn = [intervals.replicated(*each, weights[:, rows]) for each, rows in zip(told, parts, strict=True)]
    shared = [name for name in values[0] if all(name in other for other in values)]
    return (
        {name: float(np.mean([other[name] for other in values])) for name in shared},
        {name: np.mean([other[name] for other in drawn], axis=0) for name in shared},
    )


def headlines(rows: Sequence[Sequence[Any]]) -> list[str]:
    """The table for people, in Markdown: of each task the metrics of `HEADLINES`."""
    columns = ("task", "system", "predicted by", "metric", "value (95 %)", "flagship minus it (95 %)")
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for task, system, model, subset, metric, *values, images, groups in rows:
        told = RANKED if subset == MEAN else HEADLINES[task]
        if metric in told and metric in HEADLINES[task] and not subset.startswith("seed "):
            value, low, high, gain, gain_low, gain_high = (f"{each:.3f}" for each in values)
            where = f"{task}, {images} images of {groups} groups" if subset == "all" else f"{task}, {subset}"
            own = (system, model) == (f"flagship_{task}", "knn")
            more = "" if own else f"{gain} ({gain_low} to {gain_high})"
            cells = (where, system, model, metric, f"{value} ({low} to {high})", more)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Train what is missing, pool, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="what is trained now")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="for every experiment")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "oncovec_flagships")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/flagships.csv"))
    options = parser.parse_args()
    kept = options.work / "experiments.json"
    settings = params.load()
    shared = [*experiments.roots(options.data), *options.set]
    experiments.prepare(shared, sorted({settings.tasks[task].dataset for task in options.tasks}))
    for kind in options.kinds:
        for seed in options.seeds:
            train(shared, kind, seed, options.tasks, kept)
    known = files.read_json(kept)
    systems = [name for task in options.tasks for kind in KINDS for name in of_kind(kind, task)]
    wanted = [f"{name} {seed}" for name in systems for seed in options.seeds]
    if missing := [each for each in wanted if each not in known]:
        sys.exit(f"no table yet, not trained: {', '.join(missing)}")
    rows: list[list[object]] = []
    for task in options.tasks:
        found = sheet(task, options.seeds, known, settings)
        of_seed = [np.flatnonzero(found.seeds == seed) for seed in options.seeds]
        rows += rows_of(task, "all", found, settings) + rows_of(task, MEAN, found, settings, of_seed)
        for seed, own in zip(options.seeds, of_seed, strict=True):
            rows += rows_of(task, f"seed {seed}", found.only(own), settings)
        if task == "malignancy":
            table = index.read(paths.index(settings.tasks[task].dataset))
            organs = table.set_index("image")["organ"].to_dict()
            for organ in sorted({organs[image] for image in found.images}):
                part = found.only(
                    np.array([n for n, image in enumerate(found.images) if organs[image] == organ])
                )
                if len(set(part.labels.tolist())) > 1:
                    rows += rows_of(task, f"organ: {organ}", part, settings)
    tables.write(options.output, tables.of(COLUMNS, rows))
    print("\n".join(headlines(rows)))
    print(json.dumps({each: known[each][1] for each in wanted}, indent=1))


if __name__ == "__main__":
    main()
