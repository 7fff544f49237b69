import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oncovec.core import stage
from oncovec.core.errors import OncovecError

REPOSITORY = Path(__file__).parents[2]
STAGES = sorted(path.stem for path in (REPOSITORY / "stages").glob("[a-z]*.py"))
UNNAMED = ("check", "summary")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the checkout as `dvc exp run --temp` makes one: what Git tracks, no environment."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("src", "stages"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "params.yaml", root)
    return root


def python(copy, *arguments):
    """Run Python there, with the library of this checkout installed beside it."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def test_a_user_s_mistake_is_one_line_on_stderr_and_exit_code_1(copy):
    done = python(copy, "-m", "stages.split", "nosuch")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("split@nosuch: no row 'nosuch' in tasks: of params.yaml; there are ")
    assert done.stderr.count("\n") == 1


def test_an_interruption_is_one_line(monkeypatch, capsys):
    def interrupted(params):
        raise KeyboardInterrupt

    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(stage.sys, "argv", ["summary"])
    monkeypatch.setattr(stage.inspect, "getmodule", lambda _: importlib.import_module("stages.summary"))
    with pytest.raises(SystemExit) as caught:
        stage.run(interrupted)
    assert str(caught.value) == "summary: interrupted"


def test_bad_params_are_one_line_on_stderr_and_exit_code_1(copy):
    path = copy / "params.yaml"
    sound = path.read_text(encoding="utf-8")
    try:
        path.write_text(sound.replace("margin: 0.2", "margin: -1"), encoding="utf-8")
        done = python(copy, "-m", "stages.check")
    finally:
        path.write_text(sound, encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "check: params.yaml: model.margin = -1: input should be greater than 0\n"


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["stages.split"], "usage: python -m stages.split NAME\n"),
        (["stages.summary", "extra"], "usage: python -m stages.summary\n"),
    ],
)
def test_a_wrong_number_of_arguments_gets_the_usage(copy, arguments, usage):
    done = python(copy, "-m", *arguments)
    assert (done.returncode, done.stderr) == (1, usage)


def test_a_copy_of_the_checkout_imports_its_own_library(copy):
    done = python(copy, "-c", "import stages, oncovec; print(oncovec.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(copy)


def test_stages_that_need_no_network_start_without_what_is_slow_to_import(copy):
    slow = ("features", "train", "embed", "preview", "evaluate")
    quick = [name for name in STAGES if name not in slow]
    code = (
        f"import sys, importlib; [importlib.import_module('stages.' + name) for name in {quick}]; "
        "print(sorted({'torch', 'timm', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules)))"
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
