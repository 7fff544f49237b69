import csv
import io
import json
import shutil
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pytest
from checkout import Checkout
from scipy import stats

from oncovec.core.errors import OncovecError
from oncovec.evaluation import compare, repeats
from oncovec.evaluation.repeats import Run
from oncovec.metrics import intervals
from oncovec.serving import cli


@pytest.fixture
def project(history, monkeypatch):
    """The project's folder, made the working directory."""
    monkeypatch.chdir(history.folder)
    return history.folder


@pytest.fixture
def copy(history, tmp_path, monkeypatch):
    """A copy of the project that may be changed, made the working directory."""
    shutil.copytree(history.folder, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    return Checkout(tmp_path / "copy")


def run(rev, seed, accuracy, **params):
    return Run(rev, {"split.seed": seed, "train.seed": 0} | params, {"accuracy": accuracy})


def test_mean_and_spread_are_those_of_the_runs():
    values = [0.6, 0.75, 0.7, 0.9]
    (found,) = repeats.spread([run(f"r{seed}", seed, value) for seed, value in enumerate(values)], None)
    assert found.summary == pytest.approx(
        {"runs": 4, "mean": mean(values), "sd": stdev(values), "min": 0.6, "max": 0.9}
    )


def test_metrics_come_from_metrics_and_params_of_each_revision(project, history):
    found = {each.metric: each for each in repeats.repeats("toy", ["main", "split-1"], "knn", None)}
    main = json.loads(history.run("git show main:metrics/systems/toy.json"))["test"]["knn"]
    assert {metric: each.values[0] for metric, each in found.items()} == main
    assert found["accuracy"].values[1] != main["accuracy"]


def test_without_revisions_the_experiments_of_this_commit_are_taken(project):
    expected = repeats.repeats("toy", ["split-1", "train-1"], "knn", None)
    assert repeats.repeats("toy", [], "knn", None) == expected


def test_a_commit_without_experiments_says_how_to_make_some(copy):
    copy.run("git checkout -q wide")
    with pytest.raises(OncovecError, match=r"no experiments; run some, such as `dvc exp run --queue"):
        repeats.repeats("toy", [], "knn", None)


@pytest.mark.parametrize(
    ("revs", "by", "line"),
    [
        (["main", "wide"], None, r"main and wide differ in model.margin \(0.2 and 0.5\)"),
        (["main", "leaky-0"], None, r"differ in split.strategy \(grouped and random\).*--by split.strategy"),
        (["main", "train-1", "main"], None, "main and main have the same seeds"),
        (["main"], None, "main: one run has no spread; two seeds are the least"),
        (["main", "split-1", "leaky-0"], "split.strategy", "leaky-0: one run with random has no spread"),
        (["main", "wide"], "split.strategie", "--by split.strategie: params.yaml of main has no such param"),
        (["main", "wide"], "split.strategy", "differ in model.margin"),
        (["main", "nowhere"], None, "nowhere: no one revision or experiment has this name"),
    ],
)
def test_what_is_no_set_of_repeats_is_refused_in_a_line(project, revs, by, line):
    with pytest.raises(OncovecError, match=line) as caught:
        repeats.repeats("toy", revs, "knn", by)
    assert "\n" not in str(caught.value)


def test_a_system_or_a_model_that_is_not_there_is_named(project):
    with pytest.raises(OncovecError, match=r"main: has no metrics/systems/other\.json"):
        repeats.load("other", "main", "knn")
    with pytest.raises(OncovecError, match="main: toy has no head, only knn"):
        repeats.load("toy", "main", "head")


def test_a_run_without_test_metrics_is_refused(copy):
    (copy.folder / "metrics/systems/toy.json").write_text('{"val": {"knn": {"accuracy": 1.0}}}')
    copy.run("git checkout -qb val-only && git commit -qam val-only")
    with pytest.raises(OncovecError, match="val-only: toy was not judged on test"):
        repeats.load("toy", "val-only", "knn")


def test_results_of_an_earlier_commit_are_no_run_of_their_own(project):
    line = r"stale: metrics/systems/toy.json is out of date: evaluate did not run when split changed"
    with pytest.raises(OncovecError, match=line):
        repeats.repeats("toy", ["leaky-0", "leaky-1", "stale"], "knn", None)


def test_a_dependency_that_was_made_anew_alone_is_noticed(copy):
    lock = copy.read("dvc.lock")
    copy.edit(
        "dvc.lock",
        "stages:\n",
        "stages:\n  draw:\n    cmd: none\n    outs:\n    - {path: toy.py, md5: other}\n",
    )
    assert copy.read("dvc.lock") != lock
    copy.run("git checkout -qb anew && git commit -qam anew")
    with pytest.raises(
        OncovecError, match=r"anew: .* is out of date: evaluate did not run when toy\.py changed"
    ):
        repeats.load("toy", "anew", "knn")


def test_two_settings_are_told_apart_and_their_difference_bounded(project):
    revs = ["main", "split-1", "train-1", "leaky-0", "leaky-1"]
    found = repeats.repeats("toy", revs, "knn", "split.strategy")
    of = {each.setting: each.values for each in found if each.metric == "accuracy"}
    assert (len(of["grouped"]), len(of["random"])) == (3, 2)
    gain = repeats.differences(found)["accuracy"]
    assert gain.value == pytest.approx(mean(of["random"]) - mean(of["grouped"]))
    assert (gain.low, gain.high) == pytest.approx(welch(of["grouped"], of["random"]))


def welch(first, second):
    """The interval by its formula (Welch-Satterthwaite degrees of freedom)."""
    parts = [stdev(values) ** 2 / len(values) for values in (first, second)]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True)
    )
    half = stats.t.ppf(0.975, freedom) * sum(parts) ** 0.5
    return mean(second) - mean(first) - half, mean(second) - mean(first) + half


