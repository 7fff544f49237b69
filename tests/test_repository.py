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
