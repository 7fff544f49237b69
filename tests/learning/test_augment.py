import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as T

from oncovec.core.recipes import Augmentation
from oncovec.learning.augment import DRAWS, SHOWN, Augment, preview

SETTINGS = {
    "flip_horizontal": 1.0,
    "flip_vertical": 1.0,
    "rotation": 90.0,
    "zoom": 0.4,
    "shift": 0.3,
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.9,
    "hue": 0.4,
    "illuminant": 1.0,
    "blur": 1.0,
    "noise": 0.2,
    "erasing": 1.0,
}
ALL = Augmentation(
    **SETTINGS
    | {"flip_horizontal": 0.5, "flip_vertical": 0.5, "illuminant": 0.5, "blur": 0.5, "erasing": 0.5}
)


def images(count=8, seed=0):
    """Smooth pictures of many colours, (B, 3, 24, 24) in 0..1."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    large = [np.asarray(Image.fromarray(s).resize((24, 24), Image.Resampling.BICUBIC)) for s in small]
    return torch.from_numpy(np.stack(large)).permute(0, 3, 1, 2).float() / 255


def augmented(params, batch, seed=0):
    return Augment(params)(batch, torch.Generator().manual_seed(seed))


def test_every_parameter_is_tried_here():
    assert set(SETTINGS) == set(Augmentation.model_fields)


def test_no_parameter_is_the_identity():
    assert torch.equal(augmented(Augmentation(), images()), images())


@pytest.mark.parametrize("parameter", [k for k in SETTINGS if k != "noise"])
def test_each_parameter_alone_changes_something_and_keeps_shape_and_range(parameter):
    found = augmented(Augmentation(**{parameter: SETTINGS[parameter]}), images())
    assert found.shape == images().shape
    assert found.dtype == torch.float32
    assert ((found - images()).abs().flatten(1).max(1).values > 0.005).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_all_parameters_together_keep_the_range():
    batch = torch.rand(64, 3, 24, 24, generator=torch.Generator().manual_seed(0)).round()
    found = augmented(ALL, batch)
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize(
    "parameter", sorted(set(SETTINGS) - {"flip_horizontal", "flip_vertical", "illuminant", "noise"})
)
def test_each_image_has_its_own_draw(parameter):
    batch = images(1).repeat(8, 1, 1, 1)
    found = augmented(Augmentation(**{parameter: SETTINGS[parameter]}), batch)
    assert len({image.numpy().tobytes() for image in found}) == 8


def test_a_flip_of_probability_one_half_turns_some_images_and_not_others():
    batch = images(1).repeat(64, 1, 1, 1)
    found = augmented(Augmentation(flip_horizontal=0.5), batch)
    turned = sum(torch.equal(image, batch[0].flip(2)) for image in found)
    left = sum(torch.equal(image, batch[0]) for image in found)
    assert turned + left == 64
    assert 16 < turned < 48


def test_flips_are_exact_mirror_images():
    batch = images()
    assert torch.equal(augmented(Augmentation(flip_horizontal=1), batch), batch.flip(3))
    assert torch.equal(augmented(Augmentation(flip_vertical=1), batch), batch.flip(2))


def centre(name, batch):
    """What a factor of this parameter leaves where it is: black, the mean grey, each pixel's own grey."""
    grey = T.rgb_to_grayscale(batch)
    return {"brightness": 0 * grey, "contrast": grey.mean((1, 2, 3), keepdim=True), "saturation": grey}[name]


@pytest.mark.parametrize("parameter", ["brightness", "contrast", "saturation"])
def test_a_colour_parameter_scales_about_its_centre_by_a_factor_within_1_plus_or_minus_it(parameter):
    batch = 0.4 + 0.2 * images(200)
    found = augmented(Augmentation(**{parameter: 0.2}), batch)
    before, after = batch - centre(parameter, batch), found - centre(parameter, batch)
    factors = (before * after).sum((1, 2, 3)) / before.square().sum((1, 2, 3))
    assert torch.allclose(after, before * factors[:, None, None, None], atol=1e-3)
    assert 0.8 <= factors.min() < 0.82
    assert 1.18 < factors.max() <= 1.201


