import os
import subprocess
import sys
from pathlib import Path

import pytest

from oncovec.core import checkout
from oncovec.core.errors import OncovecError

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path):
    """A checkout with a library of its own, whose command prints where it is."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    package = tmp_path / "src/oncovec"
    (package / "serving").mkdir(parents=True)
    for folder in (package, package / "serving"):
        (folder / "__init__.py").touch()
    (package / "serving/cli.py").write_text("import sys; print(__file__, *sys.argv[1:])")
    (tmp_path / "notebooks/deep").mkdir(parents=True)
    return tmp_path


def test_the_root_is_the_nearest_folder_above_with_both_files(root, monkeypatch):
    (root / "notebooks/params.yaml").touch()
    monkeypatch.chdir(root / "notebooks/deep")
    assert checkout.find() == root
    checkout.enter()
    assert Path.cwd() == root and checkout.find() == Path()


def test_outside_of_a_checkout_nothing_is_entered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OncovecError, match=r"in no checkout"):
        checkout.find()
    checkout.enter()
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("folder", ["", "notebooks"])
def test_a_command_runs_the_library_of_the_checkout_that_it_is_in(root, folder):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "oncovec.serving.cli", "audit", "a b"],
        cwd=root / folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{root / 'src/oncovec/serving/cli.py'} audit a b\n"


def test_a_queued_run_works_in_a_copy(tmp_path, monkeypatch):
    copy = tmp_path / ".dvc/tmp/exps/abc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not checkout.in_copy()
    monkeypatch.chdir(copy)
    assert checkout.in_copy()
