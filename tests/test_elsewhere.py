"""The measurement on images of other hospitals: its commands, and the table of its rows."""

from itertools import pairwise

import elsewhere
import pytest
from dvc.utils.hydra import apply_overrides

from oncovec.core import params


def overrides(command):
    return [after for before, after in pairwise(command) if before == "-S"]


def test_a_run_is_of_one_system_and_of_the_three_sets_alone(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    shared = elsewhere.settings_of("/d", "/e")
    command = elsewhere.command_of(shared, ["epochs=2", ".knn.k=[5]"], 3)
    assert command[-3:] == [f"external@{name}" for name in elsewhere.SETS]
    path = tmp_path / "params.yaml"
    path.write_bytes((repository / "params.yaml").read_bytes())
    apply_overrides(path, overrides(command))
    found = params.load(path)
    assert list(found.systems) == [elsewhere.SYSTEM] and found.systems[elsewhere.SYSTEM].epochs == 2
    assert (found.train.seed, found.evaluate.test, found.knn.k) == (3, False, (5,))
    assert {name: row.root for name, row in found.external.items()} == {
        name: f"/e/{name}" for name in elsewhere.SETS
    }
    assert found.external["brain_yesno"].labels["tumour"][0] == "brain_glioma"


def row(seed, name, auroc, change="", error=""):
    told = dict.fromkeys(elsewhere.SHOWN, "0.5") | {"auroc": auroc, "auroc_se": error, "commit": "c0ffee"}
    return told | {"change": change, "seed": seed, "set": name, "val_knn_f1_macro": "0.8"}


def test_the_table_has_means_over_trainings_and_three_lines_per_change():
    rows = [row(seed, name, auroc) for seed, auroc in (("0", "0.6"), ("1", "0.8")) for name in elsewhere.SETS]
    lines = elsewhere.table([*rows, row("0", "chest_ct", "0.9", "epochs=2")])
    assert len(lines) == 2 + 2 * len(elsewhere.SETS)
    assert lines[2].startswith("| none | c0ffee | 2 | 0.800 ± 0.000, - | brain_yesno |")
    # The standard deviation of 0.6 and 0.8 is 0.1414, that of their mean 0.1.
    assert [line.count("0.700 (0.504 to 0.896)") for line in lines[2:5]] == [1, 1, 1]
    assert lines[5].startswith("| `epochs=2` | c0ffee | 1 | 0.800 ± 0.000, - | brain_yesno | - | - |")
    assert "| chest_ct |" in lines[7] and "0.900 (0.900 to 0.900)" in lines[7]


def test_a_run_that_is_repeated_takes_the_place_of_its_rows(tmp_path):
    path = tmp_path / "knobs.csv"
    elsewhere.append(path, [row(seed, name, "0.6") for seed in "01" for name in elsewhere.SETS])
    elsewhere.append(path, [row("0", name, "0.8") for name in elsewhere.SETS])
    found = elsewhere.read(path)
    assert len(found) == 2 * len(elsewhere.SETS)
    assert sorted((each["seed"], each["auroc"]) for each in found) == [("0", "0.8")] * 3 + [("1", "0.6")] * 3


def test_the_interval_of_a_mean_knows_images_and_trainings():
    rows = [row(seed, "chest_ct", auroc, error="0.1") for seed, auroc in (("0", "0.5"), ("1", "0.7"))]
    half = 1.96 * (0.1**2 + 0.1**2) ** 0.5
    assert f"0.600 ({0.6 - half:.3f} to {0.6 + half:.3f})" in elsewhere.table(rows)[4]


def test_a_metric_that_is_not_defined_is_left_out_of_the_mean():
    rows = [row("0", "chest_ct", "0.6"), row("1", "chest_ct", "")]
    assert "0.600 (0.600 to 0.600)" in elsewhere.table(rows)[4]


def test_errors_are_those_of_a_bootstrap_over_the_images_of_a_set():
    lines = [
        "system,image,group,label,predicted,answered,ood_score,prediction_set,p_brain_glioma,p_brain_notumor"
    ]
    for number in range(200):
        label, share = ("tumour", 0.75) if number % 2 else ("brain_notumor", 0.25)
        answered = "true" if number % 4 < 2 else "false"
        lines.append(f"x,{number}.png,,{label},brain_glioma,{answered},1,,{share},{1 - share}")
    found = elsewhere.errors_of("brain_yesno", "\n".join(lines))
    assert found["coverage_se"] == pytest.approx((0.5 * 0.5 / 200) ** 0.5, rel=0.1)
    assert found["wrong_and_answered_se"] == pytest.approx((0.25 * 0.75 / 200) ** 0.5, rel=0.1)
    assert found["auroc_se"] < 0.02


def test_the_table_of_the_docs_is_that_of_the_csv(repository):
    rows = elsewhere.read(repository / "benchmarks/knobs.csv")
    docs = (repository / "docs/elsewhere.md").read_text(encoding="utf-8")
    for line in elsewhere.table(rows)[2:]:
        assert line in docs
