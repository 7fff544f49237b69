"""What a training imports: seconds in each process, for networks and objectives that do without."""

import subprocess
import sys

import pytest
import tiny
import yaml

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
import stages
from oncovec.core import params
from stages import embed, train

HEAVY = ("timm", "torchvision", "torch._dynamo", "kornia", "pytorch_metric_learning")
content = params.load()
for name in sys.argv[1:]:
    train.main(name, content)
    embed.main(name, content)
    print("imported by", name, *sorted(set(HEAVY) & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What each of four systems has imported when it is trained and embedded, one after the other."""
    folder = tiny.prepared(tmp_path_factory.mktemp("imports"))
    content = tiny.settings()
    content["model"]["augment"] = content["classifier"]["augment"] = "none"
    base = content["systems"]["head"] | {"epochs": 1}
    content["systems"] = {
        "plain": base,
        "sigmoid": base | {"backbone": "triplet_cnn", "objective": "binary_cross_entropy"},
        "turned": base | {"augment": {"rotation": 10.0}},
        "metric": base | {"base": "model", "backbone": "siamese_cnn", "objective": "contrastive"},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *content["systems"]],
        cwd=folder,
        env={"PYTHONPATH": str(tiny.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split()[2:] for line in run.stdout.splitlines() if line.startswith("imported by")]
    return {name: set(modules) for name, *modules in lines}


@pytest.mark.parametrize("name", ["plain", "sigmoid"])
def test_a_classifier_with_a_cnn_of_ours_needs_torch_alone(imported, name):
    assert imported[name] == set()


def test_augmentation_needs_kornia(imported):
    assert imported["turned"] == {"kornia"}


def test_a_metric_loss_needs_pytorch_metric_learning(imported):
    assert imported["metric"] == {"kornia", "pytorch_metric_learning"}
