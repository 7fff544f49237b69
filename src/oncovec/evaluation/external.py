"""Metrics of systems on an external test set: over all images, and over those that are answered."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from threadpoolctl import threadpool_limits

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.parts import Parts
from oncovec.metrics import classification, intervals, selective
from oncovec.metrics.classification import Floats, Ints

COLUMNS = ("system", "image", "group", "label", "predicted", "answered", "ood_score", "prediction_set")
"""Columns of the table of predictions; one column `p_<class>` per class follows."""

SEPARATOR = "|"
"""Text between the classes of a prediction set."""

METRICS = ("accuracy", "balanced_accuracy", "auroc")

SHARES = ("coverage", "wrong_and_answered", "elsewhere_and_answered")
"""Shares of all images."""

PLOTS = {
    # Shares and metrics of each system on each set.
    "external": ("set", "metric", "value", "low", "high"),
    # Share of errors among the answered images, for every share of answered images.
    "risk_coverage": ("set", "coverage", "risk"),
}
"""Kinds of plots of external test sets, and their columns."""

PLOTTED = ("coverage", "wrong_and_answered", "auroc", "balanced_accuracy")

CERTAIN = 1000.0
"""Logarithm of the odds of a label if no other has a probability; floats above 0 give at most 745."""

CURVE_POINTS = 100
"""Largest number of points of a risk-coverage curve."""


class OfSystem(BaseModel, extra="allow"):
    """Metrics of one system on a set, see `metrics`; without images there is `n` alone."""

    n: int
    coverage: float = math.nan
    wrong_and_answered: float = math.nan


class SetMetrics(BaseModel):
    """What is read of `metrics/external/<set>.json`."""

    source: str
    systems: dict[str, OfSystem]


@dataclass(frozen=True)
class SetPredictions:
    """The predictions of one system for N images of an external test set.

    A label of the set stands for one or more classes; a prediction of any of them is right.

    Attributes:
        labels: (N,) indices of the labels that have images.
        log_odds: (N, L + 1): for each of these labels, the logarithm of the probability of its classes over
            that of the classes of all others of them; the last column is 0. It ranks images as the share
            does, also where that is rounded to 1.
        predicted: (N,) index of the label whose class is predicted, L if it is another class.
        elsewhere: (N,) whether the predicted class is of no label at all, also of none without images.
        answered: (N,) whether the image is not out of distribution.
        ood_score: (N,).
        in_set: (N,) whether the prediction set has a class that the label stands for.
        set_size: (N,) number of classes in the prediction set; 0 for an image that is not answered.
        groups: (N,) groups that the bootstrap draws.
    """

    labels: Ints
    log_odds: Floats
    predicted: Ints
    elsewhere: NDArray[np.bool_]
    answered: NDArray[np.bool_]
    ood_score: Floats
    in_set: NDArray[np.bool_]
    set_size: Ints
    groups: NDArray[np.str_]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether the predicted class is not one that the label stands for: (N,)."""
        return np.not_equal(self.predicted, self.labels)

    def only_answered(self) -> "SetPredictions":
        """Return the predictions for the images that are not refused."""
        kept = self.answered
        return SetPredictions(**{name: values[kept] for name, values in vars(self).items()})


def predictions(table: pd.DataFrame, classes_of: Mapping[str, Sequence[str]]) -> SetPredictions:
    """Make the predictions of one system from its rows of the table.

    Args:
        table: rows with the columns `COLUMNS` and `p_<class>`, as text or as values.
        classes_of: the classes of each label that is named; any other label is a class.
    """
    present = sorted(set(table["label"]))
    known = [*present, *(label for label in classes_of if label not in present)]
    label_of = {name: label for label in known for name in classes_of.get(label, (label,))}
    columns = {name: number for number, name in enumerate(present)}
    sums = np.zeros((len(table), len(present)))
    for name, label in label_of.items():
        if label in columns and f"p_{name}" in table:
            sums[:, columns[label]] += table[f"p_{name}"].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(sums) - np.log(sums @ (1 - np.eye(len(present))))
    odds = np.nan_to_num(odds, nan=0.0, posinf=CERTAIN, neginf=-CERTAIN)
    named = [label_of.get(name) for name in table["predicted"]]
    images, groups = table["image"].astype(str), table["group"].astype(str)
    sets = table["prediction_set"].astype(str)
    stands_for = [classes_of.get(label, (label,)) for label in table["label"]]
    return SetPredictions(
        labels=np.array([columns[label] for label in table["label"]], np.int64),
        log_odds=np.pad(odds, ((0, 0), (0, 1))),
        predicted=np.array([columns.get(label or "", len(present)) for label in named], np.int64),
        elsewhere=np.array([label is None for label in named], bool),
        answered=(table["answered"].astype(str).str.lower() == "true").to_numpy(bool),
        ood_score=table["ood_score"].to_numpy(float),
        in_set=np.array(
            [any(map(_within(found), own)) for found, own in zip(sets, stands_for, strict=True)], bool
        ),
        set_size=np.array([found.count(SEPARATOR) + (found != "") for found in sets], np.int64),
        # The first word distinguishes a group from an image with the same name.
        groups=np.where(groups != "", "group " + groups, "image " + images).astype(np.str_),
    )


def _within(prediction_set: str) -> Callable[[str], bool]:
    """Return the test whether a class is in a prediction set."""
    return lambda name: f"{SEPARATOR}{name}{SEPARATOR}" in f"{SEPARATOR}{prediction_set}{SEPARATOR}"


