import csv
import io
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import embeddings

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.evaluation import compare, knn, predictions, report, revisions
from oncovec.metrics import classification, intervals
from oncovec.metrics.intervals import Interval
from oncovec.serving import cli


@pytest.fixture
def project(history, monkeypatch):
    """The project's folder, made the working directory."""
    monkeypatch.chdir(history.folder)
    return history.folder


def compared(a, b, split="test", model="knn"):
    return compare.compare((a, b), split, model, 200, 0)


def written(folder, content, name="toy", groups=None):
    """Write a system's predictions and thresholds as the stage evaluate does; return its outputs."""
    outputs = predictions.of_splits(content, knn.fit(content, [5], None, 0.9), ["val", "test"])
    table = report.predictions(content, outputs)
    if groups:
        table["group"] = table["group"].map(groups)
    tables.write(folder / f"data/results/{name}/predictions.csv", table)
    tables.write(folder / f"data/results/{name}/report.csv", report.report(outputs, [], {}))
    return outputs


@pytest.mark.parametrize("model", ["knn", "head"])
@pytest.mark.parametrize(
    ("options", "normal"),
    [({}, ()), ({}, ("ant", "cat")), ({"classes": ("ant", "bee"), "positive": "bee"}, ())],
)
def test_what_a_system_answered_is_read_back(tmp_path, monkeypatch, model, options, normal):
    monkeypatch.chdir(tmp_path)
    content = replace(embeddings(head=True, noise=1.2, **options), normal=normal)
    outputs = written(tmp_path, content)
    truth = next(each for each in outputs if (each.split, each.model) == ("test", model))
    found = compare.load("toy", "test", model)
    assert found.classes == truth.classes
    assert found.positive_index == truth.positive_index
    assert found.labels.tolist() == truth.labels.tolist()
    assert found.predicted.tolist() == truth.predicted.tolist()
    assert np.abs(found.probabilities - truth.probabilities).max() < 1e-6


def test_a_system_without_a_head_has_none_to_compare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, embeddings())
    with pytest.raises(OncovecError, match="toy: has no head; compare with --model knn"):
        compare.load("toy", "test", "head")


