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
