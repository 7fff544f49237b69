import imagecodecs
import numpy as np
import pytest
from dicom_files import COMPRESSED, PATIENT, dataset, encoded, write, write_encoded
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    MediaStorageDirectoryStorage,
)

from oncovec.data.decode import UnreadableImageError, decode, read_image
from oncovec.data.tree import alone

RNG = np.random.default_rng(0)
UNCOMPRESSED = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
EVERY = UNCOMPRESSED | COMPRESSED
KINDS = [
    *((np.uint8, 8), (np.int8, 8), (np.uint16, 8), (np.uint16, 12), (np.int16, 12)),
    *((np.uint16, 16), (np.int16, 16)),
]
HU = RNG.integers(-1024, 3072, (16, 18)).astype(np.int16)


def pixels(path, window=None):
    """The image as it is read, (H, W, 3)."""
    return np.asarray(decode(*alone(path), None, window)).astype(int)


def grey(path, window=None):
    found = pixels(path, window)
    assert (found == found[..., :1]).all()
    return found[..., 0]


def reason(path):
    with pytest.raises(UnreadableImageError) as refused:
        decode(*alone(path))
    return refused.value.reason


def extent(kind, bits):
    """The smallest and the largest value of a type with so many bits."""
    low = -(2 ** (bits - 1)) if np.issubdtype(kind, np.signedinteger) else 0
    return low, low + 2**bits - 1


def noise(kind, bits):
    low, high = extent(kind, bits)
    values = RNG.integers(low, high, (17, 14), endpoint=True).astype(kind)
    values[0, :2] = low, high
    return values


def linear(values, center, width):
    """The window of PS3.3 C.11.2.1.2.1, for an output from 0 to 255."""
    x = np.asarray(values, float)
    inside = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
    below, above = x <= center - 0.5 - (width - 1) / 2, x > center - 0.5 + (width - 1) / 2
    return np.rint(np.where(below, 0, np.where(above, 255, inside)))


def rgb_of(ybr):
    """The colours of full-range YBR, PS3.3 C.7.6.3.1.2."""
    y, b, r = np.moveaxis(ybr.astype(float), -1, 0)
    both = y - 0.344136 * (b - 128) - 0.714136 * (r - 128)
    colours = np.stack([y + 1.402 * (r - 128), both, y + 1.772 * (b - 128)], -1)
    return np.clip(np.rint(colours), 0, 255)


def table(first, entries, bits, **more):
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = np.asarray(entries, "<u2").tobytes()
    item["LUTData"].VR = "OW"
    for name, value in more.items():
        setattr(item, name, value)
    return Sequence([item])


@pytest.mark.parametrize("syntax", EVERY)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_grey_values_are_shown_through_the_window(tmp_path, kind, bits, photometric, syntax):
    values = noise(kind, bits)
    low, high = extent(kind, bits)
    center, width = (low + high) // 2 + 3.21, (high - low) // 3 + 0.37
    file = {"WindowCenter": [center, 1], "WindowWidth": [width, 2]}
    path = write(tmp_path / "a.dcm", values, photometric, bits, EVERY[syntax], **file)
    expected = linear(values, center, width)
    assert np.array_equal(grey(path), 255 - expected if photometric == "MONOCHROME1" else expected)


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_without_a_window_values_have_the_range_of_their_bits_or_are_stretched(tmp_path, kind, bits):
    values = noise(kind, bits)
    low, high = extent(kind, bits)
    expected = np.rint((values - float(low)) * 255 / (high - low))
    assert np.array_equal(grey(write(tmp_path / "a", values, bits=bits)), expected)


def test_bits_above_those_stored_do_not_count(tmp_path):
    values = RNG.integers(0, 4096, (6, 7)).astype(np.uint16)
    plain = grey(write(tmp_path / "plain", values, bits=12))
    assert np.array_equal(grey(write(tmp_path / "overlaid", values | 0xA000, bits=12)), plain)


def test_the_window_is_of_modality_units(tmp_path):
    stored = (HU + 1024).astype(np.uint16)
    file = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    path = write(tmp_path / "a", stored, bits=12, **file)
    assert np.array_equal(grey(path), linear(HU, 40, 400))


def test_a_given_window_replaces_that_of_the_file_and_is_of_modality_units(tmp_path):
    stored = (HU + 1024).astype(np.uint16)
    file = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    path = write(tmp_path / "a", stored, bits=12, **file)
    expected = np.rint(np.clip((HU + 1000.0) / 1400, 0, 1) * 255)
    assert np.array_equal(grey(path, (-1000, 400)), expected)


def test_a_given_window_leaves_colours_alone(tmp_path):
    colours = RNG.integers(0, 2**16, (5, 6, 3)).astype(np.uint16)
    path = write(tmp_path / "a", colours, "RGB")
    assert np.array_equal(pixels(path, (0, 100)), pixels(path))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom(tmp_path, function):
    file = {"RescaleSlope": "0.5", "RescaleIntercept": "-7", "VOILUTFunction": function}
    file |= {"WindowCenter": "40.5", "WindowWidth": "350"}
    found = dataset(HU, bits=16, **file)
    whole = apply_voi_lut(apply_modality_lut(HU, found), found)
    low, high = (0.5 * end - 7 for end in extent(np.int16, 16))
    expected = np.rint((whole - low) / (high - low) * 255)
    assert np.array_equal(grey(write(tmp_path / "a", HU, **file)), expected)