def test_the_difference_is_that_of_the_metrics_with_a_paired_interval(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, noise in (("good", 0.3), ("poor", 1.5)):
        written(tmp_path, embeddings(noise=noise), name)
    found = compared("poor", "good")
    poor, good = (compare.load(name, "test", "knn") for name in ("poor", "good"))
    weights = intervals.resample(poor.groups, 200, 0)
    predictions = [(each.probabilities, each.predicted) for each in (poor, good)]
    assert found.gain == intervals.difference(*predictions, poor.labels, None, weights)
    assert found.gain["accuracy"].low > 0
    for name, gain in found.gain.items():
        assert gain.value == pytest.approx(found.second[name] - found.first[name])


@pytest.mark.parametrize("rev", ["main", "HEAD", "train-1", "wide"])
def test_a_revision_gives_what_it_answered_then(history, project, rev):
    found = compare.load(f"toy@{rev}", "test", "knn")
    metrics = classification.metrics(found.labels, found.probabilities, found.predicted, found.positive_index)
    assert found.positive == "malignant"
    then = metrics_at(history, rev)
    assert {name: metrics[name] for name in then} == pytest.approx(then)


def metrics_at(history, rev):
    sha = rev if rev != "train-1" else "$(git for-each-ref --format='%(refname)' 'refs/exps/**/train-1')"
    return json.loads(history.run(f"git show {sha}:metrics/systems/toy.json"))["test"]["knn"]


def test_a_branch_that_answers_better_is_found_to(project):
    found = compared("toy", "toy@wide")
    assert found.gain["balanced_accuracy"].low > 0
    assert "the interval excludes 0; B is better than A" in compare.as_table(found)


def test_the_workspace_is_read_where_no_revision_is_given(project):
    assert compared("toy", "toy@main").gain["accuracy"] == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("pair", "line"),
    [
        (
            ("toy", "toy@split-1"),
            "different test images: 132 and 136, of which 68 in both .*`oncovec repeats`",
        ),
        (
            ("toy", "toy@stale"),
            "stale: data/results/toy/predictions.csv is out of date: evaluate did not run",
        ),
        (("toy", "toy@nowhere"), "nowhere: no one revision or experiment has this name"),
        (("toy", "other@main"), "main: has no data/results/other/predictions.csv"),
        (("toy", "other"), "no row of systems: is called other; there are triplet_multi_organ"),
        (
            ("toy", "cnn_pcam"),
            r"data/results/cnn_pcam/predictions\.csv: not there; fetch it \(`dvc pull`\) or",
        ),
        (("toy", "toy@"), "'toy@' is neither SYSTEM nor SYSTEM@REV"),
        (("@main", "toy"), "'@main' is neither SYSTEM nor SYSTEM@REV"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(project, pair, line):
    with pytest.raises(OncovecError, match=line) as caught:
        compared(*pair)
    assert "\n" not in str(caught.value)


def test_an_output_that_left_the_cache_is_asked_for(history, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(history.folder, copy, symlinks=True)
    shutil.rmtree(copy / ".dvc/cache")
    monkeypatch.chdir(copy)
    with pytest.raises(
        OncovecError, match=r"train-1: data/results/toy/predictions.csv is not in DVC's cache; .*pull"
    ):
        compared("toy", "toy@train-1")


def test_the_workspace_needs_no_cache_for_a_file_inside_an_output(tmp_path, monkeypatch):
    (tmp_path / "first").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    Path("params.yaml").write_text("a: 1\n")
    Path("dvc.yaml").write_text(
        "stages:\n"
        "  make: {cmd: mkdir made && cp params.yaml made/a, outs: [made]}\n"
        "  use: {cmd: cp made/a used, deps: [made/a], outs: [used]}\n"
    )
    for command in ("git init -q", "dvc init -q", "dvc config cache.type copy", "dvc repro -q"):
        subprocess.run(command.split(), check=True)
    revisions.refuse_stale("", Path("used"))
    # DVC remembers folders by the path of the checkout, also when they have left its cache.
    shutil.copytree(".", tmp_path / "second", ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(tmp_path / "second")
    revisions.refuse_stale("", Path("used"))


def test_a_history_that_was_cut_is_said(history, tmp_path, monkeypatch):
    address = f"file://{history.folder}"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", "-b", "main", address, tmp_path / "cut"], check=True
    )
    monkeypatch.chdir(tmp_path / "cut")
    with pytest.raises(
        OncovecError, match=r"HEAD~1: no one revision .*the history of this clone is cut: `git"
    ):
        compared("toy@HEAD~1", "toy@HEAD~1")


def test_a_checkout_without_its_history_is_one_line_with_what_to_do(history, tmp_path, monkeypatch):
    shutil.copytree(history.folder, tmp_path / "zip", symlinks=True, ignore=shutil.ignore_patterns(".git"))
    monkeypatch.chdir(tmp_path / "zip")
    for ask in (lambda: compared("toy", "toy@main"), revisions.experiments):
        with pytest.raises(
            OncovecError, match="is not a git repository; a ZIP has no history: `git clone`"
        ) as caught:
            ask()
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_checkout_of_another_user_is_one_line_with_what_to_do(history, tmp_path, monkeypatch):
    shutil.copytree(history.folder, tmp_path / "theirs", symlinks=True)
    os.chown(tmp_path / "theirs/.git", 65534, 65534)
    os.chown(tmp_path / "theirs", 65534, 65534)
    monkeypatch.chdir(tmp_path / "theirs")
    for ask in (lambda: compared("toy", "toy@main"), revisions.experiments):
        with pytest.raises(
            OncovecError, match=r"not owned .*`git config --global --add safe\.directory"
        ) as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_outside_of_a_checkout_no_revision_can_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OncovecError, match="DVC cannot read it"):
        compare.load("toy@main", "test", "knn")


def test_a_split_that_was_left_out_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, embeddings())
    table = tmp_path / "data/results/toy/predictions.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if ",test," not in line))
    with pytest.raises(OncovecError, match="was judged on val, not on test"):
        compared("toy", "toy")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"classes": ("ant", "bee", "dog")}, "learn other classes: ant, bee, cat against ant, bee, dog"),
        (
            {"splits": {"train": 60, "val": 30, "test": 31}},
            "different test images: 30 and 31, of which 30 in both",
        ),
    ],
)
def test_systems_of_other_tasks_are_refused(tmp_path, monkeypatch, options, line):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, embeddings(), "one")
    written(tmp_path, embeddings(**options), "other")
    with pytest.raises(OncovecError, match=line):
        compared("one", "other")


