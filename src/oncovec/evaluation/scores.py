"""Metrics with their intervals: over all images, in subsets, per unit, and against the baselines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from oncovec.data.embeddings import Embeddings
from oncovec.evaluation import subsets
from oncovec.evaluation.gallery import Gallery
from oncovec.evaluation.predictions import PredictionOutput
from oncovec.evaluation.subsets import Names, Parts
from oncovec.metrics import calibration, intervals
from oncovec.metrics.classification import Floats
from oncovec.metrics.intervals import Interval, Weights

HEADLINE = ("balanced_accuracy", "auroc")
"""Metrics for the comparison of systems."""

UNIT = "per "
"""Prefix of the name of a subset with metrics of units."""

Score = tuple[str, str, str, str, float, float | None, float | None]
"""Split, model, subset, metric, value, low and high; a count has no interval."""


@dataclass(frozen=True)
class BaselineComparison:
    """Comparison of a system's model with the best baseline in one split, by balanced accuracy."""

    split: str
    model: str
    baseline: str
    own: float
    other: float
    over: Interval

    @property
    def beats(self) -> bool:
        """Whether the interval of the difference is above 0."""
        return self.over.low > 0

    def __str__(self) -> str:
        verb = "beats" if self.beats else "is not shown to beat"
        model = "KNN" if self.model == "knn" else self.model
        by = f"{self.over.value:+.3f} ({self.over.low:+.3f} to {self.over.high:+.3f})"
        return (
            f"{model} {verb} {self.baseline} on {self.split}: balanced accuracy {self.own:.3f} against "
            f"{self.other:.3f}, difference {by}"
        )


@dataclass(frozen=True)
class Measured:
    """Metrics of some images, and their values in each replicate: (R,) each, NaN where undefined.

    `bases` gives the number of groups behind them; see `intervals.bases`.
    """

    values: Mapping[str, float]
    drawn: Mapping[str, Floats]
    bases: Mapping[str, Sequence[int]]

    def minus(self, other: "Measured") -> "Measured":
        """Return the differences of the metrics that both have, for each replicate."""
        names = [name for name in self.values if name in other.values]
        return Measured(
            {name: self.values[name] - other.values[name] for name in names},
            {name: self.drawn[name] - other.drawn[name] for name in names},
            self.bases,
        )

    def intervals(self, least: float = 0.0) -> dict[str, Interval]:
        """Return each metric with its interval, which is between `least` and 1."""
        return intervals.bounded(self.values, self.drawn, self.bases, least)


def measure(output: PredictionOutput, weights: Weights) -> Measured:
    """Compute the metrics of an output, also in each of the replicates `weights` (R, n) of its images."""
    predictions = output.probabilities, output.predicted
    drawn = intervals.replicated(output.labels, predictions, output.positive_index, weights)
    values = intervals.values_of(output.labels, predictions, output.positive_index)
    return Measured(values, drawn, intervals.bases(output.labels, output.positive_index, weights))


def mean(measured: Sequence[Measured]) -> Measured:
    """Average each metric over the subsets that have it.

    If a metric is undefined in a replicate of a subset, its value on the images themselves is used.
    """
    names = dict.fromkeys(name for each in measured for name in each.values)
    having = {name: [each for each in measured if name in each.values] for name in names}
    return Measured(
        {name: float(np.mean([each.values[name] for each in those])) for name, those in having.items()},
        {
            name: intervals.mean(
                np.stack([each.drawn[name] for each in those], axis=1),
                np.array([each.values[name] for each in those]),
            )
            for name, those in having.items()
        },
        {name: [count for each in those for count in each.bases[name]] for name, those in having.items()},
    )


