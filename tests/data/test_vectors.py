import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textures import COPIES, grey, texture

from oncovec.data.duplicates import vectors as module
from oncovec.data.duplicates.keypoints import MIRRORED, KeypointFile, detect
from oncovec.data.duplicates.vectors import learn, vectors


@pytest.fixture(scope="module")
def images():
    """Originals, and of the first three every kind of copy: keypoints by name."""
    originals = {seed: texture(seed, 120, 100) for seed in range(30)}
    copies = {(seed, name): copy.make(originals[seed]) for seed in range(3) for name, copy in COPIES.items()}
    return {name: detect(grey(image), 200) for name, image in (originals | copies).items()}


def filed(images):
    file = KeypointFile(len(images))
    for row, each in enumerate(images):
        file[row] = each
    return file


def made(images):
    with filed(images) as file:
        return vectors(file, np.arange(len(images)))


@pytest.fixture(scope="module")
def found(images):
    return dict(zip(images, made(list(images.values())), strict=True))


@pytest.mark.parametrize("name", COPIES)
def test_an_image_is_nearer_to_its_copy_than_to_any_unrelated_image(found, name):
    for seed in range(3):
        cosines = {other: found[other] @ found[seed, name] for other in range(30)}
        assert max(cosines, key=cosines.get) == seed


def test_vectors_have_length_1(found):
    assert np.allclose(np.linalg.norm(np.stack(list(found.values())), axis=1), 1, atol=1e-5)


@pytest.fixture(scope="module")
def words():
    return learn(np.random.default_rng(0).integers(0, 256, (300, 128), dtype=np.uint8))


@given(st.lists(st.integers(0, 255), min_size=128, max_size=128))
def test_a_descriptor_and_its_mirror_image_are_the_same_to_words(words, numbers):
    one = np.array([numbers], np.uint8)
    assert np.allclose(words.describe(one), words.describe(one[:, MIRRORED]), atol=1e-5)


def test_what_words_say_is_the_sum_over_each_words_descriptors_brought_to_equal_weights(words):
    rng = np.random.default_rng(1)
    descriptors = rng.integers(0, 256, (40, 128), dtype=np.uint8)
    sums = np.zeros_like(words.centres, dtype=np.float64)
    for each in [*descriptors.astype(np.float64), *descriptors[:, MIRRORED].astype(np.float64)]:
        inner = (np.sqrt(each / each.sum()) - words.mean) @ words.components
        nearest = np.linalg.norm(words.centres - inner, axis=1).argmin()
        sums[nearest] += inner - words.centres[nearest]
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    sums = np.divide(sums, lengths, out=sums, where=lengths > 0)
    expected = np.sign(sums) * np.sqrt(np.abs(sums))
    expected /= np.linalg.norm(expected)
    assert np.allclose(words.describe(descriptors), expected.ravel(), atol=1e-4)


def test_the_order_of_the_keypoints_does_not_matter(images, words):
    descriptors = images[1].descriptors
    assert np.allclose(words.describe(descriptors), words.describe(descriptors[::-1]), atol=1e-5)


def test_the_same_images_give_the_same_bytes(images):
    some = [images[seed] for seed in range(10)]
    assert made(some).tobytes() == made(some).tobytes()


def test_a_sample_of_the_images_serves_all_of_them(images, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 12)
    names = list(images)
    found = dict(zip(names, made(list(images.values())), strict=True))
    cosines = [max(range(30), key=lambda other: found[other] @ found[0, name]) for name in COPIES]
    assert cosines.count(0) >= 0.9 * len(cosines)


@pytest.mark.parametrize(("count", "dimensions"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_a_few_images_differ_in_one_direction_less_than_their_number(images, count, dimensions):
    assert made([images[seed] for seed in range(count)]).shape == (count, dimensions)


def test_images_of_the_same_keypoints_and_of_only_one_have_vectors():
    one = detect(grey(texture(0)), 400)
    found = made([one, one, one, type(one)(one.points[:1], one.descriptors[:1])])
    assert np.isfinite(found).all() and np.array_equal(found[0], found[1])


def test_the_components_are_the_principal_ones_of_few_images_and_of_many(monkeypatch):
    monkeypatch.setattr(module, "DIMENSIONS", 4)
    rng = np.random.default_rng(0)
    for shape in ((12, 30), (60, 30)):
        sample = (rng.standard_normal(shape) * np.linspace(3, 1, 30)).astype(np.float32)
        mean, components = module.principal(sample)
        assert np.allclose(components.T @ components, np.eye(4), atol=1e-4)
        expected = np.linalg.svd(sample - sample.mean(axis=0), compute_uv=False)[:4]
        assert np.allclose(
            np.sort(np.linalg.norm((sample - mean) @ components, axis=0))[::-1], expected, rtol=1e-3
        )
