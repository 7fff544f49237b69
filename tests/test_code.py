import json
import shutil
import subprocess
import sys

import pytest

from oncovec import code

LOADED = """
import importlib, json, sys
importlib.import_module(f"stages.{sys.argv[1]}")
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("oncovec", "stages")]))
"""


@pytest.fixture
def copy(repository, tmp_path):
    for folder in ("src", "stages"):
        shutil.copytree(repository / folder, tmp_path / folder)
    return tmp_path


@pytest.mark.parametrize("stage", [*code.stages(), "check"])
def test_what_a_stage_really_imports_is_among_its_files(stage, repository):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, stage], cwd=repository, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout)) - {None}
    assert loaded
    assert loaded <= {str(path) for path in code.files(stage, repository)}


def test_an_edit_changes_the_fingerprints_of_those_who_import_it_alone(copy):
    before = {stage: code.fingerprint(stage, copy) for stage in code.stages(copy)}
    path = copy / "src" / "oncovec" / "knn.py"
    path.write_text(path.read_text() + "# edited\\n")
    changed = {stage for stage in before if code.fingerprint(stage, copy) != before[stage]}
    assert changed == {"knn", "evaluate"}


def test_a_fingerprint_does_not_depend_on_where_the_checkout_lies(copy, repository):
    assert code.fingerprint("train", copy) == code.fingerprint("train", repository)
