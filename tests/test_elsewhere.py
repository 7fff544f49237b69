"""The measurement on images of other hospitals: its commands, and the table of its rows."""

from itertools import pairwise

import elsewhere
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


def row(seed, name, auroc, change=""):
    told = dict.fromkeys(elsewhere.SHOWN, "0.5") | {"auroc": auroc}
    return told | {"change": change, "seed": seed, "set": name, "val_knn_f1_macro": "0.8"}


def test_the_table_has_means_over_seeds_and_a_line_per_change():
    rows = [row(seed, name, auroc) for seed, auroc in (("0", "0.6"), ("1", "0.8")) for name in elsewhere.SETS]
    lines = elsewhere.table([*rows, row("0", "chest_ct", "0.9", "epochs=2")])
    assert len(lines) == 4
    assert lines[2].startswith("| none | 2 | 0.800 ± 0.000 |") and lines[2].count("0.700 ± 0.141") == 3
    assert lines[3].startswith("| `epochs=2` | 1 | 0.800 |") and "0.900" in lines[3]


def test_a_metric_that_is_not_defined_is_left_out_of_the_mean():
    rows = [row("0", "chest_ct", "0.6"), row("1", "chest_ct", "")]
    assert "0.600" in elsewhere.table(rows)[2]