@pytest.mark.parametrize("turned", [1, -1])
def test_a_run_from_before_a_param_was_there_is_named_with_the_param_and_its_value(turned):
    runs = [run("old", 0, 0.5), run("new", 1, 0.6, **{"train.ema": None})]
    with pytest.raises(OncovecError) as caught:
        repeats.spread(runs[::turned], None)
    assert str(caught.value) == (
        "old has no param train.ema, which is None in new: its code is another, and whether that made a "
        "difference cannot be told; repeat it at this commit"
    )


def test_every_run_needs_the_param_by_which_they_are_told_apart():
    runs = [run("new", 0, 0.5, by="a"), run("old", 1, 0.6)]
    with pytest.raises(OncovecError, match=r"--by by: params\.yaml of old has no such param"):
        repeats.spread(runs, "by")


def test_settings_without_any_spread_have_a_difference_all_the_same():
    runs = [
        run(f"{kind}{seed}", seed, value, by=kind)
        for kind, value in (("a", 0.5), ("b", 1.0))
        for seed in (0, 1)
    ]
    gain = repeats.differences(repeats.spread(runs, "by"))["accuracy"]
    assert (gain.value, gain.low, gain.high) == (0.5, 0.5, 0.5)


def test_a_figure_that_some_run_lacks_is_left_out():
    runs = [run("a", 0, 0.5), Run("b", {"split.seed": 1, "train.seed": 0}, {"accuracy": 0.6, "auroc": 0.7})]
    assert [each.metric for each in repeats.spread(runs[::-1], None)] == ["accuracy"]


def test_the_command_prints_the_same_metrics_in_every_format(project, capsys):
    said = {}
    for form in ("table", "csv", "json"):
        with pytest.raises(SystemExit) as stop:
            cli.main(["repeats", "toy", "main", "train-1", "--format", form])
        assert stop.value.code == 0
        said[form] = capsys.readouterr().out
    content = json.loads(said["json"])
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(said["csv"]))}
    for metric, values in content.items():
        assert float(rows[metric]["mean"]) == values["mean"]
        assert f"{values['mean']:.4f}  {values['sd']:.4f}" in said["table"]


def test_the_command_shows_what_leakage_was_worth(project, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["repeats", "toy", "main", "split-1", "leaky-0", "leaky-1", "--by", "split.strategy"])
    assert stop.value.code == 0
    assert "random - grouped" in capsys.readouterr().out


def trainings(count, spread, seed=0, images=200):
    """Predictions of several trainings for the same images, two of a group; accuracies differ by `spread`."""
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % 2
    found = []
    for accuracy in 0.7 + spread * np.linspace(-1, 1, count):
        right = generator.random(images) < accuracy
        predicted = np.where(right, labels, 1 - labels)
        names = tuple(f"{number:03}.png" for number in range(images))
        groups = tuple(f"g{number // 2}" for number in range(images))
        probabilities = np.eye(2)[predicted]
        found.append(
            compare.Predictions("toy", ("a", "b"), None, names, groups, labels, probabilities, predicted)
        )
    return found


def test_the_mean_over_trainings_is_bounded_by_images_and_by_trainings():
    alike, unlike = (
        repeats.interval_of_mean(trainings(5, spread), 2000, 0)["accuracy"] for spread in (0.0, 0.25)
    )
    each = [float(np.mean(one.predicted == one.labels)) for one in trainings(5, 0.25)]
    assert unlike.value == pytest.approx(mean(each))
    assert unlike.low < unlike.value < unlike.high
    # The variance of the mean of five trainings that are drawn anew, and that of the draw of images.
    of_trainings = 1.96 * np.std(each) / 5**0.5
    assert unlike.high - unlike.low > 2 * of_trainings > 1.5 * (alike.high - alike.low)


def test_equal_trainings_have_the_interval_of_one():
    one = trainings(1, 0.0)[0]
    weights = intervals.resample(one.groups, 500, 3)
    expected = intervals.with_intervals(one.labels, one.probabilities, one.predicted, None, weights)
    assert repeats.interval_of_mean([one, one, one], 500, 3) == pytest.approx(expected)


def test_trainings_of_other_images_have_no_common_interval():
    one, other = trainings(2, 0.0)
    with pytest.raises(OncovecError, match="have different test images"):
        repeats.interval_of_mean([one, replace(other, images=("x", *other.images[1:]))], 100, 0)


def test_runs_of_one_split_have_an_interval_and_runs_of_several_have_none(project):
    same = {each.metric: each for each in repeats.repeats("toy", ["main", "train-1"], "knn", None)}
    assert all(each.interval.value == pytest.approx(mean(each.values)) for each in same.values())
    assert same["accuracy"].interval.low < same["accuracy"].interval.high
    several = repeats.repeats("toy", ["main", "split-1"], "knn", None)
    assert [each.interval for each in several] == [None] * len(several)