@pytest.mark.parametrize("width", [0, -5])
def test_a_window_without_a_width_is_none(tmp_path, width):
    file = {"WindowCenter": 7, "WindowWidth": width}
    assert np.array_equal(grey(write(tmp_path / "a", HU, **file)), grey(write(tmp_path / "b", HU)))


def test_a_window_of_one_value_parts_black_from_white(tmp_path):
    path = write(tmp_path / "a", HU, WindowCenter=41, WindowWidth=1)
    assert np.array_equal(grey(path), np.where(HU > 40, 255, 0))


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_lookup_table_goes_before_the_window(tmp_path, bits):
    entries = RNG.integers(0, 2**bits, 700)
    luts = table(-300, entries, bits)
    path = write(tmp_path / "a", HU, VOILUTSequence=luts, WindowCenter=40, WindowWidth=400)
    expected = np.rint(entries[np.clip(HU.astype(int) + 300, 0, 699)] * 255 / (2**bits - 1))
    assert np.array_equal(grey(path), expected)
    if bits > 8:  # pydicom counts the entries of a table of 8 bits in 8 bits
        other = apply_voi_lut(HU, dcmread(path))
        assert np.array_equal(grey(path), np.rint(other.astype(float) * 255 / (2**bits - 1)))


def test_a_modality_table_goes_before_the_window(tmp_path):
    values = RNG.integers(0, 256, (6, 7)).astype(np.uint8)
    entries = (np.arange(256) ** 2) % 5000
    luts = table(0, entries, 16, ModalityLUTType="US")
    path = write(tmp_path / "a", values, ModalityLUTSequence=luts, WindowCenter=900, WindowWidth=1500)
    assert np.array_equal(grey(path), linear(entries[values], 900, 1500))


def test_the_window_of_an_enhanced_image_is_found_in_its_functional_groups(tmp_path):
    rescale, window, shared, frame = Dataset(), Dataset(), Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 2, -100, "HU"
    window.WindowCenter, window.WindowWidth = 50, 300
    shared.PixelValueTransformationSequence = Sequence([rescale])
    frame.FrameVOILUTSequence = Sequence([window])
    groups = {
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence([frame]),
    }
    path = write(tmp_path / "a", HU, NumberOfFrames=1, **groups)
    assert np.array_equal(grey(path), linear(2.0 * HU - 100, 50, 300))


@pytest.mark.parametrize("syntax", EVERY)
def test_colours_are_read_as_they_are(tmp_path, syntax):
    colours = RNG.integers(0, 256, (16, 18, 3)).astype(np.uint8)
    assert np.array_equal(pixels(write(tmp_path / "a", colours, "RGB", 8, EVERY[syntax])), colours)


@pytest.mark.parametrize("syntax", EVERY)
@pytest.mark.parametrize("bits", [12, 16])
def test_colours_of_more_than_8_bits_are_read_as_they_are(tmp_path, bits, syntax):
    colours = RNG.integers(0, 2**bits, (16, 18, 3)).astype(np.uint16)
    colours[0, :2] = [[0], [2**bits - 1]]
    found = pixels(write(tmp_path / "a", colours, "RGB", bits, EVERY[syntax]))
    assert np.array_equal(found, np.rint(colours * (255 / (2**bits - 1))))


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_planes_of_colour_are_put_together(tmp_path, syntax):
    colours = RNG.integers(0, 256, (16, 18, 3)).astype(np.uint8)
    planes = {"PlanarConfiguration": 1, "PixelData": np.moveaxis(colours, -1, 0).tobytes()}
    path = write(tmp_path / "a", colours, "RGB", 8, UNCOMPRESSED[syntax], **planes)
    assert np.array_equal(pixels(path), colours)


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, "RLE", "JPEG-LS"])
def test_luminance_and_chrominance_become_colours(tmp_path, syntax):
    ybr = RNG.integers(0, 256, (16, 18, 3)).astype(np.uint8)
    path = write(tmp_path / "a", ybr, "YBR_FULL", 8, EVERY[syntax])
    assert np.abs(pixels(path) - rgb_of(ybr)).max() <= 1


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_two_pixels_may_share_their_chrominance(tmp_path, syntax):
    ybr = RNG.integers(0, 256, (16, 18, 3)).astype(np.uint8)
    ybr[:, 1::2, 1:] = ybr[:, ::2, 1:]
    stored = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], -1)
    path = write(tmp_path / "a", ybr, "YBR_FULL_422", 8, UNCOMPRESSED[syntax], PixelData=stored.tobytes())
    assert np.abs(pixels(path) - rgb_of(ybr)).max() <= 1


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
def test_a_jpeg_is_read_as_pillow_reads_it_whatever_its_colours_are_called(tmp_path, photometric):
    y, x = np.mgrid[:64, :64]
    colours = np.stack([4 * x, 4 * y, 255 - 2 * (x + y)], -1).astype(np.uint8)
    path = write(tmp_path / "a", colours, photometric, 8, JPEGBaseline8Bit)
    (tmp_path / "a.jpg").write_bytes(encoded(colours, None, JPEGBaseline8Bit))
    assert np.abs(pixels(path) - pixels(tmp_path / "a.jpg")).max() <= 3


