"""95 % intervals by a bootstrap over groups: images of one patient or slide are no independent draws."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.metrics import classification
from oncovec.metrics.classification import Floats, Ints
from oncovec.metrics.ranking import SPECIFICITIES, Ranking, at, sensitivities

Weights = NDArray[np.integer[Any]]
Answers = tuple[Floats, Ints]
"""What a model answers about N images: probabilities (N, C) and predicted class indices (N,)."""

TAILS = (0.025, 0.975)
SURE_GROUPS = 30
"""With fewer, 95 % intervals hold the truth in less than 90 % of cases (5 groups: 83 %, 100 groups: 93 %)."""

FEW_GROUPS = 5
"""With fewer, percentiles of replicates hold it in about half to four fifths: then they are widened."""

SAME = 1e-12
"""Replicates that differ by less are equal."""

KEY = 64
"""Replicates by which groups are told apart: two groups are drawn alike in all once in 10^18 cases."""

CELLS = 2**19
"""Replicates times images that are worked on at a time: 4 MiB an array, near the cache."""


@dataclass(frozen=True)
class Interval:
    """A metric of the images themselves, and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def signed(self) -> list[str]:
        """A difference and its bounds as two cells of a table for people."""
        return [f"{self.value:+.4f}", f"{self.low:+.4f} to {self.high:+.4f}"]


def resample(groups: Sequence[str] | NDArray[np.str_], replicates: int, seed: int) -> Weights:
    """Draw bootstrap samples of whole groups and return how often each image is in each: (R, N).

    A replicate draws as many groups as there are, with replacement (the cluster bootstrap: Field & Welsh,
    "Bootstrapping clustered data", JRSS B 69, 2007). Groups are numbered by name, so that the order of the
    images changes nothing; a column subset serves a subset of the images. One byte a cell: 1,000
    replicates of 30,000 images take 30 MB.
    """
    names, group_of = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    random, count = np.random.default_rng(seed), len(names)
    drawn = np.zeros((replicates, len(group_of)), np.uint8)  # more than 255 times: once in 10^500 draws
    for replicate in range(replicates if count else 0):
        drawn[replicate] = np.bincount(random.integers(count, size=count), minlength=count)[group_of]
    return drawn


def with_intervals(
    labels: Ints, probabilities: Floats, predicted: Ints, positive_index: int | None, weights: Weights
) -> dict[str, Interval]:
    """Compute the metrics of `values_of`, each with its interval: see `bounded`.

    Metrics that the images leave undefined are left out.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C).
        predicted: (N,) class indices.
        positive_index: column of the positive class; None where the task is not binary.
        weights: (R, N), from `resample`.
    """
    found = values_of(labels, (probabilities, predicted), positive_index)
    drawn = replicated(labels, (probabilities, predicted), positive_index, weights)
    return bounded(found, drawn, bases(labels, positive_index, weights), 0.0)


def values_of(labels: Ints, answers: Answers, positive_index: int | None) -> dict[str, float]:
    """Compute `classification.metrics`, and in a binary task `ranking.sensitivities`."""
    found = classification.metrics(labels, *answers, positive_index)
    if positive_index is not None:
        found |= sensitivities(labels == positive_index, answers[0][:, positive_index])
    return found


def difference(
    a: Answers, b: Answers, labels: Ints, positive_index: int | None, weights: Weights
) -> dict[str, Interval]:
    """Compute each of `values_of` of `b` minus that of `a`, with its interval, on the same images.

    As the two are compared within each replicate, what is hard for both cancels out (a paired bootstrap). A
    metric is left out where either lacks it; answers that are the same differ by nothing. See `bounded`.
    """
    first, second = (values_of(labels, answers, positive_index) for answers in (a, b))
    values = {name: second[name] - first[name] for name in first if name in second}
    if all(np.array_equal(one, other) for one, other in zip(a, b, strict=True)):
        return {name: Interval(0.0, 0.0, 0.0) for name in values}
    one, other = (replicated(labels, answers, positive_index, weights) for answers in (a, b))
    drawn = {name: other[name] - one[name] for name in values}
    return bounded(values, drawn, bases(labels, positive_index, weights), -1.0)


