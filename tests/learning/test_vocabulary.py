import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from oncovec.core.errors import OncovecError
from oncovec.core.params import Params
from oncovec.learning.vocabulary import KNOWN_TO_TIMM, check_backbones, check_weights, is_timm_model

ROOT = Path(__file__).parents[2]


def with_backbone(name):
    content = tiny.settings()
    content["systems"]["head"]["backbone"] = name
    return Params.model_validate(content)


@pytest.mark.parametrize("name", ["triplet_cnn", "resnet34", "resnet34.tv_in1k", "tf_efficientnet_lite2"])
def test_a_known_backbone_passes(name):
    check_backbones(with_backbone(name))


@pytest.mark.parametrize(
    ("name", "meant"),
    [("tripletcnn", "triplet_cnn"), ("resnet_34", "resnet34"), ("resnet34.tv_in1", "resnet34.tv_in1k")],
)
def test_an_unknown_backbone_is_refused_with_the_nearest_name(name, meant):
    with pytest.raises(OncovecError) as error:
        check_backbones(with_backbone(name))
    line = tiny.one_line(error)
    assert line.startswith(f"systems.head.backbone = {name!r}: ")
    assert line.endswith(f"did you mean {meant}?")


def test_a_name_like_no_other_gets_no_suggestion():
    with pytest.raises(OncovecError) as error:
        check_backbones(with_backbone("§§§§"))
    assert "did you mean" not in tiny.one_line(error)


def test_the_committed_params_are_checked_without_importing_timm():
    script = (
        "import sys\n"
        "from oncovec.core import params\nfrom oncovec.learning import vocabulary\n"
        "vocabulary.check_backbones(params.load())\n"
        "assert 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", KNOWN_TO_TIMM)
def test_what_is_taken_for_a_model_of_timm_is_one(name):
    assert is_timm_model(name)


def with_weights(file, sha256):
    content = tiny.settings()
    content["systems"]["head"] |= {"weights": str(file), "weights_sha256": sha256}
    return Params.model_validate(content)


def test_a_weights_file_of_another_content_is_refused_with_the_hash_that_it_has(tmp_path):
    file = tmp_path / "some.safetensors"
    file.write_bytes(b"first")
    first = hashlib.sha256(b"first").hexdigest()
    check_weights(with_weights(file, first))
    file.write_bytes(b"second")
    with pytest.raises(OncovecError) as error:
        check_weights(with_weights(file, first))
    line = tiny.one_line(error)
    assert f"systems.head.weights_sha256 = '{first}'" in line
    assert hashlib.sha256(b"second").hexdigest() in line


def test_a_weights_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OncovecError) as error:
        check_weights(with_weights(tmp_path / "none.pth", "0" * 64))
    assert "systems.head.weights = " in tiny.one_line(error)


def test_a_queued_run_without_the_weights_file_says_that_it_works_on_a_copy(tmp_path, monkeypatch):
    content = tiny.settings()
    content["systems"]["head"] |= {"weights": "own.safetensors", "weights_sha256": "0" * 64}
    copy = tmp_path / ".dvc/tmp/exps/abc"
    copy.mkdir(parents=True)
    for folder, told in ((tmp_path, False), (copy, True)):
        monkeypatch.chdir(folder)
        with pytest.raises(OncovecError) as error:
            check_weights(Params.model_validate(content))
        assert ("a queued run works on a copy" in tiny.one_line(error)) == told
