"""95 % intervals by a bootstrap over groups, since images of one patient or slide are not independent."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.metrics.classification import Floats, Ints
from oncovec.metrics.ranking import SPECIFICITIES, Ranking, at

Weights = NDArray[np.integer[Any]]
ModelOutput = tuple[Floats, Ints]
"""Output of a model for N images: probabilities (N, C) and predicted class indices (N,)."""

TAILS = (0.025, 0.975)
SURE_GROUPS = 30
"""Number of groups below which 95 % intervals contain the true value in less than 90 % of cases.

They contain it in 83 % of cases for 5 groups, and in 93 % for 100 groups."""

FEW_GROUPS = 5
"""Number of groups below which intervals are widened.

Without widening, percentiles of replicates contain the true value in about half to four fifths of cases."""

SAME = 1e-12
"""Replicates that differ by less than this are equal."""

KEY = 64
"""Number of replicates that identify a group.

Two groups have equal draws in all of them once in 10^18 cases."""

CELLS = 2**19
"""Replicates times images in one block of work: 4 MiB per array, near the size of the cache."""


@dataclass(frozen=True)
class Interval:
    """The value of a metric on the images themselves, and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def signed(self) -> list[str]:
        """Return a difference and its bounds as two text cells of a table."""
        # Adding 0 makes a 0 of a -0.
        value, low, high = (round(number, 4) + 0.0 for number in (self.value, self.low, self.high))
        return [f"{value:+.4f}", f"{low:+.4f} to {high:+.4f}"]


def resample(groups: Sequence[str] | NDArray[np.str_], replicates: int, seed: int) -> Weights:
    """Draw bootstrap samples of whole groups and return the count of each image in each sample: (R, N).

    A replicate draws as many groups as there are, with replacement (the cluster bootstrap: Field & Welsh,
    "Bootstrapping clustered data", JRSS B 69, 2007). Groups are numbered by name, so the order of the images
    changes nothing. Some columns of the result are the weights of a subset of the images. Each cell takes one
    byte: 1,000 replicates of 30,000 images take 30 MB.
    """
    names, group_of = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    random, count = np.random.default_rng(seed), len(names)
    drawn = np.zeros((replicates, len(group_of)), np.uint8)  # a count above 255 occurs once in 10^500 draws
    for replicate in range(replicates if count else 0):
        drawn[replicate] = np.bincount(random.integers(count, size=count), minlength=count)[group_of]
    return drawn


def with_intervals(
    labels: Ints, probabilities: Floats, predicted: Ints, positive_index: int | None, weights: Weights
) -> dict[str, Interval]:
    """Compute the metrics of `values_of`, each with its interval: see `bounded`.

    Metrics that are undefined for the images are left out.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C).
        predicted: (N,) class indices.
        positive_index: column of the positive class; None if the task is not binary.
        weights: (R, N), from `resample`.
    """
    found = values_of(labels, (probabilities, predicted), positive_index)
    drawn = replicated(labels, (probabilities, predicted), positive_index, weights)
    return bounded(found, drawn, bases(labels, positive_index, weights), 0.0)


METRICS = (
    *("accuracy", "balanced_accuracy", "f1_macro", "auroc"),
    *("average_precision", "sensitivity", "specificity"),
    *map(at, SPECIFICITIES),
)
"""Metrics of predictions, in the order of tables."""


def values_of(labels: Ints, predictions: ModelOutput, positive_index: int | None) -> dict[str, float]:
    """Compute `classification.metrics`, and in a binary task the sensitivities of `ranking.Ranking`.

    They are computed as in `replicated`: a report has hundreds of small subsets, on which scikit-learn would
    spend most of its time with checks of its input.
    """
    found = replicated(labels, predictions, positive_index, np.ones((1, len(labels)), np.uint8))
    values = {name: float(found[name][0]) for name in METRICS if name in found}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def difference(
    a: ModelOutput, b: ModelOutput, labels: Ints, positive_index: int | None, weights: Weights
) -> dict[str, Interval]:
    """Compute the difference b minus a of each metric of `values_of` on the same images, with its interval.

    The two are compared within each replicate, so the effect of images that are hard for both cancels out (a
    paired bootstrap). A metric is left out if `a` or `b` lacks it. Equal predictions have a difference of 0
    with an interval from 0 to 0. See `bounded`.
    """
    first, second = (values_of(labels, predictions, positive_index) for predictions in (a, b))
    values = {name: second[name] - first[name] for name in first if name in second}
    if all(np.array_equal(one, other) for one, other in zip(a, b, strict=True)):
        return {name: Interval(0.0, 0.0, 0.0) for name in values}
    one, other = (replicated(labels, predictions, positive_index, weights) for predictions in (a, b))
    drawn = {name: other[name] - one[name] for name in values}
    return bounded(values, drawn, bases(labels, positive_index, weights), -1.0)