def bounded(
    values: Mapping[str, float],
    drawn: Mapping[str, Floats],
    bases: Mapping[str, Sequence[int]],
    least: float,
    most: float = 1.0,
) -> dict[str, Interval]:
    """Put the bounds of its 95 % interval beside each value: percentiles of the replicates that define it.

    Few groups, and groups that all say the same, make replicates alike and give no certainty. Where n groups
    were seen, a share `unseen_share(n)` of all groups may be like none of them, and have any value between
    `least` and `most`: so far the bounds are moved where n is below `FEW_GROUPS` or all replicates are equal.
    In a mean over classes each class moves its own part. One group says nothing about another.

    In simulations of balanced accuracy (patients of one class, recalls 0.5 and 0.8 on average) intervals held
    the truth in 68 % (2 and 10 patients) and 79 % (3 and 60) of cases by percentiles alone, in all when
    widened; in 90 % from 5 and 60 patients on.

    Args:
        values: metrics, or differences of metrics.
        drawn: the same in each replicate, (R,) each, NaN where undefined; see `replicated`.
        bases: of each metric the number of groups behind each term of the mean that it is; see `bases`.
        least: lower bound of what is possible.
        most: upper bound of the same.
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
    """Upper 97.5 % bound of the share of groups that are like none of so many seen: all where one was.

    The exact bound for no case among n (Clopper & Pearson, Biometrika 26, 1934), of which 3 / n is known as
    the rule of three.
    """
    return np.where(groups > 1, 1 - TAILS[0] ** (1 / np.maximum(groups, 1)), 1.0)


def bases(labels: Ints, positive_index: int | None, weights: Weights) -> dict[str, list[int]]:
    """For each metric of `values_of`, the number of groups behind each term of the mean that it is.

    A term is a class in a mean over classes; all images in accuracy; in what ranks one class against another,
    the class with fewer groups.
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
    """Number of groups that the images of `weights` (R, N) are of: those of one are drawn together."""
    return _distinct(_groups(weights))


def _groups(weights: Weights) -> NDArray[np.uint64]:
    """A number for the group of each image (N,), from its first `KEY` replicates."""
    drawn = weights[:KEY].astype(np.uint64)
    factors = np.random.default_rng(0).integers(2**64, size=len(drawn), dtype=np.uint64)
    return np.asarray(factors @ drawn)


def _distinct(numbers: NDArray[np.uint64]) -> int:
    return len(np.unique(numbers))


def fewest(labels: Ints, groups: Sequence[str] | NDArray[np.str_]) -> int:
    """Smallest number of groups that any class among the images (N,) comes from; 0 without images."""
    pairs = set(zip(labels.tolist(), np.asarray(groups, np.str_).tolist(), strict=True))
    return min(Counter(label for label, _ in pairs).values(), default=0)


def warning(groups: int, unit: str = "group") -> str:
    """Say what the intervals are worth where a class comes from so few groups; '' where these suffice."""
    if groups >= SURE_GROUPS:
        return ""
    of = f"A class comes from {groups} {unit}{'s' * (groups != 1)} only"
    what = "widened for it, and rough" if groups < FEW_GROUPS else "too narrow"
    return f"{of}: the intervals are {what}; believe them from {SURE_GROUPS} on."


def averages(columns: Floats, weights: Weights) -> NDArray[np.float64]:
    """Average each column over the images that define it, in every replicate: (R, m), NaN where none does.

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
    labels: Ints, answers: Answers, positive_index: int | None, weights: Weights
) -> dict[str, NDArray[np.float64]]:
    """Compute every metric of `values_of` in every replicate: (R,) each, NaN where undefined.

    A mean over classes stays one over the same classes: where a replicate has no image of one, that class
    contributes what it does in the images themselves.
    """
    if not len(labels):
        return {}
    probabilities, predicted = answers
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
    """Return what turns weights (r, N) into the metrics that counting gives, by one matrix product."""
    actual_one_hot, claimed_one_hot = np.eye(classes)[labels], np.eye(classes)[predicted]
    counted = np.hstack([actual_one_hot, claimed_one_hot, actual_one_hot * claimed_one_hot])

    def ratios(block: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        actual, claimed, hits = np.split(block @ counted, 3, axis=1)
        # A class that no image of a replicate has is undefined there, whatever is taken for it.
        f1 = np.where(actual > 0, 2 * hits / (actual + claimed), np.nan)
        return hits.sum(axis=1) / actual.sum(axis=1), hits / actual, f1

    with np.errstate(invalid="ignore"):
        _, recalls, f1s = (metric[0] for metric in ratios(np.ones((1, len(labels)))))
    # A class that has no image at all, and is only taken for one, has no F1 but 0.
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
    """Mean of each row (R, m) over the columns that the images themselves define, as `own` (m,) says.

    Where a row leaves such a column undefined, `own` stands for it, so that every row is a mean of the same.
    """
    kept = np.isfinite(own)
    if not kept.any():
        return np.full(len(values), np.nan)
    columns = values[:, kept]
    return np.asarray(np.where(np.isfinite(columns), columns, own[kept]).mean(axis=1), np.float64)
