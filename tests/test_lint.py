"""The tests fail where lint fails."""

import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy", "--no-incremental"]]
)
def test_lint_finds_nothing(command, repository):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_package_registry_is_named_by_its_host(repository):
    hosts = "|".join(["python" + "hosted", "registry.npm" + "js", "deb.deb" + "ian", "://py" + "pi"])
    done = subprocess.run(
        [shutil.which("git"), "grep", "-nIE", hosts],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stdout