def bounded(
    values: Mapping[str, float],
    drawn: Mapping[str, Floats],
    bases: Mapping[str, Sequence[int]],
    least: float,
    most: float = 1.0,
) -> dict[str, Interval]:
    """Add the bounds of the 95 % interval to each value: percentiles of the replicates that define it.

    With few groups, or with groups of equal results, replicates are too similar to show the uncertainty. If n
    groups were seen, a share `unseen_share(n)` of all groups may differ from all of them and may have any
    value between `least` and `most`. The bounds are moved by this share towards `least` and `most` if n is
    below `FEW_GROUPS` or all replicates are equal. In a mean over classes, each class moves only its own
    part. One group gives no information about another group.

    Simulations of balanced accuracy (patients of one class, recalls 0.5 and 0.8 on average) show the share of
    intervals that contain the true value. Percentiles alone contain it in 68 % (2 and 10 patients) and 79 %
    (3 and 60 patients) of cases; widened intervals contain it in all of these cases. From 5 and 60 patients
    on, the intervals contain it in 90 % of cases.

    Args:
        values: metrics, or differences of metrics.
        drawn: the same metrics in each replicate, (R,) each, NaN where undefined; see `replicated`.
        bases: for each metric, the number of groups behind each term of its mean; see `bases`.
        least: lower bound of the possible values.
        most: upper bound of the possible values.
    """
    found = {}
    for name, value in values.items():
        defined = drawn[name][np.isfinite(drawn[name])]
        low, high = (float(bound) for bound in np.quantile(defined, TAILS)) if len(defined) else (least, most)
        counts = np.asarray(bases[name])
        alike = not len(defined) or float(np.ptp(defined)) < SAME
        share = float(np.where(alike | (counts < FEW_GROUPS), unseen_share(counts), 0).mean())
        found[name] = Interval(value, low - share * (low - least), high + share * (most - high))
    return found


