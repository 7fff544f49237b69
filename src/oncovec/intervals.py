"""95 % intervals by a bootstrap over groups: images of one patient or slide are no independent draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec import evaluation, rare
from oncovec.evaluation import Floats, Ints

Weights = NDArray[np.integer[Any]]
Answers = tuple[Floats, Ints]
"""What a model answers about N images: probabilities (N, C) and predicted class indices (N,)."""

TAILS = (0.025, 0.975)
CELLS = 2**19
"""Replicates times images that are worked on at a time: 4 MiB an array, near the cache."""


@dataclass(frozen=True)
class Interval:
    """A figure of the images themselves, and the bounds of its 95 % interval."""

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


def figures(
    labels: Ints, probabilities: Floats, predicted: Ints, positive_index: int | None, weights: Weights
) -> dict[str, Interval]:
    """Compute the figures of `values_of`, each with its percentile interval.

    Figures that the images leave undefined are left out; replicates in which one is undefined (no image of a
    class was drawn) are passed over. Images that all stem from one group say nothing about another: the
    interval is then all of [0, 1].

    Args:
        labels: (N,) class indices.
        probabilities: (N, C).
        predicted: (N,) class indices.
        positive_index: column of the positive class; None where the task is not binary.
        weights: (R, N), from `resample`.
    """
    found = values_of(labels, (probabilities, predicted), positive_index)
    drawn = replicated(labels, (probabilities, predicted), positive_index, weights)
    return bounded(found, drawn, weights, 0.0)


def values_of(labels: Ints, answers: Answers, positive_index: int | None) -> dict[str, float]:
    """Compute the figures of `evaluation.metrics`, and in a binary task those of `rare.sensitivities`."""
    found = evaluation.metrics(labels, *answers, positive_index)
    if positive_index is not None:
        found |= rare.sensitivities(labels == positive_index, answers[0][:, positive_index])
    return found


def difference(
    a: Answers, b: Answers, labels: Ints, positive_index: int | None, weights: Weights
) -> dict[str, Interval]:
    """Compute each of `values_of` of `b` minus that of `a`, with its interval, on the same images.

    As the two are compared within each replicate, what is hard for both cancels out (a paired bootstrap). A
    figure is left out where either lacks it. See `figures`.
    """
    first, second = (values_of(labels, answers, positive_index) for answers in (a, b))
    values = {name: second[name] - first[name] for name in first if name in second}
    one, other = (replicated(labels, answers, positive_index, weights) for answers in (a, b))
    return bounded(values, {name: other[name] - one[name] for name in values}, weights, -1.0)


def bounded(
    values: Mapping[str, float],
    drawn: Mapping[str, Floats],
    weights: Weights,
    least: float,
    most: float = 1.0,
) -> dict[str, Interval]:
    """Put the bounds of its 95 % interval beside each value: percentiles of the replicates that define it.

    Args:
        values: figures, or differences of figures.
        drawn: the same in each replicate, (R,) each, NaN where undefined; see `replicated`.
        weights: (R, N), of those replicates.
        least: lower bound of what is possible, and of the interval where there is one group alone.
        most: upper bound of the same.
    """
    alone = bool((weights == weights[:, :1]).all())
    found = {}
    for name, value in values.items():
        defined = drawn[name][np.isfinite(drawn[name])]
        if alone or not len(defined):
            found[name] = Interval(value, least, most)
        else:
            found[name] = Interval(value, *(float(bound) for bound in np.quantile(defined, TAILS)))
    return found


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
    """Compute every figure of `values_of` in every replicate: (R,) each, NaN where undefined."""
    if not len(labels):
        return {}
    probabilities, predicted = answers
    columns = range(probabilities.shape[1]) if positive_index is None else [positive_index]
    rankings = [_Ranking(probabilities[:, column], labels == column) for column in columns]
    specificities = () if positive_index is None else rare.SPECIFICITIES
    measure = _counter(labels, predicted, probabilities.shape[1], positive_index)
    rows = max(1, CELLS // max(1, len(labels)))
    parts = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for start in range(0, len(weights), rows):
            block = weights[start : start + rows].astype(np.float64)
            ranked = [ranking.figures(block, specificities) for ranking in rankings]
            found = measure(block) | {"auroc": mean(np.stack([each["auroc"] for each in ranked], axis=1))}
            if positive_index is not None:
                found |= ranked[0]
            parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _counter(
    labels: Ints, predicted: Ints, classes: int, positive: int | None
) -> Callable[[Floats], dict[str, NDArray[np.float64]]]:
    """Return what turns weights (r, N) into the figures that counting gives, by one matrix product."""
    actual_one_hot, claimed_one_hot = np.eye(classes)[labels], np.eye(classes)[predicted]
    counted = np.hstack([actual_one_hot, claimed_one_hot, actual_one_hot * claimed_one_hot])

    def measure(block: Floats) -> dict[str, NDArray[np.float64]]:
        actual, claimed, hits = np.split(block @ counted, 3, axis=1)
        recall = hits / actual
        found = {
            "accuracy": hits.sum(axis=1) / actual.sum(axis=1),
            "balanced_accuracy": mean(recall),
            "f1_macro": mean(2 * hits / (actual + claimed)),
        }
        if positive is not None:
            found |= {"sensitivity": recall[:, positive], "specificity": recall[:, 1 - positive]}
        return found

    return measure


class _Ranking:
    """Images of one class and all others, each in descending order of the class's probability.

    Sorted once for all replicates: what lies above an image is then a cumulative sum of weights.
    """

    def __init__(self, probability: Floats, mine: NDArray[np.bool_]):
        order = np.argsort(-probability, kind="stable")
        self.own, self.others = order[mine[order]], order[~mine[order]]
        own, others = -probability[self.own], -probability[self.others]
        self.level = np.searchsorted(own, own, side="right")
        self.above = np.searchsorted(others, own, side="left")
        self.not_below = np.searchsorted(others, own, side="right")

    def figures(self, block: Floats, specificities: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        """Area under the ROC curve (ties count half), average precision, and sensitivity at `specificities`.

        Of weights (r, N): (r,) each. The first two as scikit-learn defines them, the last as in `rare`; equal
        probabilities are one step of every curve.
        """
        own, others = block[:, self.own], _summed(block[:, self.others])
        hits, false = _summed(own)[:, self.level], others[:, self.not_below]
        behind = others[:, -1:] - (others[:, self.above] + false) / 2
        count, count_others = own.sum(axis=1), others[:, -1]
        precision = hits / np.maximum(hits + false, 1)
        found = {
            "auroc": (own * behind).sum(axis=1) / (count * count_others),
            "average_precision": (own * precision).sum(axis=1) / count,
        }
        for specificity in specificities:
            kept = 100 * false <= (100 - specificity) * others[:, -1:]
            best = np.where(kept, hits, 0).max(axis=1, initial=0) / count
            # Without a negative every threshold keeps the specificity, and none means anything.
            found[rare.name(specificity)] = np.where(count_others > 0, best, np.nan)
        return found


def _summed(weights: Floats) -> NDArray[np.float64]:
    """Sum of the first 0, 1, … weights of each row: one column more."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def mean(values: Floats) -> NDArray[np.float64]:
    """Mean of each row over what is defined in it; NaN where nothing is."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1), np.float64)