def test_hue_turns_colours_within_its_share_of_the_circle_and_leaves_grey_and_brightest():
    red = torch.tensor([0.8, 0.2, 0.2])[:, None, None].expand(300, 3, 4, 4)
    found = augmented(Augmentation(hue=0.1), red)
    assert torch.allclose(found.amax(1), red.amax(1), atol=1e-4)
    assert torch.allclose(found.amin(1), red.amin(1), atol=1e-4)
    # From pure red to the secondary colour is a sixth of the circle, along which one channel rises.
    turned = (found.sort(1).values[:, 1] - 0.2).mean((1, 2)) / 0.6 / 6
    assert 0.09 < turned.max() <= 0.1001
    grey = torch.full((8, 3, 4, 4), 0.4)
    assert torch.allclose(augmented(Augmentation(hue=0.5), grey), grey, atol=1e-4)


def test_another_light_scales_red_against_blue_and_leaves_green():
    grey = torch.full((300, 3, 4, 4), 0.5)
    found = augmented(Augmentation(illuminant=0.5), grey)[:, :, 0, 0]
    assert torch.equal(found[:, 1], grey[:, 1, 0, 0])
    changed = (found[:, 0] - 0.5).abs() > 0.005  # 6,500 K is white
    warm = found[:, 0] > 0.5
    assert torch.equal(warm[changed], (found[:, 2] < 0.5)[changed])
    assert 100 < changed.sum() < 180 and 20 < (warm & changed).sum() < changed.sum() - 20
    assert found[:, 0].max() == pytest.approx(0.659, abs=0.002) and found[:, 0].min() > 0.39
    assert found[:, 2].min() == pytest.approx(0.259, abs=0.002) and found[:, 2].max() < 0.67


def test_blur_keeps_what_is_large_and_takes_what_is_small():
    flat = torch.full((8, 3, 24, 24), 0.3)
    assert torch.allclose(augmented(Augmentation(blur=1), flat), flat, atol=1e-4)
    fine = (torch.arange(24) % 2).float().expand(64, 3, 24, 24)
    left = augmented(Augmentation(blur=1), fine)[:, :, :, 8:16].std((1, 2, 3)) / fine[0].std()
    assert left.min() < 0.05 and left.max() > 0.3


def test_noise_has_its_standard_deviation_in_half_of_the_images_and_leaves_the_others():
    grey = torch.full((200, 3, 24, 24), 0.5)
    found = augmented(Augmentation(noise=0.05), grey)
    noisy = (found != grey).flatten(1).any(1)
    assert 70 < noisy.sum() < 130
    assert torch.allclose(found[noisy].std((1, 2, 3)), torch.tensor(0.05), atol=0.005)
    assert len({image.numpy().tobytes() for image in found}) == noisy.sum() + 1


def test_what_a_turn_uncovers_is_no_black_corner():
    found = augmented(Augmentation(rotation=45, shift=0.3, zoom=0.5), torch.full((16, 3, 24, 24), 0.7))
    assert torch.allclose(found, torch.full_like(found, 0.7), atol=1e-4)


def test_the_same_seed_gives_the_same_images_and_another_seed_others():
    first, second, other = (augmented(ALL, images(), seed) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_two_calls_of_one_generator_differ():
    generator, augment = torch.Generator().manual_seed(0), Augment(ALL)
    assert not torch.equal(augment(images(), generator), augment(images(), generator))


def test_the_global_generators_neither_matter_nor_move():
    torch.manual_seed(5)
    first = augmented(ALL, images())
    torch.manual_seed(6)
    random.seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    second = augmented(ALL, images())
    assert torch.equal(first, second)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())


def test_the_batch_given_is_left_as_it_was():
    batch = images()
    augmented(ALL, batch)
    assert torch.equal(batch, images())


def stored(count=40):
    return np.random.default_rng(0).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)


def test_a_preview_shows_stored_images_evenly_spread_and_draws_of_each():
    rows = np.arange(1, 40, 2)
    originals, draws = preview(stored(), rows, Augmentation(rotation=90, brightness=0.3))
    assert len(originals) == len(draws) == SHOWN and {len(row) for row in draws} == {DRAWS}
    assert np.array_equal(originals[0], stored()[1]) and np.array_equal(originals[-1], stored()[39])
    for original, row in zip(originals, draws, strict=True):
        assert len({draw.tobytes() for draw in row} | {original.tobytes()}) == 1 + DRAWS
        assert {(draw.shape, draw.dtype) for draw in row} == {(original.shape, original.dtype)}


def test_a_preview_is_the_same_on_every_run():
    first, second = (preview(stored(), np.arange(9), ALL) for _ in range(2))
    assert np.array_equal(first[1], second[1])


def test_without_augmentation_a_preview_shows_the_originals_alone():
    originals, draws = preview(stored(3), np.arange(3), Augmentation())
    assert np.array_equal(originals, stored(3)) and draws == [[], [], []]