def metrics(found: SetPredictions) -> dict[str, Any]:
    """Return the metrics of a system; undefined ones are left out.

    `n` images; `coverage`, the share of images that are answered; accuracy, balanced accuracy (mean recall of
    the labels) and AUROC (each label against the others, mean) over all images, where a refused image counts
    with the class that it would get, and as `answered` over the answered ones, there with `set_coverage`, the
    share of prediction sets with a right class, and `set_size`, their mean number of classes;
    `wrong_and_answered` and `elsewhere_and_answered`, shares of all images; `risk_coverage_area`
    (`selective.area`).
    """
    if not len(found.labels):
        return {"n": 0}
    answered = found.only_answered()
    return {
        "n": len(found.labels),
        **{name: float(values.mean()) for name, values in _shares(found).items()},
        **_metrics(found),
        "answered": _metrics(answered) | _of_sets(answered),
        "risk_coverage_area": selective.area(*selective.risk_coverage(found.wrong, found.ood_score)),
    }


def with_intervals(found: SetPredictions, replicates: int, seed: int) -> dict[str, intervals.Interval]:
    """Return the shares and the metrics over all images with 95 % intervals, by a bootstrap over groups."""
    if not len(found.labels):
        return {}
    with threadpool_limits(1):  # see `scores.score`
        weights = intervals.resample(found.groups, replicates, seed)
        shares = _shares(found)
        drawn = intervals.averages(np.stack(list(shares.values()), axis=1).astype(float), weights)
        values = {name: float(each.mean()) for name, each in shares.items()}
        bases = {name: [len(set(found.groups.tolist()))] for name in shares}
        bounds = intervals.bounded(values, dict(zip(shares, drawn.T, strict=True)), bases, 0.0)
        of_all = intervals.with_intervals(found.labels, found.log_odds, found.predicted, None, weights)
    return bounds | {name: of_all[name] for name in METRICS if name in of_all}


def _shares(found: SetPredictions) -> dict[str, NDArray[np.bool_]]:
    every = found.answered, found.answered & found.wrong, found.answered & found.elsewhere
    return dict(zip(SHARES, every, strict=True))


def _metrics(found: SetPredictions) -> dict[str, float]:
    values = classification.metrics(found.labels, found.log_odds, found.predicted, None)
    return {name: values[name] for name in METRICS if name in values}


def _of_sets(found: SetPredictions) -> dict[str, float]:
    if not len(found.labels):
        return {}
    return {"set_coverage": float(found.in_set.mean()), "set_size": float(found.set_size.mean())}


def told(parts: Parts) -> list[str]:
    """Return a line per external test set with what a system is worth on it; one line if there is none."""
    found = [
        f"{parts.name} on {own['n']} {'drawn ' if source == 'phantom' else ''}images of another collection "
        f"({name}): answered {own['coverage']:.2f} of them, {own['wrong_and_answered']:.2f} of all wrongly"
        for name, source, own in of_system(parts)
    ]
    return found or [f"{parts.name} has not been tried on images of another collection"]


def of_system(parts: Parts) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, source and metrics of each external test set with images that a system was tried on.

    Raises:
        OncovecError: if the metrics of a set are damaged.
    """
    again = "write it again (`dvc repro`, or `oncovec export`)"
    for path in parts.below(paths.EXTERNAL_METRICS):
        try:
            content = SetMetrics.model_validate_json(parts.read(path))
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            raise OncovecError(f"{parts.where(path)}: damaged ({reason}); {again}") from None
        own = content.systems.get(parts.name)
        if own and own.n:
            yield path.stem, content.source, own.model_dump()


def read(path_of: Mapping[str, Any], sets: pd.DataFrame, task: str) -> dict[tuple[str, str], SetPredictions]:
    """Read the predictions of every system of a task: a dict from (system, set), in the order of the tables.

    Args:
        path_of: the table of predictions of each set.
        sets: the table of external test sets, see `rows.read_external`.
        task: a task.

    Raises:
        OncovecError: if a table is missing or damaged.
    """
    found = {}
    for name, rows in sets[sets["task"] == task].groupby("set", sort=False):
        table = tables.read(path_of[str(name)], COLUMNS)
        classes_of = classes_by_label(rows)
        for system, own in table.groupby("system", sort=False):
            try:
                found[str(system), str(name)] = predictions(own, classes_of)
            except ValueError as error:
                again = f"run `dvc repro -f -s external@{name}`"
                raise OncovecError(f"{path_of[str(name)]}: damaged ({error}); {again}") from None
    return found


def classes_by_label(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the classes of each named label, from the rows of one set in the table of sets."""
    named = rows[rows["label"] != ""]
    return {str(label): own["class"].tolist() for label, own in named.groupby("label", sort=False)}


def plotted(
    found: Mapping[tuple[str, str], SetPredictions], replicates: int, seed: int
) -> dict[str, pd.DataFrame]:
    """Return the table of each kind of `PLOTS` for the systems of a task; without sets there are no rows."""
    metric_rows, curve_rows = [], []
    for (system, name), each in found.items():
        bounded = with_intervals(each, replicates, seed)
        for metric in PLOTTED:
            if metric in bounded:
                metric_rows.append((system, name, metric, *vars(bounded[metric]).values()))
        curve_rows += [(system, name, *point) for point in _curve(each)]
    rows = {"external": metric_rows, "risk_coverage": curve_rows}
    return {kind: tables.of(("system", *columns), rows[kind]) for kind, columns in PLOTS.items()}


def _curve(found: SetPredictions) -> Iterator[tuple[float, float]]:
    """Yield coverage and risk at `CURVE_POINTS` points at most, evenly spaced, the last one among them."""
    coverage, risk = selective.risk_coverage(found.wrong, found.ood_score)
    kept = np.linspace(0, len(coverage) - 1, min(len(coverage), CURVE_POINTS)).round().astype(int)
    for point in np.unique(kept).tolist():
        yield float(coverage[point]), float(risk[point])
