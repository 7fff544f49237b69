import importlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import processes
import pytest
import yaml

from oncovec.core import stage
from oncovec.core.errors import OncovecError

REPOSITORY = Path(__file__).parents[2]
STAGES = list(yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
UNNAMED = ("check", "explain", "report")
RESTORE = "`git restore metrics plots dvc.lock && dvc checkout` brings back the last commit's results"
FAILING = """
from oncovec.core.errors import OncovecError
from oncovec.core.stage import run
def main(name, params):
    raise OncovecError(f"nothing in {name}")
if __name__ == "__main__":
    run(main)
"""
SLEEPING = """
import time
from oncovec.core.parallel import ordered_map
from oncovec.core.stage import run
def main(params):
    list(ordered_map(time.sleep, [2] * 999, 2))
if __name__ == "__main__":
    run(main)
"""


COLLECTING = """
import gc
print("imports:", gc.isenabled())
from oncovec.core.stage import run
def main(params):
    print("main:", gc.isenabled(), gc.get_freeze_count() > 0)
if __name__ == "__main__":
    run(main)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the checkout as `dvc exp run --temp` makes one: what Git tracks, no environment."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("src", "stages"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "params.yaml", root)
    (root / "stages" / "failing.py").write_text(FAILING, encoding="utf-8")
    (root / "stages" / "sleeping.py").write_text(SLEEPING, encoding="utf-8")
    (root / "stages" / "collecting.py").write_text(COLLECTING, encoding="utf-8")
    return root


def python(copy, *arguments, **variables):
    """Run Python there, with the library of this checkout installed beside it."""
    own = {"PYTHONPATH": str(REPOSITORY / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {key: value for key, value in os.environ.items() if key != "DVC_STAGE"} | own | variables
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def test_a_user_s_mistake_is_one_line_on_stderr_and_exit_code_1(copy):
    done = python(copy, "-m", "stages.split", "nosuch")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("split@nosuch: no row 'nosuch' in datasets: of params.yaml; there are ")
    assert done.stderr.count("\n") == 1


def test_under_dvc_the_line_of_a_stage_that_failed_says_how_to_come_back(copy):
    alone = python(copy, "-m", "stages.failing", "a")
    assert alone.stderr == "failing@a: nothing in a\n"
    under_dvc = python(copy, "-m", "stages.failing", "a", DVC_STAGE="failing@a")
    assert (under_dvc.returncode, under_dvc.stderr) == (1, f"failing@a: nothing in a; {RESTORE}\n")


def test_garbage_is_collected_in_a_stage_but_not_while_it_starts(copy):
    assert python(copy, "-m", "stages.collecting").stdout == "imports: False\nmain: True True\n"
    code = "import gc; import stages.collecting; print('by a user:', gc.isenabled())"
    assert python(copy, "-c", code).stdout == "imports: True\nby a user: True\n"


def test_a_row_s_name_with_line_breaks_is_one_line(copy):
    done = python(copy, "-m", "stages.failing", "ü b\nc\udcff")
    assert done.stderr == "failing@ü b\\nc\\udcff: nothing in ü b\\nc\\udcff\n"


def test_an_interruption_is_one_line(copy):
    with subprocess.Popen(
        [sys.executable, "-m", "stages.sleeping"], cwd=copy, stderr=subprocess.PIPE, text=True
    ) as stage_process:
        workers = processes.descendants(stage_process.pid, 2)
        stage_process.send_signal(signal.SIGINT)
        assert stage_process.stderr.read() == "sleeping: interrupted\n"
    assert stage_process.returncode == 1 and not processes.left(workers)


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_stage_and_its_workers_end_with_dvc(copy, tmp_path, shell):
    # A shell may wait for the stage or become it: bash does the latter, and sh does not everywhere.
    if not (executable := shutil.which(shell)):
        pytest.skip(f"no {shell} here")
    shutil.copytree(copy, tmp_path, dirs_exist_ok=True)
    (tmp_path / "dvc.yaml").write_text(
        f"stages: {{sleeping: {{cmd: '{sys.executable} -m stages.sleeping', outs: [out]}}}}"
    )
    dvc, environment = (
        [sys.executable, "-m", "dvc"],
        {**os.environ, "DVC_NO_ANALYTICS": "1", "SHELL": executable},
    )
    subprocess.run([*dvc, "init", "-q", "--no-scm"], cwd=tmp_path, env=environment, check=True)
    with subprocess.Popen([*dvc, "repro", "-q"], cwd=tmp_path, env=environment) as run:
        started = processes.descendants(run.pid, 3)
        run.kill()
    assert not processes.left(started)


def test_bad_params_are_one_line_on_stderr_and_exit_code_1(copy):
    path = copy / "params.yaml"
    sound = path.read_text(encoding="utf-8")
    try:
        path.write_text(sound.replace("margin: 0.2", "margin: -1"), encoding="utf-8")
        before = path.stat().st_mtime
        done = python(copy, "-m", "stages.check", DVC_STAGE="check")
        # Git compares seconds, and so sees what `dvc exp run -S` wrote just after Git's index.
        assert path.stat().st_mtime == pytest.approx(before + 1, abs=0.01)
    finally:
        path.write_text(sound, encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "check: params.yaml: model.margin = -1: input should be greater than 0\n"


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["stages.split"], "usage: python -m stages.split NAME\n"),
        (["stages.check", "extra"], "usage: python -m stages.check\n"),
    ],
)
def test_a_wrong_number_of_arguments_gets_the_usage(copy, arguments, usage):
    done = python(copy, "-m", *arguments)
    assert (done.returncode, done.stderr) == (1, usage)


def test_a_copy_of_the_checkout_imports_its_own_library(copy):
    done = python(copy, "-c", "import stages, oncovec; print(oncovec.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(copy)


def test_a_stage_is_set_up_before_openmp_is_loaded_and_prints_any_name_line_by_line(copy):
    code = (
        "import stages, sys, os; print(os.environ['OMP_WAIT_POLICY'], sys.stdout.line_buffering, '\\udcff');"
        "print({'torch', 'sklearn', 'cv2', 'faiss'} & set(sys.modules))"
    )
    assert python(copy, "-c", code).stdout == "passive True \\udcff\nset()\n"


def test_stages_that_need_no_network_do_not_import_torch(copy):
    quick = [name for name in STAGES if name not in ("train", "embed", "explain", "external")]
    code = (
        f"import sys, importlib; [importlib.import_module('stages.' + name) for name in {quick}]; "
        "print(sorted({'torch', 'torchvision', 'timm', 'kornia'} & set(sys.modules)))"
    )
    assert python(copy, "-c", code).stdout == "[]\n"


@pytest.mark.parametrize("name", [name for name in STAGES if name not in UNNAMED])
def test_an_unknown_row_is_one_line_in_every_stage(name, tmp_path, monkeypatch):
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, "nosuch"])
    with pytest.raises(SystemExit) as caught:
        stage.run(importlib.import_module(f"stages.{name}").main)
    line = caught.value.code
    assert line.startswith(f"{name}@nosuch: ") and "nosuch" in line.partition(": ")[2] and "\n" not in line


def test_a_row_is_found_by_its_name_and_no_other():
    assert stage.row({"a": 1}, "tasks", "a") == 1
    with pytest.raises(OncovecError, match=r"no row 'b' in tasks: of params\.yaml; there are a$"):
        stage.row({"a": 1}, "tasks", "b")


@pytest.mark.slow
def test_stages_work_on_a_machine_without_much(tmp_path, changed, picture):
    """No home folder, no temporary folder, a strict umask, few open files, a read-only folder of images."""
    for number in range(12):
        picture(tmp_path / f"own/{'ab'[number % 2]}/{number}.png", 40, 40, seed=number)
    row = {"layout": "folders", "root": str(tmp_path / "own"), "image_size": 32}
    shutil.copy(changed({"datasets.mine": row}), tmp_path / "params.yaml")
    for folder in (tmp_path / "own/a", tmp_path / "own/b", tmp_path / "own"):
        folder.chmod(0o500)
    stages = " && ".join(
        f"{sys.executable} -m stages.{name} mine" for name in ("preprocess", "group", "split")
    )
    done = subprocess.run(
        ["bash", "-c", f"umask 077; ulimit -n 200; {stages}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TMPDIR": "/proc/none", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    (tmp_path / "own").chmod(0o700)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert (tmp_path / "data/splits/mine/splits.csv").stat().st_mode & 0o077 == 0
