import imagecodecs
import numpy as np
import pytest
from dicom_files import COMPRESSED, dataset, encoded, write_encoded
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLossless, JPEGLSNearLossless

from oncovec.data import dicom_codecs
from oncovec.data.decode import UnreadableImageError, decode
from oncovec.data.tree import alone

RNG = np.random.default_rng(0)
GREY = (np.add.outer(np.arange(40), np.arange(48)) * 2.9).astype(np.uint8)


def pixels(path):
    """The image as it is read, (H, W, 3)."""
    return np.asarray(decode(*alone(path))).astype(int)


def reason(path):
    with pytest.raises(UnreadableImageError) as refused:
        decode(*alone(path))
    return refused.value.reason


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME2", (9, 7)), ("RGB", (9, 7, 3))])
def test_a_lossless_jpeg_is_read_exactly_by_every_predictor(tmp_path, photometric, shape, predictor):
    values = RNG.integers(0, 256, shape).astype(np.uint8)
    colours = {} if len(shape) == 2 else {"colorspace": "RGB", "outcolorspace": "RGB"}
    stream = imagecodecs.jpeg_encode(values, lossless=True, predictor=predictor, **colours)
    found = pixels(write_encoded(tmp_path / "a", values, photometric, 8, JPEGLossless, stream))
    assert np.array_equal(found, values if len(shape) == 3 else np.stack([values] * 3, -1))


def test_a_stream_may_have_fewer_bits_than_the_file_allocates(tmp_path):
    stream = imagecodecs.jpeg_encode(GREY, lossless=True)
    path = write_encoded(tmp_path / "a", GREY.astype(np.uint16), "MONOCHROME2", 8, JPEGLossless, stream)
    assert np.array_equal(pixels(path)[..., 0], GREY)


def test_a_near_lossless_stream_is_read_as_nearly(tmp_path):
    stream = imagecodecs.jpegls_encode(GREY, level=2)
    path = write_encoded(tmp_path / "a", GREY, "MONOCHROME2", 8, JPEGLSNearLossless, stream)
    assert np.abs(pixels(path)[..., 0] - GREY).max() == 2


def test_pydicom_is_told_that_a_jpeg_2000_has_become_rgb():
    colours = np.stack([GREY, GREY.max() - GREY, GREY // 2], -1)
    found = dataset(colours, "YBR_RCT")
    stream = imagecodecs.jpeg2k_encode(colours, level=0, reversible=True, codecformat="j2k", mct=True)
    found.PixelData, found.file_meta.TransferSyntaxUID = encapsulate([stream]), JPEG2000Lossless
    values, told = get_decoder(JPEG2000Lossless).as_array(found, decoding_plugin=dicom_codecs.PLUGIN)
    assert np.array_equal(values, colours)
    assert told["photometric_interpretation"] == "RGB"


STREAMS = {
    name: (syntax, encoded(GREY, dataset(GREY), syntax))
    for name, syntax in {**COMPRESSED, "JPEG": JPEGBaseline8Bit}.items()
}


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "RLE"])  # it holds no size
def test_a_stream_of_another_size_than_the_file_tells_is_refused(tmp_path, name):
    syntax, stream = STREAMS[name]
    path = write_encoded(tmp_path / "a", GREY.T, "MONOCHROME2", 8, syntax, stream)
    assert "damaged" in reason(path)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_ends_early_is_refused(tmp_path, name):
    syntax, stream = STREAMS[name]
    path = write_encoded(tmp_path / "a", GREY, "MONOCHROME2", 8, syntax, stream[: len(stream) // 2])
    assert reason(path).startswith(("damaged", "truncated"))


@pytest.mark.parametrize("name", STREAMS)
def test_a_damaged_stream_is_read_or_refused_without_a_word(tmp_path, capfd, name):
    syntax, stream = STREAMS[name]
    refused = 0
    for _ in range(60):
        damaged = np.frombuffer(stream, np.uint8).copy()
        places = RNG.integers(0, len(damaged), 3)
        damaged[places] = RNG.integers(0, 256, 3)
        path = write_encoded(tmp_path / "a", GREY, "MONOCHROME2", 8, syntax, damaged.tobytes())
        try:
            assert pixels(path).shape == (*GREY.shape, 3)
        except UnreadableImageError:
            refused += 1
    assert refused
    assert capfd.readouterr() == ("", "")
