"""Comparison of two systems, or of one system at two revisions, on the same test images, with intervals."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.core import paths, rows, tables
from oncovec.core.errors import OncovecError
from oncovec.core.files import rounded
from oncovec.evaluation import revisions
from oncovec.evaluation.report import NORMAL_THRESHOLD, THRESHOLD
from oncovec.metrics import intervals
from oncovec.metrics.classification import Floats, Ints, predict
from oncovec.metrics.intervals import Interval

MERIT = "balanced_accuracy"
SAME = "A and B have the same probabilities and classes for every image: they may be one model."


@dataclass(frozen=True)
class Predictions:
    """Predictions of one model of a system for the images of one split, sorted by image.

    `images` and `groups` are strings (N,), `labels` and `predicted` are class indices (N,), `probabilities`
    is (N, C).
    """

    name: str
    classes: tuple[str, ...]
    positive: str | None
    images: tuple[str, ...]
    groups: tuple[str, ...]
    labels: Ints
    probabilities: Floats
    predicted: Ints

    @property
    def positive_index(self) -> int | None:
        """Column of the positive class; None if the task is not binary."""
        return None if self.positive is None else self.classes.index(self.positive)


@dataclass(frozen=True)
class Comparison:
    """Metrics of `a` and of `b`, and the interval of the difference b minus a for each metric."""

    a: Predictions
    b: Predictions
    split: str
    model: str
    first: Mapping[str, float]
    second: Mapping[str, float]
    gain: Mapping[str, Interval]

    @property
    def is_of_the_same(self) -> bool:
        """Whether both systems give every image the same probabilities and the same class."""
        return bool(
            np.array_equal(self.a.probabilities, self.b.probabilities)
            and np.array_equal(self.a.predicted, self.b.predicted)
        )

    @property
    def fewest_groups(self) -> int:
        """Smallest number of groups of any class."""
        return intervals.fewest(self.a.labels, self.a.groups)


def load(reference: str, split: str, model: str) -> Predictions:
    """Read the predictions of `SYSTEM` from the workspace, or of `SYSTEM@REV` from Git and DVC's cache.

    The table contains the predicted class of KNN. The predicted class of the head is computed again from its
    probabilities and the thresholds in the report. Both are stored with all digits.

    Raises:
        OncovecError: if the predictions cannot be read or are stale, or lack the split or the model.
    """
    system, at, rev = reference.partition("@")
    if not system or (at and not rev):
        raise OncovecError(f"compare: {reference!r} is neither SYSTEM nor SYSTEM@REV")
    sources = [paths.predictions(system), paths.report(system)]
    if not rev and not sources[0].exists():
        rows.refuse_unknown(system)
    texts = revisions.read(rev, sources)
    if rev:
        revisions.refuse_stale(rev, sources[0])
    names = [f"{rev}: {source}" if rev else str(source) for source in sources]
    needed = [
        ("image", "group", "split", "label", "predicted"),
        ("split", "model", "class", "metric", "value"),
    ]
    table, report = (
        tables.parse(io.StringIO(text, newline=""), name, columns)
        for text, name, columns in zip(texts, names, needed, strict=True)
    )
    of_split = table[table["split"] == split].sort_values("image")
    if of_split.empty:
        judged = ", ".join(sorted(set(table["split"]))) or "no split"
        raise OncovecError(f"{reference}: was judged on {judged}, not on {split} (`evaluate.test`)")
    chosen = report[(report["split"] == "val") & (report["model"] == model)]
    return _answered(reference, of_split, model, chosen)


def _operating_point(
    chosen: pd.DataFrame, index: Mapping[str, int]
) -> tuple[str | None, NDArray[np.float64]]:
    """Return the positive class, None if the task is not binary, and the thresholds of a model.

    Args:
        chosen: rows of the report about the model on val.
        index: number of each class.

    Raises:
        KeyError: if a threshold is of another class.
    """
    positive, thresholds = None, np.full(len(index), np.nan)
    of_class = chosen[chosen["metric"].isin((THRESHOLD, NORMAL_THRESHOLD))]
    for metric, name, value in of_class[["metric", "class", "value"]].itertuples(index=False, name=None):
        if metric == THRESHOLD:
            positive = name
            thresholds[1 - index[name]] = float(value)
        else:
            thresholds[index[name]] = float(value)
    return positive, thresholds


def _answered(reference: str, rows: pd.DataFrame, model: str, chosen: pd.DataFrame) -> Predictions:
    prefix = "p_" if model == "knn" else "head_p_"
    classes = tuple(column.removeprefix(prefix) for column in rows if column.startswith(prefix))
    if not classes:
        raise OncovecError(f"{reference}: has no head; compare with --model knn")
    index = {name: number for number, name in enumerate(classes)}
    try:
        positive, thresholds = _operating_point(chosen, index)
        probabilities = rows[[prefix + name for name in classes]].astype(float).to_numpy()
        labels = np.array([index[label] for label in rows["label"]], np.int64)
        if model == "knn":
            predicted = np.array([index[label] for label in rows["predicted"]], np.int64)
        else:
            predicted = predict(probabilities, thresholds)
    except (KeyError, ValueError) as error:
        raise OncovecError(
            f"{reference}: its predictions hold {error}, which is no class or number"
        ) from None
    return Predictions(
        name=reference,
        classes=classes,
        positive=positive,
        images=tuple(rows["image"]),
        groups=tuple(rows["group"]),
        labels=labels,
        probabilities=probabilities,
        predicted=predicted,
    )


def compare(references: tuple[str, str], split: str, model: str, replicates: int, seed: int) -> Comparison:
    """Compare two systems on the same images by a paired bootstrap over groups.

    Raises:
        OncovecError: if classes, images, labels or groups differ, so that no metric can be compared.
    """
    a, b = (load(reference, split, model) for reference in references)
    refuse_unequal(a, b, split)
    positive = a.positive_index
    weights = intervals.resample(a.groups, replicates, seed)
    of_a, of_b = ((each.probabilities, each.predicted) for each in (a, b))
    return Comparison(
        a=a,
        b=b,
        split=split,
        model=model,
        first=intervals.values_of(a.labels, of_a, positive),
        second=intervals.values_of(b.labels, of_b, positive),
        gain=intervals.difference(of_a, of_b, a.labels, positive, weights),
    )


def refuse_unequal(a: Predictions, b: Predictions, split: str) -> None:
    """Refuse predictions that cannot be compared image by image; `split` names it in the message.

    Raises:
        OncovecError: if classes, images, labels or groups differ.
    """
    where = f"{a.name} and {b.name}"
    if (a.classes, a.positive) != (b.classes, b.positive):
        told = [
            ", ".join(each.classes) + (f" (positive: {each.positive})" if each.positive else "")
            for each in (a, b)
        ]
        raise OncovecError(f"{where} learn other classes: {told[0]} against {told[1]}")
    only = [sorted(set(one.images) - set(other.images)) for one, other in ((a, b), (b, a))]
    if any(only):
        example = (only[0] or only[1])[0]
        raise OncovecError(
            f"{where} have different {split} images: {len(a.images)} and {len(b.images)}, of which "
            f"{len(a.images) - len(only[0])} in both ({example} is in one only); a difference between splits "
            "is for `oncovec repeats`"
        )
    for what, one, other in (("label", a.labels, b.labels), ("group", a.groups, b.groups)):
        unequal = np.flatnonzero(np.asarray(one) != np.asarray(other))
        if len(unequal):
            raise OncovecError(
                f"{where} differ in the {what} of {len(unequal)} {split} images, such as "
                f"{a.images[unequal[0]]}; only predictions may differ"
            )


def as_table(found: Comparison) -> str:
    """Return a table with one line per metric, and a sentence about the interval of balanced accuracy."""
    groups = len(set(found.a.groups))
    lines = [["", "A", "B", "B - A", "95 % interval"]]
    for name, gain in found.gain.items():
        lines.append([name, f"{found.first[name]:.4f}", f"{found.second[name]:.4f}", *gain.signed()])
    told = [
        f"A: {found.a.name}",
        f"B: {found.b.name}",
        f"{found.model} on {found.split}: {len(found.a.images)} images in {groups} groups",
        "",
        *tables.aligned(lines),
        "",
        SAME if found.is_of_the_same else verdict(found.gain[MERIT]),
    ]
    if few := intervals.warning(found.fewest_groups):
        told.append(few)
    return "\n".join(told)


def verdict(gain: Interval) -> str:
    """Return a sentence that states whether the interval of a difference excludes 0."""
    if gain.low <= 0 <= gain.high:
        return "Balanced accuracy: the interval includes 0; these images do not tell A and B apart."
    better, worse = ("B", "A") if gain.low > 0 else ("A", "B")
    return (
        f"Balanced accuracy: the interval excludes 0; {better} is better than {worse} on images like these."
    )


def as_csv(found: Comparison) -> str:
    """Return a CSV with columns `metric,a,b,difference,low,high`."""
    rows = (
        (name, found.first[name], found.second[name], gain.value, gain.low, gain.high)
        for name, gain in found.gain.items()
    )
    return tables.as_csv(tables.of(("metric", "a", "b", "difference", "low", "high"), rows))


def as_json(found: Comparison) -> str:
    """Return a JSON object: the compared systems, and for each metric a, b and the difference with bounds."""
    content: dict[str, Any] = {
        "a": found.a.name,
        "b": found.b.name,
        "split": found.split,
        "model": found.model,
        "images": len(found.a.images),
        "groups": len(set(found.a.groups)),
        "fewest_groups": found.fewest_groups,
        "metrics": {
            name: {
                "a": found.first[name],
                "b": found.second[name],
                "difference": gain.value,
                "low": gain.low,
                "high": gain.high,
            }
            for name, gain in found.gain.items()
        },
    }
    return json.dumps(rounded(content), indent=2, ensure_ascii=False)


FORMATS = {"table": as_table, "csv": as_csv, "json": as_json}
