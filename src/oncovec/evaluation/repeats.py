"""Runs of one system with several random seeds: mean and spread of each test metric, and its interval."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean, stdev
from typing import Any

import numpy as np
import yaml

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.files import rounded
from oncovec.evaluation import compare, revisions
from oncovec.metrics import intervals
from oncovec.metrics.intervals import Interval

SEEDS = ("split.seed", "train.seed")


@dataclass(frozen=True)
class Run:
    """Test metrics of a system at one revision; `params` have dotted keys, `metrics` have names as keys."""

    rev: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]

    @property
    def seeds(self) -> str:
        """The random seeds as text, such as `split.seed=1, train.seed=0`."""
        return ", ".join(f"{key}={self.params.get(key)}" for key in SEEDS)


@dataclass(frozen=True)
class Spread:
    """Values of one metric in the runs of one setting; `setting` is empty if there is only one setting.

    `interval` is that of the mean, see `interval_of_mean`; None if the runs have different test images.
    """

    setting: str
    metric: str
    values: tuple[float, ...]
    interval: Interval | None = None

    @property
    def summary(self) -> dict[str, float]:
        """Number of runs, mean, standard deviation (of a sample), minimum and maximum."""
        values = self.values
        return {
            "runs": len(values),
            "mean": mean(values),
            "sd": stdev(values),
            "min": min(values),
            "max": max(values),
        }


def load(system: str, rev: str, model: str) -> Run:
    """Read a system's test metrics and all params of a revision or an experiment.

    Raises:
        OncovecError: if there are no metrics, none on test, none of the model, or if they are stale.
    """
    metrics, params = revisions.read(rev, [paths.system_metrics(system), paths.PARAMS])
    try:
        content, flat = json.loads(metrics), dict(_flattened(yaml.safe_load(params)))
    except (ValueError, yaml.YAMLError) as error:
        raise OncovecError(
            f"{rev}: its metrics or params cannot be read: {' '.join(str(error).split())}"
        ) from None
    if "test" not in content:
        raise OncovecError(f"{rev}: {system} was not judged on test (`evaluate.test: false`)")
    if model not in content["test"]:
        raise OncovecError(f"{rev}: {system} has no {model}, only {', '.join(content['test'])}")
    revisions.refuse_stale(rev, paths.system_metrics(system))
    return Run(rev, flat, content["test"][model])


def _flattened(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(content, dict) or not content:
        yield prefix, content
        return
    for key, value in content.items():
        yield from _flattened(value, f"{prefix}.{key}" if prefix else str(key))


def spread(runs: Sequence[Run], by: str | None) -> list[Spread]:
    """Collect each metric over the runs of each setting.

    A metric is left out if a run of the setting lacks it.

    Args:
        runs: at least two runs of each setting, with different random seeds.
        by: a param whose values define the settings, such as split.strategy. None means that there must be
            only one setting.

    Raises:
        OncovecError: if runs differ in another param than a seed (or `by`), or repeat a seed.
    """
    for run in runs:
        if by and by not in run.params:
            raise OncovecError(f"--by {by}: params.yaml of {run.rev} has no such param")
    _refuse_other_params(runs, by)
    settings: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        settings[str(run.params.get(by)) if by else ""].append(run)
    found = []
    for setting, alike in settings.items():
        _refuse_repeated(alike, setting)
        for metric in alike[0].metrics:
            if all(metric in run.metrics for run in alike):
                found.append(Spread(setting, metric, tuple(run.metrics[metric] for run in alike)))
    return found


def _refuse_other_params(runs: Sequence[Run], by: str | None) -> None:
    allowed = {*SEEDS, by}
    for run in runs[1:]:
        first = runs[0]
        for key in sorted(first.params.keys() | run.params.keys()):
            for old, new in ((first, run), (run, first)):
                if key not in old.params:
                    raise OncovecError(
                        f"{old.rev} has no param {key}, which is {new.params[key]} in {new.rev}: its code is "
                        "another, and whether that made a difference cannot be told; repeat it at this commit"
                    )
            one, other = (each.params[key] for each in (first, run))
            if one != other and key not in allowed:
                hint = "; --by split.strategy sets them apart" if key == "split.strategy" else ""
                raise OncovecError(
                    f"{first.rev} and {run.rev} differ in {key} ({one} and {other}): only "
                    f"{' and '.join(SEEDS)} may differ among repeats{hint}"
                )


def _refuse_repeated(runs: Sequence[Run], setting: str) -> None:
    where = f" with {setting}" if setting else ""
    seen: dict[str, str] = {}
    for run in runs:
        if run.seeds in seen:
            raise OncovecError(f"{seen[run.seeds]} and {run.rev}{where} have the same seeds ({run.seeds})")
        seen[run.seeds] = run.rev
    if len(runs) < 2:
        raise OncovecError(f"{runs[0].rev}: one run{where} has no spread; two seeds are the least")


def repeats(
    system: str, revs: Sequence[str], model: str, by: str | None, replicates: int = 1000, seed: int = 0
) -> list[Spread]:
    """Read and summarise the runs at `revs`; if `revs` is empty, use all experiments of this commit.

    `replicates` and `seed` are of the bootstrap, see `interval_of_mean`.

    Raises:
        OncovecError: see `load` and `spread`.
    """
    names = revs or revisions.experiments()
    if not names:
        raise OncovecError(
            "this commit has no experiments; run some, such as `dvc exp run --queue -n seed "
            "-S 'split.seed=range(0,5)'`, then `dvc exp run --run-all`"
        )
    runs = [load(system, name, model) for name in names]
    found = spread(runs, by)
    bounded = {
        setting: interval_of_mean(
            [compare.load(f"{system}@{rev}", "test", model) for rev in alike], replicates, seed
        )
        for setting, alike in _of_one_split(runs, by).items()
    }
    return [replace(each, interval=bounded.get(each.setting, {}).get(each.metric)) for each in found]


def _of_one_split(runs: Sequence[Run], by: str | None) -> dict[str, list[str]]:
    """Return the revisions of each setting whose runs have the same split."""
    settings: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        settings[str(run.params.get(by)) if by else ""].append(run)
    return {
        setting: [run.rev for run in alike]
        for setting, alike in settings.items()
        if len({run.params.get("split.seed") for run in alike}) == 1
    }


def interval_of_mean(
    trainings: Sequence[compare.Predictions], replicates: int, seed: int
) -> dict[str, Interval]:
    """Return the mean of each metric over trainings of one split, with its 95 % interval.

    The interval knows two sources of chance: which groups of images are in the test split, and how a training
    went. Each replicate draws groups and, independently of them, trainings, both with replacement (Owen, "The
    pigeonhole bootstrap", Annals of Applied Statistics 1, 2007). Few trainings show less spread than many
    would.

    Args:
        trainings: predictions for the same images, sorted by image.
        replicates: number of bootstrap replicates.
        seed: random seed of the bootstrap.

    Raises:
        OncovecError: if images, labels or groups differ.
    """
    first, positive = trainings[0], trainings[0].positive_index
    for other in trainings[1:]:
        compare.refuse_unequal(first, other, "test")
    weights = intervals.resample(first.groups, replicates, seed)
    each = [(training.probabilities, training.predicted) for training in trainings]
    values = [intervals.values_of(first.labels, of_one, positive) for of_one in each]
    drawn = [intervals.replicated(first.labels, of_one, positive, weights) for of_one in each]
    chosen = np.random.default_rng(seed).integers(len(each), size=(len(each), replicates))
    means = {name: mean(of_one[name] for of_one in values) for name in values[0]}
    replicated = {
        name: np.take_along_axis(np.stack([of_one[name] for of_one in drawn]), chosen, axis=0).mean(axis=0)
        for name in means
    }
    return intervals.bounded(means, replicated, intervals.bases(first.labels, positive, weights), 0.0)


def differences(found: Sequence[Spread]) -> dict[str, Interval]:
    """Return the mean of each metric in the second setting minus that in the first, with its interval.

    The result is empty unless there are two settings. The 95 % interval is that of Welch's t (Biometrika 34,
    1947) over the runs. Splits of different random seeds share images, so the interval is somewhat too narrow
    (Nadeau & Bengio, Machine Learning 52, 2003).
    """
    from scipy.stats import ttest_ind

    settings = list(dict.fromkeys(each.setting for each in found))
    if len(settings) != 2:
        return {}
    first, second = ({x.metric: x.values for x in found if x.setting == setting} for setting in settings)
    gains = {}
    for metric in first:
        if metric in second:
            one, other = first[metric], second[metric]
            low = high = value = mean(other) - mean(one)
            if stdev(one) or stdev(other):
                low, high = ttest_ind(other, one, equal_var=False).confidence_interval()
            gains[metric] = Interval(value, float(low), float(high))
    return gains


def as_table(found: Sequence[Spread], by: str | None) -> str:
    """Return one line per metric and setting, then the differences of the means of two settings."""
    lines = [[by or "", "metric", "runs", "mean", "sd", "min", "max", "95 % interval of the mean"]]
    for each in found:
        runs, *values = each.summary.values()
        bounds = "-" if each.interval is None else f"{each.interval.low:.4f} to {each.interval.high:.4f}"
        lines.append([each.setting, each.metric, str(runs), *(f"{value:.4f}" for value in values), bounds])
    text = tables.aligned([line if by else line[1:] for line in lines])
    if gains := differences(found):
        first, second = dict.fromkeys(each.setting for each in found)
        told = [[metric, *gain.signed()] for metric, gain in gains.items()]
        text += ["", *tables.aligned([["", f"{second} - {first}", "95 % interval"], *told])]
    return "\n".join(text)


def as_csv(found: Sequence[Spread], by: str | None) -> str:
    """Return a CSV with columns `setting,metric,runs,mean,sd,min,max,low,high`."""
    rows = ([each.setting, each.metric, *each.summary.values(), *_bounds(each).values()] for each in found)
    columns = (by or "setting", "metric", "runs", "mean", "sd", "min", "max", "low", "high")
    return tables.as_csv(tables.of(columns, rows))


def _bounds(each: Spread) -> dict[str, float | None]:
    if each.interval is None:
        return {"low": None, "high": None}
    return {"low": each.interval.low, "high": each.interval.high}


def as_json(found: Sequence[Spread], by: str | None) -> str:
    """Return a JSON object with runs, mean, sd, min and max of each metric, and low and high of the mean.

    With `by`, there is such an object for each setting, and `difference` for two settings.
    """
    content: dict[str, Any] = defaultdict(dict)
    for each in found:
        bounds = {} if each.interval is None else _bounds(each)
        content[each.setting][each.metric] = each.summary | bounds
    if gains := differences(found):
        content["difference"] = {metric: asdict(gain) for metric, gain in gains.items()}
    return json.dumps(rounded(content if by else content[""]), indent=2, ensure_ascii=False)


FORMATS = {"table": as_table, "csv": as_csv, "json": as_json}
