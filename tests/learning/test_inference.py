import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F

from oncovec.learning import inference
from oncovec.learning.images import Images
from oncovec.learning.objectives import class_probabilities
from oncovec.learning.systems import preprocessing_of

OBJECTIVES = ["triplet", "cross_entropy", "binary_cross_entropy"]


def built(objective="cross_entropy", count=10):
    network, facts = tiny.network(objective=objective, margin=0.2, mining="all", embedding_dim=8)
    pixels, _ = tiny.noise(count)
    images = Images(pixels, torch.device("cpu"), tiny.SIZE, preprocessing_of(facts))
    return network, images, facts


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("tta", [False, True])
def test_the_batch_size_does_not_change_results(objective, tta):
    network, images, _ = built(objective)
    whole = inference.embed(network, images, range(10), 10, tta)
    for size in (1, 3, 64):
        parts = inference.embed(network, images, range(10), size, tta)
        assert np.allclose(parts[0], whole[0], atol=1e-5)
        assert (whole[1] is None) == (parts[1] is None) == (objective == "triplet")
        assert whole[1] is None or np.allclose(parts[1], whole[1], atol=1e-5)


def test_embeddings_are_those_of_the_network_in_evaluation_mode():
    network, images, _ = built()
    found, probabilities, _ = inference.embed(network, images, [4, 2], 1)
    with torch.inference_mode():
        output = network.eval()(images.normalise(images.take([4, 2])))
    assert np.allclose(found, output.embedding, atol=1e-6)
    assert np.allclose(probabilities, class_probabilities(output.logits), atol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("tta", [False, True])
def test_embeddings_have_length_one_and_probabilities_sum_to_one(objective, tta):
    network, images, _ = built(objective)
    found, probabilities, _ = inference.embed(network, images, range(10), 4, tta)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert probabilities is None or np.allclose(probabilities.sum(1), 1, atol=1e-5)


def test_test_time_augmentation_is_the_normalised_mean_of_four_views():
    network, images, _ = built()
    found, probabilities, _ = inference.embed(network, images, range(10), 4, tta=True)
    pixels = images.normalise(images.take(range(10)))
    views = [pixels, pixels.flip(3), pixels.flip(2), pixels.rot90(2, (2, 3))]
    with torch.inference_mode():
        outputs = [network.eval()(view) for view in views]
    mean = F.normalize(sum(output.embedding for output in outputs) / 4, dim=1)
    assert np.allclose(found, mean, atol=1e-5)
    expected = sum(class_probabilities(output.logits) for output in outputs) / 4
    assert np.allclose(probabilities, expected, atol=1e-6)


def test_an_image_and_its_mirror_image_have_the_same_averaged_embedding():
    network, images, facts = built()
    mirrored = Images(
        np.ascontiguousarray(images.array[:, :, ::-1]), images.device, tiny.SIZE, preprocessing_of(facts)
    )
    first, second = (inference.embed(network, each, range(10), 4, tta=True)[0] for each in (images, mirrored))
    assert np.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back(training):
    network, images, _ = built()
    network.train(training)
    inference.embed(network, images, [0], 1)
    assert network.training is training


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_threads_that_ask_one_network_at_once_get_each_their_own_images(objective):
    network, images, _ = built(objective, 48)
    network.eval()
    # Between any two layers another thread gets its turn.
    for layer in network.backbone:
        layer.register_forward_pre_hook(lambda *_: time.sleep(0.001))
    asked = np.arange(48).reshape(8, 6)
    alone = [inference.embed(network, images, rows, 2, tta=True) for rows in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda rows: inference.embed(network, images, rows, 2, tta=True), asked))
    for first, second in zip(alone, together, strict=True):
        for one, other in zip(first, second, strict=True):
            assert one is other is None or np.allclose(one, other, atol=1e-6)


def test_a_network_in_evaluation_mode_is_left_as_it_is(monkeypatch):
    network, images, _ = built()
    network.eval()
    monkeypatch.setattr(network, "train", None)
    inference.embed(network, images, [0], 1)


def test_progress_counts_every_image():
    network, images, _ = built()
    counts = []
    inference.embed(network, images, range(10), 4, advance=counts.append)
    assert counts == [4, 4, 2]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_ood_features_are_the_mean_of_each_channel_after_the_second_and_the_third_block(objective):
    network, images, _ = built(objective)
    found = inference.embed(network, images, range(10), 4, tta=True).ood_features
    layers = list(network.backbone)
    pools = [number for number, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]
    expected = []
    for pool in pools[1:]:
        with torch.inference_mode():
            maps = torch.nn.Sequential(*layers[: pool + 1]).eval()(images.normalise(images.take(range(10))))
        expected.append(maps.mean((2, 3)).numpy())
    assert np.allclose(found, np.concatenate(expected, axis=1), atol=1e-5)
    assert found.dtype == np.float32 and found.shape[1] == inference.ood_features_width(network, tiny.SIZE)


def test_the_means_of_a_wide_layer_are_projected_in_the_same_way_everywhere():
    points = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 300)).astype(np.float32))
    signs = np.random.RandomState(0).randint(0, 2, (300, 256)) * 2 - 1
    assert np.allclose(inference._reduced(points), points.numpy() @ signs / 16, atol=1e-5)
    assert inference._reduced(points[:, :256]) is not None and inference._reduced(points[:, :256]).shape == (
        3,
        256,
    )


def test_projected_distances_are_nearly_those_of_the_channels():
    points = np.random.default_rng(1).normal(size=(30, 500)).astype(np.float32)
    projected = (torch.from_numpy(points) @ inference._projection(500)).numpy()
    pairs = np.triu_indices(30, 1)
    before, after = (np.linalg.norm(x[pairs[0]] - x[pairs[1]], axis=1) for x in (points, projected))
    assert np.abs(after / before - 1).max() < 0.4 and np.abs(after / before - 1).mean() < 0.1
