import numpy as np
import pytest
import tifffile
from PIL import Image

from oncovec.data.decode import Square, UnreadableImageError, decode
from oncovec.data.samples import windowed
from oncovec.data.tree import alone

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 4096, (12, 13)).astype(np.uint16)
COLOURS = RNG.integers(0, 2**16, (12, 13, 3)).astype(np.uint16)


def pixels(path, window=None):
    found = np.asarray(decode(*alone(path), None, window))
    return found[..., 0] if (found == found[..., :1]).all() else found


def stretched(values, low, high):
    return np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255)


def png(path):
    Image.fromarray(DEEP).save(path.with_suffix(".png"))
    return path.with_suffix(".png"), DEEP


def tiff(values, **kind):
    def save(path):
        tifffile.imwrite(path.with_suffix(".tif"), values, **kind)
        return path.with_suffix(".tif"), values

    return save


FILES = {
    "PNG": png,
    "TIFF": tiff(DEEP),
    "TIFF of 12 bits": tiff(DEEP, photometric="minisblack", bitspersample=12),
    "signed": tiff(DEEP.astype(np.int16) - 1000),
    "floats": tiff(DEEP.astype(np.float32) - 1000),
    "colours": tiff(COLOURS, photometric="rgb"),
}


@pytest.mark.parametrize("kind", FILES)
def test_stored_values_of_deep_images_are_stretched_over_the_window(tmp_path, kind):
    path, values = FILES[kind](tmp_path / "a")
    assert np.array_equal(pixels(path, (-150.5, 1250)), stretched(values, -150.5, 1250))


def test_an_inverted_tiff_is_inverted_behind_its_window(tmp_path):
    path, _ = tiff(DEEP, photometric="miniswhite")(tmp_path / "a")
    assert np.array_equal(pixels(path, (100, 900)), 255 - stretched(DEEP, 100, 900))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_window_leaves_images_of_8_bits_alone(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(DEEP.astype(np.uint8)).save(path)
    assert np.array_equal(pixels(path, (0, 10)), pixels(path))


def test_a_window_leaves_palettes_alone(tmp_path):
    values = RNG.integers(0, 256, (12, 13)).astype(np.uint8)
    palette = RNG.integers(0, 2**16, (3, 256)).astype(np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="palette", colormap=palette, byteorder=">", bigtiff=True)
    assert np.array_equal(pixels(path), np.rint(palette.T[values] / 257.0))
    assert np.array_equal(pixels(path, (0, 10)), pixels(path))


def test_a_window_tells_what_floats_mean(tmp_path):
    path, values = tiff(DEEP.astype(np.float32) / 2500)(tmp_path / "a")
    with pytest.raises(UnreadableImageError, match="neither 0 to 1 nor 0 to 255"):
        decode(*alone(path))
    assert np.array_equal(pixels(path, (0, 2)), stretched(values, 0, 2))


def test_values_that_are_not_finite_become_black():
    assert windowed(np.array([np.nan, np.inf, -np.inf, 7.0]), 0, 7).tolist() == [0, 0, 0, 255]


def test_facts_without_a_window_give_none():
    facts = {"image_size": 96, "resize": "keep"}
    assert Square.of(facts) == Square(96, "keep", None)
    assert Square.of(facts | {"window": [-1000, 400.5]}) == Square(96, "keep", (-1000, 400.5))