def test_a_jpeg_of_12_bits_is_read(tmp_path):
    y, x = np.mgrid[:64, :64]
    values = (30 * x + 33 * y).astype(np.uint16)
    stream = imagecodecs.jpeg_encode(values, level=95, bitspersample=12)
    path = write_encoded(tmp_path / "a", values, "MONOCHROME2", 12, JPEGExtended12Bit, stream)
    assert np.abs(grey(path) - values.astype(float) * 255 / 4095).max() <= 1


@pytest.mark.parametrize(("photometric", "reversible"), [("YBR_RCT", True), ("YBR_ICT", False)])
def test_a_jpeg_2000_undoes_its_own_change_of_colours(tmp_path, photometric, reversible):
    y, x = np.mgrid[:64, :64]
    colours = np.stack([4 * x, 4 * y, 255 - 2 * (x + y)], -1).astype(np.uint8)
    stream = imagecodecs.jpeg2k_encode(colours, level=0, reversible=reversible, codecformat="j2k", mct=True)
    path = write_encoded(tmp_path / "a", colours, photometric, 8, JPEG2000, stream)
    assert np.abs(pixels(path) - colours).max() <= (0 if reversible else 2)


@pytest.mark.parametrize("syntax", EVERY)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_values_of_a_palette_become_its_colours(tmp_path, kind, bits, syntax):
    values = RNG.integers(0, 60, (16, 18)).astype(kind)
    order = "<" if EVERY[syntax].is_little_endian else ">"
    entries = RNG.integers(0, 2**bits, (50, 3)).astype("u1" if bits == 8 else f"{order}u2")
    palette = {}
    for name, column in zip(("Red", "Green", "Blue"), entries.T, strict=True):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [50, 7, bits]
        palette[f"{name}PaletteColorLookupTableData"] = column.tobytes()
    path = write(tmp_path / "a", values, "PALETTE COLOR", None, EVERY[syntax], **palette)
    expected = np.rint(entries[np.clip(values.astype(int) - 7, 0, 49)] * (255 / (2**bits - 1)))
    assert np.array_equal(pixels(path), expected)


def test_the_facts_have_size_mode_and_bits_alone(tmp_path):
    path = write(tmp_path / "a", HU, bits=16, RescaleIntercept=0, WindowCenter=40, WindowWidth=400)
    facts = read_image(*alone(path), [8])[1]
    assert (facts.width, facts.height, facts.mode) == (18, 16, "DICOM MONOCHROME2 int16 of 16 bits")


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def without_pixels(path, kind):
    found = dataset(HU)
    for name in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored"):
        delattr(found, name)
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = kind
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.save_as(path, enforce_file_format=True)
    return path


def renamed_syntax(path, syntax):
    return write_encoded(path, HU, "MONOCHROME2", 16, syntax, b"\0\1\2\3")


COLOURS_12 = RNG.integers(0, 4096, (8, 8, 3)).astype(np.uint16)
REFUSED = {
    "3 frames": lambda p: write(p, np.concatenate([HU] * 3), Rows=16, NumberOfFrames=3),
    "Comprehensive SR Storage": lambda p: without_pixels(p, ComprehensiveSRStorage),
    "DICOMDIR": lambda p: without_pixels(p, MediaStorageDirectoryStorage),
    "ends before its pixels": lambda p: cut(write(p, HU), 0.4),
    "ends within its pixels": lambda p: cut(write(p, HU), 0.9),
    "ends before": lambda p: cut(write(p, HU, syntax=COMPRESSED["JPEG 2000"]), 0.8),
    "MPEG2": lambda p: renamed_syntax(p, MPEG2MPML),
    "12 bits": lambda p: write(p, COLOURS_12, "YBR_FULL", 12),
    "YBR_PARTIAL_420": lambda p: write(p, COLOURS_12.astype(np.uint8), "YBR_PARTIAL_420", 8),
    "floats": lambda p: write(p, HU, FloatPixelData=b"\0" * 4 * HU.size),
    "damaged": lambda p: renamed_syntax(p, COMPRESSED["JPEG-LS"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_read_is_told_in_one_line_without_the_patient(tmp_path, what):
    told = reason(REFUSED[what](tmp_path / "a.dcm"))
    assert what in told
    assert "\n" not in told
    assert PATIENT not in told
    assert "Doe" not in told


def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path):
    assert "pixels (decompression bomb?)" in reason(write(tmp_path / "a", HU, Rows=30000, Columns=30000))
