import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F

from oncovec.data import embeddings
from oncovec.learning import inference
from oncovec.learning.images import Images
from oncovec.learning.inference import Embedded
from oncovec.learning.objectives import class_probabilities
from oncovec.learning.systems import preprocessing_of

TABLE = [
    {"image": "a/ä.png", "split": "train", "label": "green", "group": "g1"},
    {"image": "b.png", "split": "val", "label": "red", "group": "g2"},
    {"image": "c.png", "split": "test", "label": "red", "group": "c.png"},
]
OBJECTIVES = ["triplet", "cross_entropy", "binary_cross_entropy"]


def built(objective="cross_entropy", count=10):
    network, facts = tiny.network(objective=objective, margin=0.2, mining="all", embedding_dim=8)
    pixels, _ = tiny.noise(count)
    images = Images(pixels, torch.device("cpu"), tiny.SIZE, preprocessing_of(facts))
    return network, images, facts | {"sha256": "0" * 64}


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


def test_progress_counts_every_image():
    network, images, _ = built()
    counts = []
    inference.embed(network, images, range(10), 4, advance=counts.append)
    assert counts == [4, 4, 2]


def test_written_embeddings_load_without_pickle(tmp_path):
    _, _, facts = built()
    vectors, probabilities = np.eye(3, 16), np.full((3, 2), 0.5)
    embeddings.write(tmp_path / "e.npz", TABLE, facts, Embedded(vectors, probabilities, np.ones((3, 2))))
    with np.load(tmp_path / "e.npz", allow_pickle=False) as found:
        for column in ("image", "split", "label", "group"):
            assert found[column].tolist() == [row[column] for row in TABLE]
        assert np.array_equal(found["embedding"], vectors)
        assert found["embedding"].dtype == found["head_probability"].dtype == np.float32
        assert found["classes"].tolist() == list(tiny.CLASSES)
        assert found["positive"] == ""
        assert "allow_pickle" not in found.files


def test_a_metric_learning_system_writes_no_head(tmp_path):
    embeddings.write(
        tmp_path / "e.npz", TABLE, built("triplet")[2], Embedded(np.eye(3, 8), None, np.ones((3, 2)))
    )
    assert "head_probability" not in np.load(tmp_path / "e.npz").files


def test_the_same_embeddings_give_the_same_bytes(tmp_path):
    _, _, facts = built()
    for name in ("first.npz", "second.npz"):
        embeddings.write(tmp_path / name, TABLE, facts, Embedded(np.eye(3, 16), None, np.ones((3, 2))))
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_appearance_projects_the_mean_of_each_channel_after_the_second_and_the_third_block(objective):
    network, images, _ = built(objective)
    found = inference.embed(network, images, range(10), 4, tta=True).appearance
    layers = list(network.backbone)
    pools = [number for number, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]
    expected = []
    for pool in pools[1:]:
        with torch.inference_mode():
            maps = torch.nn.Sequential(*layers[: pool + 1]).eval()(images.normalise(images.take(range(10))))
        means = maps.mean((2, 3)).numpy()
        signs = np.random.RandomState(0).randint(0, 2, (means.shape[1], 64)) * 2 - 1
        expected.append(means @ signs / 8)
    assert np.allclose(found, np.concatenate(expected, axis=1), atol=1e-5)
    assert found.dtype == np.float32 and found.shape[1] == inference.appearance_width(network)


def test_projected_distances_are_nearly_those_of_the_channels():
    points = np.random.default_rng(1).normal(size=(30, 500)).astype(np.float32)
    projected = (torch.from_numpy(points) @ inference._projection(500)).numpy()
    pairs = np.triu_indices(30, 1)
    before, after = (np.linalg.norm(x[pairs[0]] - x[pairs[1]], axis=1) for x in (points, projected))
    assert np.abs(after / before - 1).max() < 0.4 and np.abs(after / before - 1).mean() < 0.1
