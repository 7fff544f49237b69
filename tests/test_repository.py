"""What must not be in the repository."""

import shutil
import subprocess


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


def test_a_clone_on_windows_has_the_same_bytes(repository, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    for name in (".gitattributes", "params.yaml"):
        (project / name).write_bytes((repository / name).read_bytes())
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    subprocess.run(
        ["git", "clone", "-q", "-c", "core.autocrlf=true", project, tmp_path / "clone"], check=True
    )
    assert (tmp_path / "clone/params.yaml").read_bytes() == (project / "params.yaml").read_bytes()


FAKE_PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit 0
echo "$@" >> {log}
[ "$2" = venv ] && mkdir -p .venv/bin && cp "$0" .venv/bin/python
exit 0
"""


def test_make_renews_an_environment_that_was_moved_and_only_such_a_one(repository, tmp_path):
    here, log = tmp_path / "here", tmp_path / "log"
    here.mkdir()
    shutil.copy(repository / "Makefile", here)
    for name in ("requirements.txt", "pyproject.toml"):
        (here / name).touch()
    fake = tmp_path / "python"
    fake.write_text(FAKE_PYTHON.format(log=log))
    fake.chmod(0o755)

    def made(folder):
        log.write_text("")
        subprocess.run(["make", "-s", ".venv/.ready", f"PYTHON={fake}"], cwd=folder, check=True)
        lines = log.read_text().splitlines()
        return sum("venv" in line for line in lines), sum("pip" in line for line in lines)

    assert made(here) == (1, 2)
    assert made(here) == (0, 0)
    (here / ".venv/.ready").write_text("")  # as earlier versions left it
    assert made(here) == (0, 2)
    moved = here.rename(tmp_path / "else where")
    assert made(moved) == (1, 2)
    assert made(moved) == (0, 0)
    shared = shutil.copytree(moved, tmp_path / "shared", ignore=shutil.ignore_patterns(".venv"))
    (shared / ".venv").symlink_to(moved / ".venv")
    assert made(shared) == (0, 0)
