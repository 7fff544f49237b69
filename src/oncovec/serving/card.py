"""The model card of a system as Markdown: what it is, what it learned from, and what was measured of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from oncovec.evaluation.external import METRICS, SHARES
from oncovec.evaluation.gallery import Gallery
from oncovec.metrics.classification import Floats

OF_MODELS = (
    *("accuracy", "balanced_accuracy", "f1_macro", "auroc", "average_precision", "sensitivity"),
    *("specificity", "ece", "ece_calibrated", "ood_share", "set_coverage", "set_size"),
)
"""Metrics of the card, in this order, as far as the report has them."""

OF_SETS = ("n", *SHARES, *METRICS, "risk_coverage_area")
"""Metrics of the card for an external test set."""

PHANTOM = (
    "**The training images are phantoms, drawn by code.** The metrics below say that the pipeline works, and "
    "nothing about how good a model is."
)


@dataclass(frozen=True)
class Measured:
    """What was measured of a system.

    Attributes:
        report: rows of `report.csv` over all images: the columns `report.REPORT_COLUMNS`, as text.
        strategy: how the split was drawn, see `split.strategy` in params.yaml; '' if it is not known.
        external: for each external test set, its source and the metrics of the system.
        intervals: rows of the plot of external test sets: `set,metric,value,low,high`, as text.
    """

    report: pd.DataFrame
    strategy: str
    external: Mapping[str, tuple[str, Mapping[str, Any]]]
    intervals: pd.DataFrame


def write(facts: Mapping[str, Any], gallery: Gallery, measured: Measured, names: bool) -> str:
    """Return the text of the card.

    Args:
        facts: facts of the system.
        gallery: its gallery.
        measured: what was measured.
        names: whether the exported gallery has the names of the training images.
    """
    splits = set(measured.report["split"])
    split = "test" if "test" in splits else "val"
    of_split = measured.report[measured.report["split"] == split]
    parts = (
        *(_what(facts, gallery), _task(facts), _training(facts, gallery, of_split, split)),
        *(_metrics(of_split, split, facts, measured.strategy), _external(measured), _chosen(gallery)),
        _limitations(facts, gallery, measured, names),
    )
    return "\n".join(line for part in parts for line in part)


def _what(facts: Mapping[str, Any], gallery: Gallery) -> Iterator[str]:
    yield from (f"# {facts['system']}", "")
    yield from ("**Not for clinical use.** This is a model for research on methods.", "")
    if facts["source"] == "phantom":
        yield from (PHANTOM, "")
    yield (
        f"A network of Oncovec embeds an image as {facts['embedding_dim']} numbers. The "
        f"{len(gallery.labels)} training images then vote on its class (KNN). Votes weigh less with "
        f"distance: 0.01 at that of the nearest image number {gallery.k}."
    )
    yield ""
    yield from _table(("network", ""), _network(facts))


def _network(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    start = f"{facts['weights']} weights" if facts["weights"] != "none" else "random weights"
    yield "backbone", f"{facts['backbone']}, from {start}{', frozen' if facts['frozen'] else ''}"
    yield "objective", str(facts.get("objective", "not recorded"))
    if facts.get("protocol"):
        yield "protocol", facts["protocol"]
    yield "input", f"{facts['input_size']} px, from images stored at {facts['image_size']} px"
    yield "embedding", f"{facts['embedding_dim']} numbers, length 1"
    yield "sha256 of the weights", facts["sha256"]
    versions = facts.get("versions", {})
    yield (
        "trained with",
        ", ".join(f"{name} {version}" for name, version in versions.items()) or "not recorded",
    )


def _task(facts: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Task", "")
    yield f"`{facts['task']}`: {len(facts['classes'])} classes, {', '.join(facts['classes'])}."
    if facts["positive"]:
        yield f"Positive class: {facts['positive']}."
    if facts["normal"]:
        yield f"Normal classes, without disease: {', '.join(facts['normal'])}."
    if facts["few_shot_classes"]:
        kept_out = ", ".join(facts["few_shot_classes"])
        yield f"Classes kept out of training: {kept_out}. They are never predicted."


def _training(facts: Mapping[str, Any], gallery: Gallery, report: pd.DataFrame, split: str) -> Iterator[str]:
    yield from ("", "## Training data", "")
    yield (
        f"Dataset `{facts['dataset']}`, label `{facts['label']}`, source: {facts['source']} (phantom: drawn; "
        "remote: fetched from the publisher; local: a folder of the user). Its licence may bind the use of "
        "this model, too. Images per class, and KNN's recall and precision:"
    )
    yield ""
    own = report[report["model"] == "knn"]
    values = {(row.subset_class, row.metric): row.value for row in _named(own)}
    counts = np.bincount(gallery.labels, minlength=len(gallery.classes)).tolist()
    rows = [
        (
            name,
            str(count),
            *(number(values.get((name, each))) for each in ("support", "recall", "precision")),
        )
        for name, count in zip(gallery.classes, counts, strict=True)
    ]
    yield from _table(("class", "train", split, "recall", "precision"), rows)


def _named(report: pd.DataFrame) -> Iterator[Any]:
    yield from report.rename(columns={"class": "subset_class"}).itertuples(index=False)


def _metrics(report: pd.DataFrame, split: str, facts: Mapping[str, Any], strategy: str) -> Iterator[str]:
    yield from ("", "## Metrics", "")
    every = report[report["class"] == "all"]
    cells = {(row.model, row.metric): row for row in _named(every)}
    models = list(dict.fromkeys(every["model"]))
    counts = [cells["knn", name].value for name in ("images", "groups", "fewest_groups")]
    drawn = f"The split is `{strategy}`; with `grouped`, no group is also in training. " if strategy else ""
    yield (
        f"On the {split} split: {counts[0]} images in {counts[1]} groups (patients, lesions, slides, "
        f"near-duplicates; at least {counts[2]} groups per class). {drawn}In brackets: 95 % intervals by a "
        "bootstrap over groups. `knn` predicts; "
        + ("`head` is the network's own classifier; " if facts["classifies"] else "")
        + "the others are baselines: majority class, and KNN on thumbnails and on colour histograms."
    )
    yield ""
    rows = [
        (name, *(with_interval(cells.get((model, name))) for model in models))
        for name in OF_MODELS
        if any((model, name) in cells for model in models)
    ]
    yield from _table(("metric", *models), rows)


def _external(measured: Measured) -> Iterator[str]:
    yield from ("", "## Images of other collections", "")
    if not measured.external:
        yield "Not measured."
        return
    bounds = {(row.set, row.metric, row.value): row for row in measured.intervals.itertuples(index=False)}
    names = list(measured.external)
    rows = []
    for metric in OF_SETS:
        cells = [metric]
        for name in names:
            value = measured.external[name][1].get(metric)
            text = "" if value is None else str(value)
            row = bounds.get((name, metric, text))
            cells.append(with_interval(row) if row else number(text))
        if any(cells[1:]):
            rows.append(cells)
    drawn = [f"{name} is drawn by code." for name in names if measured.external[name][0] == "phantom"]
    yield " ".join(
        [
            "`coverage` is the share of images that are answered; `wrong_and_answered` and",
            "`elsewhere_and_answered` (a class that the collection does not have) are shares of all images.",
            *drawn,
        ]
    )
    yield ""
    yield from _table(("metric", *names), rows)


def _chosen(gallery: Gallery) -> Iterator[str]:
    yield from ("", "## Values chosen on val", "")
    yield "All are in the file. `oncovec predict` uses those of KNN, except its temperature."
    if not gallery.positive and gallery.thresholds is not None and not np.isnan(gallery.thresholds).all():
        yield (
            "p(disease) is the probability of all classes with disease, as a share of theirs and that of the "
            "likeliest normal class. From the threshold on, a disease is predicted."
        )
    yield ""
    rows = [("k", str(gallery.k)), ("test-time augmentation", "yes" if gallery.tta else "no")]
    optional = {
        "temperature": gallery.temperature,
        "temperature of the head": gallery.head_temperature,
        "threshold of prediction sets": gallery.set_threshold,
    }
    rows += _thresholds(gallery, gallery.thresholds, "") + _thresholds(
        gallery, gallery.head_thresholds, "the head's "
    )
    rows += [(name, f"{value:.6g}") for name, value in optional.items() if value is not None]
    if math.isfinite(gallery.ood_limit):
        rows.append(("out-of-distribution limit", f"{gallery.ood_limit:.6g}"))
    yield from _table(("value", ""), rows)


def _thresholds(gallery: Gallery, thresholds: Floats | None, whose: str) -> list[tuple[str, str]]:
    if thresholds is None:
        return []
    of = f"{whose}p({gallery.positive})"
    return [
        (f"threshold of {of if gallery.positive else f'{whose}p(disease) for {name}'}", f"{threshold:.6g}")
        for name, threshold in zip(gallery.classes, thresholds.tolist(), strict=True)
        if not math.isnan(threshold)
    ]


def _limitations(
    facts: Mapping[str, Any], gallery: Gallery, measured: Measured, names: bool
) -> Iterator[str]:
    yield from ("", "## Limitations", "")
    yield f"- It knows the classes above only, from images of `{facts['dataset']}` only."
    if measured.external:
        yield "- How it does on images of other collections was measured for those above only."
    else:
        yield "- It has not been tried on images of another collection: another scanner, stain or population."
    yield (
        "- An image unlike the training images gets no class. Not every such image is recognised, and some "
        "that are like them are refused: `ood_share`."
        if math.isfinite(gallery.ood_limit)
        else "- It gives every image a class, however unlike the training images it is."
    )
    yield "- Probabilities are votes of neighbours. They are not calibrated."
    yield (
        "- The file holds no image, but the embeddings of the training images: who has an image can find out "
        "whether it was one of them."
    )
    yield (
        "- Neighbours are named by the paths of the training images, which may name patients."
        if names
        else "- Neighbours are named by their row in the gallery (`gallery-000012`), not by their paths."
    )
    yield ""


def with_interval(row: Any) -> str:
    """Return the value of a row of a report and its interval, if it has one; '' for no row."""
    if row is None:
        return ""
    return number(row.value) + (f" ({number(row.low)} to {number(row.high)})" if row.low else "")


def number(text: str | None) -> str:
    """Return a number with at most three decimals; '' for none."""
    if not text:
        return ""
    value = float(text)
    return str(int(value)) if value == int(value) and "." not in text else f"{value:.3f}"


def _table(header: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(row)} |"
