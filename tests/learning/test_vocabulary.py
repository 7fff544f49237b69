import hashlib
import subprocess
import sys

import pytest
import tiny

from oncovec.core.errors import OncovecError
from oncovec.core.params import Params
from oncovec.learning.vocabulary import check_backbones, check_weights


def with_backbone(name):
    content = tiny.knobs()
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


def test_own_backbones_are_checked_without_importing_timm():
    script = (
        "import sys\n"
        "from oncovec.core import params\nfrom oncovec.learning import vocabulary\n"
        "vocabulary.check_backbones(params.Params.model_validate(eval(sys.stdin.read())))\n"
        "assert 'timm' not in sys.modules and 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": str(tiny.ROOT / "src")}
    subprocess.run(
        [sys.executable, "-c", script], input=repr(tiny.knobs()), text=True, env=environment, check=True
    )


def with_weights(file, sha256):
    content = tiny.knobs()
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
