import threading

import numpy as np
import pytest
import tiny
import torch

from oncovec.core.errors import OncovecError
from oncovec.learning import backbones, heatmap, systems, training
from oncovec.learning.inference import embed
from oncovec.learning.network import Network

SIZE = 32


def patches(count, seed):
    """Grey noise with one patch of 8 px, green or red by turns, and the corners of the patches."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = generator.integers(90, 150, (count, SIZE, SIZE, 3), dtype=np.uint8)
    corners = generator.integers(0, SIZE - 8, (count, 2))
    for image, (top, left), label in zip(pixels, corners, labels, strict=True):
        image[top : top + 8, left : left + 8] = (40, 220, 40) if label == 0 else (220, 40, 40)
    return pixels, labels, corners


@pytest.fixture(scope="module", params=["cross_entropy", "triplet"])
def learned(request):
    """A network that tells the patches apart, and the embeddings of what it was trained on."""
    config = tiny.config(
        request.param, image_size=SIZE, input_size=SIZE, epochs=8, lr=0.003, backbone_lr=0.003
    )
    pixels, labels, _ = patches(96, 0)
    network, facts = systems.build(config)
    images = tiny.images_of(pixels, facts)
    accelerator = training.accelerator_for(config.precision)
    state, _, _ = training.train(config, network, images, tiny.splits_of(labels, 64), accelerator)
    network.load_state_dict(state)
    network.eval().zero_grad()
    known = embed(network, images, np.arange(64), 32).vectors
    return network, facts, known, labels[:64]


def maps_of(learned, count=12, tta=False):
    network, facts, known, labels = learned
    pixels, classes, corners = patches(count, 5)
    images = tiny.images_of(pixels, facts)
    queries = embed(network, images, np.arange(count), 32, tta).vectors
    towards = heatmap.directions(known, labels, queries, classes)
    return heatmap.heat_maps(network, images, towards, tta), corners


@pytest.mark.parametrize("tta", [False, True])
def test_the_hottest_place_is_where_the_classes_differ(learned, tta):
    maps, corners = maps_of(learned, tta=tta)
    inside = 0
    for heat, (top, left) in zip(maps, corners, strict=True):
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        inside += top - 4 <= y < top + 12 and left - 4 <= x < left + 12
    # By chance a quarter of them are so near.
    assert inside >= 10


def test_maps_have_the_size_of_the_images_and_reach_from_0_to_1(learned):
    maps, _ = maps_of(learned)
    assert maps.shape == (12, SIZE, SIZE) and maps.dtype == np.float32
    assert maps.min() >= 0 and np.allclose(maps.max(axis=(1, 2)), 1)


def test_equal_images_get_equal_maps_also_from_several_threads(learned):
    first, _ = maps_of(learned)
    found = []
    threads = [threading.Thread(target=lambda: found.append(maps_of(learned)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(np.array_equal(each, first) for each in found)


def test_no_images_get_no_maps(learned):
    network, facts, known, _ = learned
    images = tiny.images_of(np.zeros((0, SIZE, SIZE, 3), np.uint8), facts)
    assert heatmap.heat_maps(network, images, known[:0]).shape == (0, SIZE, SIZE)


def test_a_map_leaves_the_network_and_its_gradients_as_they_were(learned):
    network = learned[0]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    maps_of(learned)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_direction_leads_to_the_nearest_of_the_class_and_away_from_the_others():
    known = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0.6, 0.8]], np.float32)
    towards = heatmap.directions(known, np.array([0, 1, 1, 1]), known[:2], np.array([0, 1]))
    assert towards == pytest.approx(
        np.array([known[0] - known[1:].mean(0), known[1:].mean(0) - known[0]]), abs=1e-6
    )


def test_only_the_nearest_images_of_a_class_are_compared(monkeypatch):
    monkeypatch.setattr(heatmap, "COMPARED", 1)
    known = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8]], np.float32)
    towards = heatmap.directions(known, np.array([0, 0, 1, 1]), known[:1], np.array([0]))
    assert towards[0] == pytest.approx(known[0] - known[2], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("tf_efficientnet_lite0", "resnet34.tv_in1k", "inception_v3.tv_in1k", "densenet121"),
        *("convnext_atto", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mobilenetv3_small_100"),
    ],
)
def test_backbones_of_many_kinds_have_maps(name):
    torch.manual_seed(0)
    size = backbones.input_size(name, 128, 128)
    backbone, features = backbones.build(name, size)
    network = Network(backbone, features, [], 8, classifies=False).eval()
    facts = {"input_size": size, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    images = tiny.images_of(tiny.noise(2, size=128)[0], facts)
    towards = np.eye(8, dtype=np.float32)[:2]
    maps = heatmap.heat_maps(network, images, towards)
    assert maps.shape == (2, 128, 128)
    assert (maps.max(axis=(1, 2)) == 1).all() and (maps.std(axis=(1, 2)) > 0).all()


def test_a_backbone_without_maps_is_refused():
    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3 * 16 * 16, 8)

        def forward(self, images):
            return self.layer(images.flatten(1))

    facts = {"input_size": 16, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    network = Network(Flat(), 8, [], 4, classifies=False).eval()
    images = tiny.images_of(tiny.noise(2)[0][:1], facts)
    with pytest.raises(OncovecError, match="no layer with maps"):
        heatmap.heat_maps(network, images, np.eye(4, dtype=np.float32)[:1])
