"""What a run from nothing may change: `.ci/from_scratch`, in a project whose pipeline takes seconds."""

import shutil

import pytest
import reviewed
from checkout import ROOT

MAKEFILE = "repro:\n\tdvc repro -q\n"
DIFFERS = "metrics/splits/toy.json: differs from the last commit, though no processor may change it"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    drawn = reviewed.draw(tmp_path_factory.mktemp("recomputed") / "project")
    shutil.copytree(ROOT / ".ci", drawn.folder / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
    (drawn.folder / "Makefile").write_text(MAKEFILE)
    (drawn.folder / ".gitignore").write_text("__pycache__\n")
    drawn.run("git add -A && git commit -qm ci")
    return drawn


def ran(project, change, code=1):
    """Commit a change of main, run from nothing, return what it said."""
    reviewed.on_branch(project, "change")
    project.run(f"git clean -qfdx -e .ci && {change} && git add -A && git commit -qm change --allow-empty")
    return project.run(".ci/from_scratch", code).splitlines()


def test_a_run_that_gives_what_is_recorded_passes(project):
    told = ran(project, "true", code=0)[-1]
    assert told == "from scratch: it runs, nothing leaks, datasets, groups and splits are the same"


def test_another_path_of_training_passes_and_other_splits_do_not(project):
    # As if they had been recorded on another processor.
    ran(project, "sed -i 's/0.75/0.74/' metrics/systems/toy.json", code=0)
    assert DIFFERS in ran(project, "sed -i 's/10/11/' metrics/splits/toy.json")


def test_a_leak_fails_though_it_is_recorded(project):
    change = "sed -i 's/leaked: 0/leaked: 2/' params.yaml && dvc repro -q"
    told = ran(project, change)
    assert told[-1] == "metrics/splits/toy.json: 2 images of test have their group in train"


def test_a_file_outside_of_metrics_and_plots_fails(project):
    told = ran(project, "sed -i 's/dvc repro -q/&; touch left/' Makefile")
    assert told[-1] == "left: the run wrote it, outside of metrics/, plots/, dvc.lock"


def test_uncommitted_changes_are_refused_before_anything_runs(project):
    reviewed.on_branch(project, "dirty")
    said = project.run("touch new && .ci/from_scratch; code=$?; rm new; exit $code", code=1)
    assert said == "from_scratch: there are uncommitted changes; commit or stash them\n"
