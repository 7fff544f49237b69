import os
import shutil
import signal
import subprocess
import sys

import processes
import pytest
import tiny

from oncovec.core import params, paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import read_json
from oncovec.learning.launch import relaunch
from oncovec.serving import predict
from stages import embed, evaluate

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals that the launcher handles from then on."""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # The launcher sets it otherwise, for every later test.
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def launching(tmp_path):
    """Start a process that launches two that hang; yield it when they are there, and them."""
    (tmp_path / "hanging.py").write_text("import stages, time\ntime.sleep(60)")
    code = "from oncovec.learning.launch import relaunch; relaunch('hanging', 'name', 2)"
    path = os.pathsep.join(map(str, (tiny.ROOT, tiny.ROOT / "src", tmp_path)))
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}) as stage:
        yield stage, processes.descendants(stage.pid, 2)
        stage.kill()


def test_one_process_is_this_one():
    assert relaunch("no_such_module", "name", 1) is False


def test_a_process_that_was_launched_launches_no_others(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert relaunch("no_such_module", "name", 2) is False


@pytest.mark.slow
def test_every_process_runs_the_module_with_its_name(tmp_path):
    script = "import os, pathlib, sys\npathlib.Path(sys.argv[1] + os.environ['LOCAL_RANK']).touch()"
    (tmp_path / "touching.py").write_text(script)
    assert relaunch("touching", "ran", 2) is True
    assert sorted(path.name for path in tmp_path.glob("ran*")) == ["ran0", "ran1"]


@pytest.mark.slow
def test_a_process_that_fails_gets_one_line(tmp_path):
    (tmp_path / "failing.py").write_text("import os\nraise SystemExit(int(os.environ['LOCAL_RANK']))")
    with pytest.raises(OncovecError) as error:
        relaunch("failing", "name", 2)
    assert tiny.one_line(error) == "one of 2 training processes failed; its own words stand above"


@pytest.mark.slow
def test_training_processes_end_when_the_stage_is_killed(launching):
    stage, started = launching
    stage.kill()
    assert not processes.left(started)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_training_processes_end_when_the_stage_is_interrupted(launching, number):
    stage, started = launching
    stage.send_signal(number)
    assert stage.wait(timeout=60) != 0 and not processes.left(started)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nearest", "head"])
def test_two_processes_train_a_model_that_answers(name, tmp_path, monkeypatch):
    folder = tiny.prepared(tmp_path / "copy", processes=2)
    settings = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(settings.replace("objective: cross_entropy", "objective: arcface"))
    for code in ("src", "stages"):
        shutil.copytree(tiny.ROOT / code, folder / code, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "stages.train", name], env=environment, check=True)
    assert len(paths.history(name).read_text().splitlines()) == 4
    assert len(read_json(paths.live(name) / "plots/custom/history.json")) == 3  # of the first process alone
    for stage in (embed, evaluate):
        stage.main(name, params.load())
    pixels, labels = tiny.squares(10, seed=7)
    found = predict.load(name).predict(list(pixels))
    voted = [max(answer.probabilities, key=answer.probabilities.__getitem__) for answer in found]
    assert voted == [tiny.CLASSES[label] for label in labels]