def test_another_label_of_the_same_image_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = embeddings()
    written(tmp_path, content, "one")
    content.labels[-1] = (content.labels[-1] + 1) % 3
    written(tmp_path, content, "other")
    with pytest.raises(OncovecError, match=r"differ in the label of 1 test images, such as folder/0119\.png"):
        compared("one", "other")


def test_other_groups_of_the_same_images_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, embeddings(), "one")
    written(tmp_path, embeddings(), "other", groups=lambda group: "g")
    with pytest.raises(OncovecError, match="differ in the group of 30 test images"):
        compared("one", "other")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.1, 0.2, "includes 0; these images do not tell A and B apart"),
        (0.0, 0.2, "includes 0"),
        (0.01, 0.2, "excludes 0; B is better than A"),
        (-0.2, -0.01, "excludes 0; A is better than B"),
    ],
)
def test_the_verdict_is_that_of_the_interval(low, high, words):
    assert words in compare.verdict(Interval((low + high) / 2, low, high))


def test_a_system_that_is_compared_with_itself_is_named_as_such(project):
    assert compare.as_table(compared("toy", "toy")).splitlines()[-1] == compare.SAME
    assert compare.SAME not in compare.as_table(compared("toy", "toy@wide"))


def test_other_operating_points_are_another_system(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, embeddings(), "toy")
    found = compared("toy", "toy")
    moved = replace(found.b, predicted=(found.b.predicted + 1) % len(found.b.classes))
    assert found.is_of_the_same and not replace(found, b=moved).is_of_the_same


def test_a_file_that_is_no_text_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, embeddings(), "toy")
    paths.predictions("toy").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(OncovecError, match=r"predictions\.csv: cannot be read \("):
        compared("toy", "toy")


def test_a_lock_with_marks_of_a_conflict_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("a: 1\n")
    Path("dvc.lock").write_text("<<<<<<< HEAD\nstages:\n  a: {}\n=======\n")
    with pytest.raises(OncovecError, match=r"DVC cannot read this checkout: .*dvc\.lock") as error:
        revisions.refuse_stale("", Path("used"))
    assert "\n" not in str(error.value)


def test_few_groups_are_warned_of(project):
    assert "believe them" not in compare.as_table(compared("toy", "toy@wide"))
    assert "A class comes from 17 groups only: the intervals are too narrow" in compare.as_table(
        compared("toy", "toy@wide", "val")
    )


def test_the_command_prints_the_same_metrics_in_every_format(project, capsys):
    said = {}
    for form in ("table", "csv", "json"):
        with pytest.raises(SystemExit) as stop:
            cli.main(["compare", "toy", "toy@wide", "--format", form])
        assert stop.value.code == 0
        said[form] = capsys.readouterr().out
    content = json.loads(said["json"])
    assert (content["images"], content["groups"], content["b"]) == (132, 33, "toy@wide")
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(said["csv"]))}
    assert list(rows) == list(content["metrics"])
    for name, metric in content["metrics"].items():
        assert {key: float(value) for key, value in rows[name].items() if key != "metric"} == metric
        assert f"{metric['low']:+.4f} to {metric['high']:+.4f}" in said["table"]
    assert "132 images in 33 groups" in said["table"]
