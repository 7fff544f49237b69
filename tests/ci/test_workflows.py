"""The workflows of GitHub run what runs here, with no more rights than they need."""

import re

import pytest
import yaml
from checkout import ROOT

FOLDER = ROOT / ".github/workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))


def read(name):
    content = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return content | {"on": content.pop(True)}  # YAML 1.1 takes `on` for a truth value


def steps(name):
    return [step for job in read(name)["jobs"].values() for step in job["steps"]]


def rights(name):
    """Permissions of the workflow and of its jobs."""
    content = read(name)
    return [content["permissions"], *(job.get("permissions", {}) for job in content["jobs"].values())]


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_those_of_github_at_a_major_version(name):
    used = [step["uses"] for step in steps(name) if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[a-z-]+@v\d+", each) for each in used)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_workflow_that_checks_nothing_out_may_write(name):
    may_write = any("write" in each.values() for each in rights(name))
    runs_code = any(
        "checkout" in step.get("uses", "") or ".ci/" in step.get("run", "") for step in steps(name)
    )
    assert may_write != runs_code
    assert may_write == (name == "comment.yml")


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_a_pull_request_is_put_into_a_script(name):
    assert not [step for step in steps(name) if "${{" in step.get("run", "")]


@pytest.mark.parametrize("name", NAMES)
def test_code_of_a_fork_gets_neither_a_token_nor_a_secret(name):
    assert "pull_request_target" not in read(name)["on"]
    assert "secrets." not in (FOLDER / name).read_text(encoding="utf-8")
    checkouts = [step for step in steps(name) if "checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", NAMES)
def test_every_script_that_it_runs_is_there(name):
    named = re.findall(r"\.ci/\w+", " ".join(step.get("run", "") for step in steps(name)))
    assert all((ROOT / each).stat().st_mode & 0o100 for each in named)


def test_the_comment_follows_the_review_and_posts_its_artifact():
    assert read("comment.yml")["on"]["workflow_run"]["workflows"] == [read("review.yml")["name"]]
    uploaded, fetched = (
        step["with"]["name"]
        for name in ("review.yml", "comment.yml")
        for step in steps(name)
        if "artifact" in step.get("uses", "")
    )
    assert uploaded == fetched


def test_tests_run_on_each_python_from_the_oldest_that_is_allowed():
    versions = read("tests.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13"]
    assert f'requires-python = ">={versions[0]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