def score(
    outputs: Sequence[PredictionOutput],
    baselines: Sequence[PredictionOutput],
    groups: Names,
    parts: Parts,
    replicates: int,
    seed: int,
    retrieved: Mapping[str, Mapping[str, Floats]] | None = None,
) -> tuple[list[Score], list[BaselineComparison]]:
    """Compute every metric with its 95 % interval, by one bootstrap over groups per split.

    Subsets and units use their columns of the split's replicates, so all intervals are from the same draws.

    Args:
        outputs: predictions of the system for all evaluated splits.
        baselines: predictions of the baselines for the same splits. They are evaluated only over all images
            and by further labels.
        groups: (N,) group of each image of the embeddings.
        parts: subsets and units of the same images.
        replicates: number of bootstrap replicates.
        seed: random seed of the bootstrap.
        retrieved: for each split, the metrics of each image as a query; see `retrieval.of_splits`.

    Returns:
        The scores, and a comparison of each of the system's models with the best baseline.
    """
    scores: list[Score] = []
    comparisons: list[BaselineComparison] = []
    # There are many thin matrices. One thread is three times as fast as two, with the same bits.
    with threadpool_limits(1):
        for split in dict.fromkeys(each.split for each in outputs):
            own = [each for each in outputs if each.split == split]
            others = [each for each in baselines if each.split == split]
            weights = intervals.resample(groups[own[0].rows], replicates, seed)
            found, compared = _of_split(own, others, groups, parts, weights)
            scores, comparisons = scores + found, comparisons + compared
            scores += _retrieval(own[0], (retrieved or {}).get(split, {}), weights)
    return scores, comparisons


def answers(
    outputs: Sequence[PredictionOutput],
    gallery: Gallery,
    embeddings: Embeddings,
    replicates: int,
    seed: int,
) -> list[Score]:
    """Compute how KNN answers, with intervals from the bootstrap of `score`.

    A split without images has no row. The metrics are `ood_share`, the share of images that are out of
    distribution; `set_coverage`, the share of prediction sets that hold the true class; `set_size`, the mean
    number of classes in them. The sets of all images count.
    """
    found: list[Score] = []
    for each in outputs:
        if each.model != "knn" or not len(rows := each.rows):
            continue
        vectors = embeddings.vectors[rows]
        sets = gallery.prediction_sets(vectors, each.predicted)
        ood = gallery.is_ood(embeddings.ood_vectors[rows], each.predicted)
        weights = intervals.resample(embeddings.groups[rows], replicates, seed)
        for name, values, most in (
            ("ood_share", ood, 1),
            ("set_coverage", sets[np.arange(len(rows)), each.labels], 1),
            ("set_size", sets.sum(axis=1), len(gallery.classes)),
        ):
            drawn = intervals.averages(values[:, None].astype(float), weights)
            found += _bounded(each, {name: float(values.mean())}, list(drawn.T), weights, most)
    return found


def _of_split(
    own: Sequence[PredictionOutput],
    others: Sequence[PredictionOutput],
    groups: Names,
    parts: Parts,
    weights: Weights,
) -> tuple[list[Score], list[BaselineComparison]]:
    measured = {each.model: measure(each, weights) for each in [*own, *others]}
    scores: list[Score] = []
    comparisons: list[BaselineComparison] = []
    for each in [*own, *others]:
        scores += _rows(each, "all", groups, measured[each.model])
        scores += _by(each, parts.labels, groups, weights, with_mean=True)
    for each in own:
        scores += _calibration(each, weights)
        scores += _by(each, parts.subgroups, groups, weights)
        scores += _per_unit(each, parts.units, groups, weights)
        found, over = _compare(each, [other.model for other in others], measured)
        scores, comparisons = scores + over, comparisons + found
    return scores, comparisons


def _rows(each: PredictionOutput, subset: str, groups: Names, measured: Measured) -> Iterator[Score]:
    """Yield the number of images or units, of groups, the fewest groups of a class, and the metrics."""
    where = each.split, each.model, subset
    yield *where, "units" if subset.startswith(UNIT) else "images", len(each.rows), None, None
    yield *where, "groups", len(set(groups[each.rows].tolist())), None, None
    yield *where, "fewest_groups", intervals.fewest(each.labels, groups[each.rows]), None, None
    for name, found in measured.intervals().items():
        yield *where, name, found.value, found.low, found.high