def unseen_share(groups: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the upper 97.5 % bound of the share of groups that differ from all `groups` groups seen.

    This is the exact bound for no case among n (Clopper & Pearson, Biometrika 26, 1934). The approximation
    3 / n is known as the rule of three. For one group the bound is 1.
    """
    return np.where(groups > 1, 1 - TAILS[0] ** (1 / np.maximum(groups, 1)), 1.0)


def bases(labels: Ints, positive_index: int | None, weights: Weights) -> dict[str, list[int]]:
    """Return, for each metric of `values_of`, the number of groups behind each term of its mean.

    In a mean over classes, each class is a term. In accuracy, all images are one term. In metrics that rank
    one class against another, the class with fewer groups is the term.
    """
    if not len(labels):
        return {}
    group_of = _groups(weights)
    of_class = {label: _distinct(group_of[labels == label]) for label in np.unique(labels).tolist()}
    counts = list(of_class.values())
    found = {"accuracy": [_distinct(group_of)]} | dict.fromkeys(("balanced_accuracy", "f1_macro"), counts)
    if positive_index is None:
        return found | {"auroc": counts}
    ranked = ("auroc", "average_precision", *map(at, SPECIFICITIES))
    recalls = {"sensitivity": positive_index, "specificity": 1 - positive_index}
    return (
        found
        | {name: [min(counts)] for name in ranked}
        | {name: [of_class[label]] for name, label in recalls.items() if label in of_class}
    )


def count_groups(weights: Weights) -> int:
    """Return the number of groups in `weights` (R, N); images of one group have equal columns."""
    return _distinct(_groups(weights))


def _groups(weights: Weights) -> NDArray[np.uint64]:
    """Return a number that identifies the group of each image (N,), from its first `KEY` replicates."""
    drawn = weights[:KEY].astype(np.uint64)
    factors = np.random.default_rng(0).integers(2**64, size=len(drawn), dtype=np.uint64)
    return np.asarray(factors @ drawn)


def _distinct(numbers: NDArray[np.uint64]) -> int:
    return len(np.unique(numbers))


def fewest(labels: Ints, groups: Sequence[str] | NDArray[np.str_]) -> int:
    """Return the smallest number of groups of any class among the images (N,); 0 without images."""
    pairs = set(zip(labels.tolist(), np.asarray(groups, np.str_).tolist(), strict=True))
    return min(Counter(label for label, _ in pairs).values(), default=0)


def warning(groups: int, unit: str = "group") -> str:
    """Return a warning about the intervals if a class comes from too few groups; '' if there are enough."""
    if groups >= SURE_GROUPS:
        return ""
    of = f"A class comes from {groups} {unit}{'s' * (groups != 1)} only"
    what = "widened for it, and rough" if groups < FEW_GROUPS else "too narrow"
    return f"{of}: the intervals are {what}; believe them from {SURE_GROUPS} on."


def averages(columns: Floats, weights: Weights) -> NDArray[np.float64]:
    """Average each column over the images that define it, in every replicate: (R, m), NaN if none does.

    Args:
        columns: (N, m), NaN where undefined.
        weights: (R, N), from `resample`.
    """
    defined = np.isfinite(columns)
    stacked = np.hstack([np.where(defined, columns, 0.0), defined])
    rows = max(1, CELLS // max(1, len(columns)))
    parts = []
    with np.errstate(invalid="ignore"):
        for start in range(0, len(weights), rows):
            sums, counts = np.split(weights[start : start + rows].astype(np.float64) @ stacked, 2, axis=1)
            parts.append(sums / counts)
    return np.concatenate(parts)


def replicated(
    labels: Ints, predictions: ModelOutput, positive_index: int | None, weights: Weights
) -> dict[str, NDArray[np.float64]]:
    """Compute every metric of `values_of` in every replicate: (R,) each, NaN where undefined.

    A mean over classes always includes the same classes. If a replicate has no image of a class, that class
    contributes its value on the images themselves.
    """
    if not len(labels):
        return {}
    probabilities, predicted = predictions
    columns = range(probabilities.shape[1]) if positive_index is None else [positive_index]
    rankings = [Ranking(probabilities[:, column], labels == column) for column in columns]
    specificities = () if positive_index is None else SPECIFICITIES
    measure = _counter(labels, predicted, probabilities.shape[1], positive_index)
    rows = max(1, CELLS // max(1, len(labels)))
    parts = []
    with np.errstate(invalid="ignore", divide="ignore"):
        areas = np.array([ranking.of_images()["auroc"] for ranking in rankings])
        for start in range(0, len(weights), rows):
            block = weights[start : start + rows].astype(np.float64)
            ranked = [ranking.metrics(block, specificities) for ranking in rankings]
            found = measure(block)
            if positive_index is None:
                found["auroc"] = mean(np.stack([each["auroc"] for each in ranked], axis=1), areas)
            else:
                found |= ranked[0]
            parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _counter(
    labels: Ints, predicted: Ints, classes: int, positive: int | None
) -> Callable[[Floats], dict[str, NDArray[np.float64]]]:
    """Return a function from weights (r, N) to the metrics that need only counts, by one matrix product."""
    actual_one_hot, claimed_one_hot = np.eye(classes)[labels], np.eye(classes)[predicted]
    counted = np.hstack([actual_one_hot, claimed_one_hot, actual_one_hot * claimed_one_hot])

    def ratios(block: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        actual, claimed, hits = np.split(block @ counted, 3, axis=1)
        # A class without images in a replicate is undefined there, even if some images are predicted as it.
        f1 = np.where(actual > 0, 2 * hits / (actual + claimed), np.nan)
        return hits.sum(axis=1) / actual.sum(axis=1), hits / actual, f1

    with np.errstate(invalid="ignore"):
        _, recalls, f1s = (metric[0] for metric in ratios(np.ones((1, len(labels)))))
    # A class that has no image at all but is predicted has an F1 of 0.
    f1s[(counted[:, :classes].sum(axis=0) == 0) & (counted[:, classes : 2 * classes].sum(axis=0) > 0)] = 0

    def measure(block: Floats) -> dict[str, NDArray[np.float64]]:
        accuracy, recall, f1 = ratios(block)
        found = {
            "accuracy": accuracy,
            "balanced_accuracy": mean(recall, recalls),
            "f1_macro": mean(f1, f1s),
        }
        if positive is not None:
            found |= {"sensitivity": recall[:, positive], "specificity": recall[:, 1 - positive]}
        return found

    return measure


def mean(values: Floats, own: Floats) -> NDArray[np.float64]:
    """Average each row of `values` (R, m) over the columns that are finite in `own` (m,).

    `own` contains the values on the images themselves. It replaces values that are undefined in a row, so
    that every row is a mean over the same columns.
    """
    kept = np.isfinite(own)
    if not kept.any():
        return np.full(len(values), np.nan)
    columns = values[:, kept]
    return np.asarray(np.where(np.isfinite(columns), columns, own[kept]).mean(axis=1), np.float64)
