import json
import socket
import sys

import pytest
import tiny
from mlflow_server import Server

from oncovec.core import params, paths, tables
from oncovec.core.errors import OncovecError
from oncovec.learning import tracking, training
from oncovec.learning.vocabulary import check_mlflow
from oncovec.serving.doctor import check, project
from stages import train

NAME = "head"
LOST = f"{NAME}: nothing more is sent to mlflow = "


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return tiny.prepared(tmp_path_factory.mktemp("tracked"))


@pytest.fixture
def trained(prepared, tmp_path, monkeypatch):
    """Train on a copy of a checkout, with a server or without; return what the model is."""
    monkeypatch.chdir(tiny.copied(prepared, tmp_path))
    for name in tracking.PATIENT:
        monkeypatch.delenv(name, raising=False)

    def run(server=None):
        train.main(NAME, params.load().model_copy(update={"mlflow": server}))
        return [file.read_bytes() for file in sorted(paths.model(NAME).iterdir())]

    return run


@pytest.fixture
def mlflow():
    return pytest.importorskip("mlflow", reason="the package mlflow-skinny is not installed")


def history():
    """Rows of history.csv, as it is written."""
    rows = tables.read(paths.history(NAME)).to_dict("records")
    return [{key: float(value) for key, value in row.items() if value} for row in rows]


def close(row):
    """What history.csv keeps of a row."""
    return pytest.approx({key: value for key, value in row.items() if key != "system"}, abs=1e-6)


def live(name):
    return json.loads((paths.live(NAME) / name).read_text())


def test_dvclive_has_every_epoch_of_the_history_and_the_last_as_metrics(trained):
    trained()
    rows = live("plots/custom/history.json")
    assert {row["system"] for row in rows} == {NAME}
    assert [close(row) for row in rows] == history()
    last = {"step": 3} | {name: rows[-1][name] for name in ("train_loss", "val_loss", "val_auroc")}
    assert live("metrics.json") == last


def test_the_column_of_more_than_two_classes_is_their_balanced_accuracy(trained):
    logger = tracking.DvcLive("three")
    logger.start()
    logger.log({"train_loss": 2.0, "val_loss": 1.0, "val_accuracy": 0.5, "val_balanced_accuracy": 0.25}, 1)
    logger.finish()
    written = json.loads((paths.live("three") / "metrics.json").read_text())
    assert written == {"step": 1, "train_loss": 2.0, "val_loss": 1.0, "val_balanced_accuracy": 0.25}


def test_dvclive_writes_what_dvc_yaml_declares_and_nothing_else(trained):
    trained()
    files = [path.relative_to(paths.live(NAME)) for path in paths.live(NAME).rglob("*") if path.is_file()]
    assert sorted(map(str, files)) == ["metrics.json", "plots/custom/history.json"]


def test_a_training_that_is_repeated_starts_with_an_empty_folder(trained):
    trained()
    before = live("plots/custom/history.json")
    trained()
    assert live("plots/custom/history.json") == before


def test_without_a_server_mlflow_is_not_imported(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # an import would fail
    trained()


def test_a_server_gets_the_recipe_and_every_epoch_and_the_model_is_the_same(trained, mlflow, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "wide-lime")
    alone = trained()
    with Server() as server:
        assert trained(server.address) == alone
    assert server.all("experiments/create") == [{"name": "oncovec/head"}]
    assert server.all("runs/create")[0]["run_name"] == "wide-lime"
    recipe, *epochs = server.all("runs/log-batch")
    recipe = {each["key"]: each["value"] for each in recipe["params"]}
    assert recipe["lr"] == "0.003" and recipe["classes"] == "('green', 'red')"
    assert recipe["augment.rotation"] == "0.0" and "margin" not in recipe
    sent = [
        {"epoch": epoch["metrics"][0]["step"]} | {each["key"]: each["value"] for each in epoch["metrics"]}
        for epoch in epochs
    ]
    assert [close(row) for row in sent] == history()
    assert server.all("runs/update")[-1]["status"] == "FINISHED"


def test_another_training_of_a_system_is_another_run_of_its_experiment(trained, mlflow):
    with Server() as server:
        trained(server.address)
        trained(server.address)
    assert len(server.all("experiments/create")) == 1
    assert len(server.all("runs/create")) == 2


def test_the_run_of_a_training_that_failed_has_failed(trained, mlflow):
    with Server() as server:
        accelerator = training.accelerator_for("fp32", tracking.trackers(NAME, server.address))
        with pytest.raises(OncovecError), tracking.tracked(accelerator, tiny.config(system=NAME)):
            raise OncovecError("training diverged")
    assert server.all("runs/update")[-1]["status"] == "FAILED"


@pytest.mark.parametrize("most", [0, 3, 5])
def test_a_server_that_fails_is_asked_nothing_more_and_costs_one_line(trained, mlflow, capsys, most):
    alone = trained()
    capsys.readouterr()
    with Server(most=most) as server:
        assert trained(server.address) == alone
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if LOST in line]
    assert len(lines) == 1 and "the disk is full" in lines[0]
    assert len(server.sent) == most + 1
    assert len(live("plots/custom/history.json")) == 3


def test_another_web_server_costs_one_line(trained, mlflow, capsys):
    with Server(page=True) as server:
        trained(server.address)
    assert capsys.readouterr().out.count(LOST) == 1


def test_an_address_where_nothing_listens_costs_one_line(trained, mlflow, capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    trained(address)
    assert capsys.readouterr().out.count(LOST) == 1


@pytest.mark.slow
def test_a_server_that_never_answers_costs_one_line(trained, mlflow, capsys):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        trained(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert capsys.readouterr().out.count(LOST) == 1


def test_without_the_package_check_says_what_to_install_and_training_goes_on(trained, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(OncovecError, match=r"mlflow = 'http://h': needs .* pip install 'oncovec\[mlflow\]'"):
        check_mlflow(params.load().model_copy(update={"mlflow": "http://h"}))
    trained("http://h")
    lines = [line for line in capsys.readouterr().out.splitlines() if LOST in line]
    assert len(lines) == 1 and "pip install 'oncovec[mlflow]'" in lines[0]


def test_the_doctor_says_whether_a_server_answers():
    content = params.load(tiny.ROOT / "params.yaml")
    assert project.mlflow(content) == (check.OK, "no server is named")
    with Server() as server:
        named = content.model_copy(update={"mlflow": server.address})
        assert project.mlflow(named) == (check.OK, f"{server.address} answers")
        assert [path for path, _ in server.sent] == ["/health"]
    assert project.mlflow(named)[0] == check.NOTE
