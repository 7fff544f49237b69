"""The wheel, installed beside the core requirements alone, predicts from an exported file."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path

import packages
import pytest
import tiny
from PIL import Image

from oncovec.core.parts import CheckoutParts
from oncovec.serving import exporting
from oncovec.serving.predict import System

PACKED = ("src", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(repository, tmp_path_factory):
    """A virtual environment with links to the installed core requirements, and the wheel."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("environment")
    for name in PACKED:
        path = repository / name
        shutil.copytree(path, source / name) if path.is_dir() else shutil.copy(path, source)
    built = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source]
    subprocess.run(built, check=True, capture_output=True)
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    for name in packages.needed(project["dependencies"]):
        for file in distribution(name).files:
            if file.parts[0] != ".." and not (link := site / file.parts[0]).exists():
                link.symlink_to(Path(distribution(name).locate_file(file.parts[0])).resolve())
    (wheel,) = (source / "dist").glob("*.whl")
    # Without --no-deps: pip refuses, rather than fetches, what the core requirements lack.
    install = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--no-index", wheel]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(install, check=True, capture_output=True, env=alone)
    return folder / "bin"


ASK = """
import json, sys
from dataclasses import astuple
import oncovec

print(oncovec.__file__)
root, system, *images = sys.argv[1:]
print(json.dumps([astuple(each) for each in oncovec.load(system, root or None).predict(images)]))
"""
"""Prints the library that runs and its predictions; by a process of its own, since last bits depend on it."""


@pytest.mark.slow
def test_a_wheel_without_the_extras_predicts_exactly_as_the_checkout_does(
    installed, repository, tmp_path, tmp_path_factory
):
    checkout = tiny.trained(tmp_path_factory)
    parts = CheckoutParts("head", checkout)
    exporting.write(System(parts), parts, tmp_path / "head.oncovec", names=True)
    for number, pixels in enumerate(tiny.squares(6, size=23, seed=4)[0]):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    images = [f"{number}.png" for number in range(6)]

    def run(command, check=True, **environment):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr
        return done

    here = [sys.executable, "-c", ASK, checkout, "head", *images]
    there = [installed / "python", "-c", ASK, "", "head.oncovec", *images]
    ours = run(here, PYTHONPATH=str(repository / "src")).stdout.splitlines()
    theirs = run(there).stdout.splitlines()
    assert Path(theirs[0]).is_relative_to(installed.parent)
    assert theirs[1] == ours[1]
    csv = run(
        [installed / "oncovec", "predict", "--system", "head.oncovec", "--format", "csv", *images]
    ).stdout
    assert len(csv.splitlines()) == 1 + len(images)
    assert "No module named 'dvc'" in run([installed / "python", "-c", "import dvc"], check=False).stderr
