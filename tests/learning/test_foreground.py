import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oncovec.learning import foreground
from oncovec.learning.backbones import Preprocessing
from oncovec.learning.foreground import Box
from oncovec.learning.images import Images

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def scan(box, size=40, value=0.8):
    """A bright ellipse that fills a box of a black image."""
    rows, columns = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    middle = (box.top + box.bottom) / 2, (box.left + box.right) / 2
    axes = (box.bottom - box.top) / 2, (box.right - box.left) / 2
    inside = ((rows - middle[0]) / axes[0]) ** 2 + ((columns - middle[1]) / axes[1]) ** 2 <= 1
    return inside.float().mul(value).expand(3, size, size).clone()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("box", [Box(4, 30, 10, 26), Box(0, 40, 0, 40), Box(20, 40, 0, 39)])
def test_the_foreground_is_where_an_image_is_not_dark(box, device):
    assert foreground.boxes(scan(box)[None].to(device)) == [box]


def test_noise_of_compression_and_single_bright_pixels_are_background():
    plain = torch.zeros(1, 3, 100, 100)
    plain[:, :, 20:90, 30:80] = 0.5
    noisy = plain + torch.rand(plain.shape, generator=torch.Generator().manual_seed(0)) * 0.07
    noisy[:, :, [2, 2, 60], [2, 50, 97]] = 1
    assert foreground.boxes(noisy) == foreground.boxes(plain) == [Box(20, 90, 30, 80)]


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_colour_is_foreground_if_any_channel_is_bright(channel):
    image = torch.zeros(1, 3, 40, 40)
    image[:, channel, 5:25, 7:37] = 0.5
    assert foreground.boxes(image) == [Box(5, 25, 7, 37)]


@pytest.mark.parametrize("image", [torch.zeros(3, 40, 40), scan(Box(3, 4, 3, 4))], ids=["black", "a speck"])
def test_an_image_without_foreground_stays_whole(image):
    assert foreground.boxes(image[None]) == [Box(0, 40, 0, 40)]
    assert torch.equal(foreground.crop(image[None], 40, "bilinear")[0], image)


def test_the_margin_of_an_image_makes_no_difference_after_cropping():
    rng = torch.Generator().manual_seed(0)
    content = torch.rand(1, 3, 24, 24, generator=rng) * 0.7 + 0.2
    shown = []
    for top, left, size in ((0, 0, 24), (3, 11, 40), (20, 0, 64)):
        image = torch.zeros(1, 3, size, size)
        image[:, :, top : top + 24, left : left + 24] = content
        shown.append(foreground.crop(image, 32, "bilinear"))
    assert torch.allclose(shown[0], shown[1])
    assert torch.allclose(shown[0], shown[2])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_foreground_keeps_its_shape_in_the_middle_of_a_black_square(interpolation):
    image = torch.zeros(1, 3, 40, 40)
    image[:, :, 10:30, 3:13] = 0.6
    (found,) = foreground.crop(image, 32, interpolation)
    assert torch.allclose(found[:, :, 8:24], torch.full((3, 32, 16), 0.6), atol=1e-6)
    assert not found[:, :, :8].any()
    assert not found[:, :, 24:].any()


def test_an_image_without_margin_is_only_resized():
    image = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.5
    expected = F.interpolate(image, (28, 28), mode="bicubic", antialias=True).clamp(0, 1)
    assert torch.equal(foreground.crop(image, 28, "bicubic"), expected)


@pytest.mark.parametrize("box", [Box(4, 30, 10, 26), Box(0, 40, 0, 40), Box(20, 40, 0, 39)])
def test_a_map_is_placed_back_where_the_foreground_was(box):
    image = scan(box)[None]
    square = foreground.crop(image, 40, "bilinear")
    (back,) = foreground.place_back(square, foreground.boxes(image), (40, 40))
    outside = torch.ones(40, 40, dtype=torch.bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    assert not back[:, outside].any()
    assert (back - image[0]).abs().mean() < 0.03


@pytest.mark.parametrize("device", DEVICES)
def test_images_are_cropped_if_the_preprocessing_says_so(device):
    stored = torch.stack([scan(Box(4, 30, 10, 26)), scan(Box(20, 40, 0, 39))])
    array = (stored * 255).round().byte().permute(0, 2, 3, 1).numpy()
    whole = Images(array, torch.device(device), 24, Preprocessing())
    cropped = Images(array, torch.device(device), 24, Preprocessing(crop_foreground=True))
    expected = foreground.crop(torch.from_numpy(array).permute(0, 3, 1, 2).float() / 255, 24, "bicubic")
    assert np.allclose(cropped.take([1, 0]).cpu(), expected[[1, 0]], atol=1e-5)
    assert not np.allclose(cropped.take([0]).cpu(), whole.take([0]).cpu(), atol=0.1)


def test_maps_of_whole_images_are_enlarged_to_the_stored_image():
    array = np.zeros((1, 20, 20, 3), np.uint8)
    maps = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    found = Images(array, torch.device("cpu"), 16, Preprocessing()).place_back(maps, [0])
    assert torch.equal(found, F.interpolate(maps, (20, 20), mode="bilinear", align_corners=False))
