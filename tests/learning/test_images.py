import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from oncovec.learning.backbones import Preprocessing
from oncovec.learning.images import Images, chunks

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ODD = Preprocessing((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), "bilinear")


def array(count=6, size=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def images(stored, size=20, preprocessing=ODD, device="cpu"):
    return Images(stored, torch.device(device), size, preprocessing)


@pytest.mark.parametrize("device", DEVICES)
def test_take_gives_the_stored_pixels_between_0_and_1(device):
    found = images(array(), device=device).take([3, 1]).cpu()
    expected = array()[[3, 1]].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    assert np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [[0, 1, 2], [5, 0, 5, 5], [2], np.array([4, 3])])
def test_rows_come_in_the_order_and_as_often_as_asked_for(device, rows):
    read = images(array(), device=device)
    assert torch.equal(read.take(rows), torch.cat([read.take([row]) for row in rows]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [9, 33])
def test_resizing_is_antialiased_interpolation_on_the_device(device, interpolation, size):
    read = images(array(), size, Preprocessing(interpolation=interpolation), device)
    found = read.take(range(6))
    whole = torch.from_numpy(array()).permute(0, 3, 1, 2).float() / 255
    expected = F.interpolate(whole, (size, size), mode=interpolation, antialias=True).clamp(0, 1)
    assert found.device.type == device
    assert found.shape == (6, 3, size, size)
    assert torch.allclose(found.cpu(), expected, atol=1e-5)


def test_resizing_agrees_with_pillow_within_its_rounding():
    found = images(array(), 11, Preprocessing()).take([0])[0].permute(1, 2, 0).numpy() * 255
    expected = np.asarray(Image.fromarray(array()[0]).resize((11, 11), Image.Resampling.BICUBIC))
    assert np.abs(found - expected).max() < 1.5


def test_resized_pixels_stay_between_0_and_1():
    black_and_white = (array() > 127).astype(np.uint8) * 255
    found = images(black_and_white, 31, Preprocessing()).take(range(6))
    assert found.min() >= 0
    assert found.max() <= 1


def test_normalise_subtracts_the_mean_and_divides_by_the_std_of_each_channel():
    read = images(array())
    pixels = read.take(range(6))
    for channel in range(3):
        expected = (pixels[:, channel] - ODD.mean[channel]) / ODD.std[channel]
        assert torch.allclose(read.normalise(pixels)[:, channel], expected, atol=1e-6)
    assert torch.equal(pixels, read.take(range(6)))


@pytest.mark.parametrize("device", DEVICES)
def test_a_read_only_memory_map_is_read_without_a_warning_and_stays_as_it_is(tmp_path, device):
    np.save(tmp_path / "images.npy", array())
    stored = np.load(tmp_path / "images.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = images(stored, device=device)
        read.take([0, 1]).mul_(0)
    assert len(read) == 6
    assert np.array_equal(np.load(tmp_path / "images.npy"), array())


def test_images_do_not_depend_on_those_beside_them():
    read = images(array(), 13)
    assert torch.allclose(read.take(range(6))[4], read.take([4])[0], atol=1e-6)


def test_chunks_cut_in_order_without_losing_any():
    found = chunks(range(10), 4)
    assert [part.tolist() for part in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert chunks([], 4) == []
