import os
import shutil
import subprocess
import sys

import pytest
import tiny

from oncovec.core import params, paths
from oncovec.core.errors import OncovecError
from oncovec.learning.launch import relaunch
from oncovec.serving import predict
from stages import embed, knn


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def test_one_process_is_this_one():
    assert relaunch("no_such_module", "name", 1) is False


def test_a_process_that_was_launched_launches_no_others(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert relaunch("no_such_module", "name", 2) is False


def test_every_process_runs_the_module_with_its_name(tmp_path):
    script = "import os, pathlib, sys\npathlib.Path(sys.argv[1] + os.environ['LOCAL_RANK']).touch()"
    (tmp_path / "touching.py").write_text(script)
    assert relaunch("touching", "ran", 2) is True
    assert sorted(path.name for path in tmp_path.glob("ran*")) == ["ran0", "ran1"]


def test_a_process_that_fails_gets_one_line(tmp_path):
    (tmp_path / "failing.py").write_text("import os\nraise SystemExit(int(os.environ['LOCAL_RANK']))")
    with pytest.raises(OncovecError) as error:
        relaunch("failing", "name", 2)
    assert tiny.one_line(error) == "one of 2 training processes failed; its own words stand above"


@pytest.mark.parametrize("name", ["nearest", "head"])
def test_two_processes_train_a_model_that_answers(name, tmp_path, monkeypatch):
    folder = tiny.prepared(tmp_path / "copy", processes=2)
    knobs = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(knobs.replace("objective: cross_entropy", "objective: arcface"))
    for code in ("src", "stages"):
        shutil.copytree(tiny.ROOT / code, folder / code, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "stages.train", name], env=environment, check=True)
    assert len(paths.plot("history", name).read_text().splitlines()) == 4
    for stage in (embed, knn):
        stage.main(name, params.load())
    pixels, labels = tiny.squares(10, seed=7)
    found = predict.load(name).predict(list(pixels))
    voted = [max(answer.probabilities, key=answer.probabilities.__getitem__) for answer in found]
    assert voted == [tiny.CLASSES[label] for label in labels]