def _calibration(each: PredictionOutput, weights: Weights) -> Iterator[Score]:
    """Yield the expected calibration error and negative log-likelihood, before and after the temperature.

    The error is biased upwards. In replicates it is biased a second time, so their percentiles are above the
    true value. The basic interval mirrors the percentiles at the value and so removes the bias (Davison &
    Hinkley, "Bootstrap Methods and their Application", 1997). The value may be above this interval if the
    error is small.
    """
    if each.temperature is None or not len(each.rows):
        return
    tempered = calibration.calibrated(each.probabilities, each.temperature, each.model)
    for suffix, probabilities in (("", each.probabilities), ("_calibrated", tempered)):
        gaps = calibration.gaps(each.labels, probabilities)
        columns = np.column_stack([gaps, calibration.losses(each.labels, probabilities)])
        values, drawn = columns.mean(axis=0), intervals.averages(columns, weights)
        error, errors = float(calibration.ece(values[:-1])), calibration.ece(drawn[:, :-1])
        mirrored = np.clip(2 * error - errors, 0, 1)
        yield from _bounded(each, {f"ece{suffix}": error}, [mirrored], weights, 1.0)
        most = -float(np.log(calibration.LEAST))
        yield from _bounded(each, {f"nll{suffix}": float(values[-1])}, [drawn[:, -1]], weights, most)


def _retrieval(each: PredictionOutput, queried: Mapping[str, Floats], weights: Weights) -> Iterator[Score]:
    """Yield the mean of each retrieval metric over the queries that define it."""
    defined = {name: values for name, values in queried.items() if np.isfinite(values).any()}
    if not defined:
        return
    means = {name: float(np.nanmean(values)) for name, values in defined.items()}
    drawn = intervals.averages(np.column_stack(list(defined.values())), weights)
    yield from _bounded(each, means, list(drawn.T), weights, 1.0)


def _bounded(
    each: PredictionOutput,
    values: Mapping[str, float],
    drawn: Sequence[Floats],
    weights: Weights,
    most: float,
) -> Iterator[Score]:
    """Yield metrics of all images, each with the interval from its replicates."""
    columns = dict(zip(values, drawn, strict=True))
    groups = intervals.count_groups(weights)
    bases = {name: [groups] for name in values}
    for name, found in intervals.bounded(values, columns, bases, 0.0, most).items():
        yield each.split, each.model, "all", name, found.value, found.low, found.high


def _by(
    each: PredictionOutput,
    columns: Mapping[str, Names],
    groups: Names,
    weights: Weights,
    with_mean: bool = False,
) -> Iterator[Score]:
    """Yield the scores in every subset, and the mean over the subsets with more than one class."""
    for column, every in columns.items():
        values, several = every[each.rows], []
        for value in sorted(set(values.tolist()) - {""}):
            inside = np.flatnonzero(values == value)
            part, its_weights = each.only(inside), weights[:, inside]
            measured = measure(part, its_weights)
            yield from _rows(part, f"{column}={value}", groups, measured)
            if len(set(part.labels.tolist())) > 1:
                several.append((inside, measured))
        if with_mean and several:
            inside = np.concatenate([places for places, _ in several])
            average = mean([measured for _, measured in several])
            yield from _rows(each.only(inside), f"mean over {column}", groups, average)


def _per_unit(
    each: PredictionOutput, units: Mapping[str, Names], groups: Names, weights: Weights
) -> Iterator[Score]:
    for unit, names in units.items():
        known = names[each.rows]
        if not (known != "").any():
            continue
        whole, first, left_out = subsets.whole(each, known)
        if len(first) < left_out:
            continue  # Most units are left out, so the others do not represent all units.
        where = each.split, each.model, f"{UNIT}{unit}"
        yield *where, "images", int(np.isin(known, known[first]).sum()), None, None
        yield *where, "units_left_out", left_out, None, None
        yield from _rows(whole, where[-1], groups, measure(whole, weights[:, first]))


def _compare(
    each: PredictionOutput, baselines: Sequence[str], measured: Mapping[str, Measured]
) -> tuple[list[BaselineComparison], list[Score]]:
    """Compare with the best baseline of the same split; this choice is a disadvantage for the system."""
    metric = HEADLINE[0]
    judged = [name for name in baselines if metric in measured[name].values]
    if not judged:
        return [], []
    best = max(judged, key=lambda name: measured[name].values[metric])
    own, other = measured[each.model], measured[best]
    over = own.minus(other).intervals(least=-1.0)
    found = BaselineComparison(
        each.split, each.model, best, own.values[metric], other.values[metric], over[metric]
    )
    where = each.split, each.model, "all"
    rows: list[Score] = [
        (*where, f"{name}_over_{best}", over[name].value, over[name].low, over[name].high)
        for name in HEADLINE
        if name in over
    ]
    return [found], [*rows, (*where, "beats_baseline", int(found.beats), None, None)]
