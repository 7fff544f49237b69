"""Depths, number formats, colours, layouts and byte orders of TIFF and PNG, against the values written."""

import struct
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from oncovec.data.decode import UnreadableImageError, decode, read_image
from oncovec.data.tree import alone

HEIGHT, WIDTH = 9, 14
TYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64")
COLOURS = ("minisblack", "miniswhite", "rgb")


def decoded(path: Path) -> np.ndarray:
    return np.asarray(decode(*alone(path))).astype(int)


def mode(path: Path) -> str:
    return read_image(*alone(path), [64])[1].mode


def values_of(dtype: str, channels: int, seed: int = 0) -> np.ndarray:
    """Random values over the whole range of a type, its ends among them; floats lie in 0 to 1."""
    generator = np.random.default_rng(seed)
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    if dtype.startswith("float"):
        found = generator.random(shape)
        ends = 0.0, 1.0
    else:
        ends = np.iinfo(dtype).min, np.iinfo(dtype).max
        found = generator.integers(ends[0], ends[1], shape, dtype=dtype, endpoint=True)
    found.flat[:2] = ends
    return found.astype(dtype)


def expected(values: np.ndarray, colour: str) -> np.ndarray:
    """0 to 255 from the smallest to the largest value of the type; both stand in the image."""
    found = values.astype(np.float64)
    found = (found - found.min()) / (found.max() - found.min()) * 255
    found = 255 - found if colour == "miniswhite" else found
    return found if found.ndim == 3 else np.repeat(found[..., None], 3, axis=2)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("dtype", TYPES)
def test_a_tiff_of_any_type_and_order_has_the_values_that_were_written(
    dtype, colour, planar, order, tmp_path
):
    if colour != "rgb" and planar == "separate":
        pytest.skip("one channel has one layout")
    values = values_of(dtype, 3 if colour == "rgb" else 1)
    stored = np.moveaxis(values, -1, 0) if planar == "separate" else values
    path = tmp_path / "a.tif"
    options = {"planarconfig": planar} if colour == "rgb" else {}
    tifffile.imwrite(path, stored, photometric=colour, byteorder=order, **options)
    assert np.abs(decoded(path) - expected(values, colour)).max() <= 1


LOSSLESS = ("lzw", "zlib", "packbits", "zstd", "lzma", "jpeg2000", "jpegxl", "lerc", "png")


@pytest.mark.parametrize("compression", LOSSLESS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_compressed_tiff_has_the_values_that_were_written(dtype, compression, tmp_path):
    values, path = values_of(dtype, 3), tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="rgb", compression=compression)
    assert np.abs(decoded(path) - expected(values, "rgb")).max() <= 1


@pytest.mark.parametrize("compression", ["jpeg", "webp", "jpegxr"])
def test_a_tiff_of_a_lossy_compression_is_what_another_reader_sees(compression, tmp_path):
    smooth = np.stack([*np.mgrid[0:48, 0:64], np.full((48, 64), 99)], -1).astype(np.uint8) * 2
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, smooth, photometric="rgb", compression=compression)
    assert np.abs(decoded(path) - tifffile.imread(path).astype(int)).max() <= 3


def with_small_copy(path: Path, values: np.ndarray, photometric: str = "rgb", **options) -> Path:
    """Write a small copy and then the image, as some scanners do."""
    with tifffile.TiffWriter(path) as writer:
        writer.write(values[::3, ::3], photometric="rgb", subfiletype=1)
        writer.write(values, photometric=photometric, **options)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_small_copy_that_a_scanner_puts_first_is_not_the_image(dtype, tmp_path):
    values = values_of(dtype, 3)
    path = with_small_copy(tmp_path / "a.tif", values)
    assert np.abs(decoded(path) - expected(values, "rgb")).max() <= 1
    tifffile.imwrite(path, values, photometric="rgb", subfiletype=1)  # it alone is the image
    assert np.abs(decoded(path) - expected(values, "rgb")).max() <= 1


def test_an_image_of_jpeg_behind_its_small_copy_is_read(tmp_path):
    smooth = np.stack([*np.mgrid[0:48, 0:64], np.full((48, 64), 99)], -1).astype(np.uint8) * 2
    path = with_small_copy(tmp_path / "a.tif", smooth, "ycbcr", compression="jpeg")
    tifffile.imwrite(tmp_path / "b.tif", smooth, photometric="ycbcr", compression="jpeg")
    with Image.open(tmp_path / "b.tif") as seen:
        assert np.abs(decoded(path) - np.asarray(seen.convert("RGB")).astype(int)).max() <= 3


def test_a_too_large_image_is_not_replaced_by_its_small_copy(tmp_path, monkeypatch):
    path = with_small_copy(tmp_path / "a.tif", values_of("uint8", 3))
    monkeypatch.setattr("oncovec.data.decode._MOST_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match="more than 100 pixels"):
        decoded(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_of_12_bits_and_a_lossless_one_are_read(channels, tmp_path):
    ramp = np.add.outer(np.arange(48), np.arange(64)) * 36  # up to 3960 of 4095
    ramp = ramp if channels == 1 else np.repeat(ramp[..., None], 3, axis=2)
    deep, exact = tmp_path / "deep.jpg", tmp_path / "exact.jpg"
    deep.write_bytes(imagecodecs.jpeg8_encode(ramp.astype(np.uint16), level=97, bitspersample=12))
    assert np.abs(decoded(deep).mean(axis=2) - ramp.reshape(48, 64, -1)[..., 0] * (255 / 4095)).max() <= 2
    if channels == 1:
        exact.write_bytes(imagecodecs.ljpeg_encode(ramp.astype(np.uint16) * 16))
        assert np.abs(decoded(exact)[..., 0] - ramp * (16 * 255 / 65535)).max() <= 1


def packed(path: Path, values: np.ndarray, bits: int, white_is_zero: bool = False) -> Path:
    """Write a grey TIFF of so many bits per sample, rows padded to whole bytes; the header says so."""
    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in values.tolist()]
    data = b"".join(
        int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows
    )
    data += b"\0" * (len(data) % 2)
    height, width = values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 0 if white_is_zero else 1)]
    tags += [(273, 8), (277, 1), (278, height), (279, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    path.write_bytes(head + data + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0))
    return path


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14])
def test_the_header_says_what_white_is(bits, white_is_zero, tmp_path):
    values = np.random.default_rng(bits).integers(0, 2**bits, (HEIGHT, WIDTH))
    values.flat[:2] = 0, 2**bits - 1
    path = packed(tmp_path / "a.tif", values, bits, white_is_zero)
    found = expected(values, "miniswhite" if white_is_zero else "minisblack")
    assert np.abs(decoded(path) - found).max() <= 1


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_dark_image_stays_dark_where_the_header_names_its_bits(bits, tmp_path):
    values = np.full((HEIGHT, WIDTH), 2 ** (bits - 2))
    path = packed(tmp_path / "a.tif", values, bits)
    assert set(decoded(path).ravel()) == {64}
    assert mode(path).endswith(f"of {bits} bits")


@pytest.mark.parametrize(("most", "bits"), [(255, 8), (4095, 12), (4096, None), (65535, None)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_that_hold_fewer_are_taken_for_those(suffix, channels, most, bits, tmp_path):
    values = np.random.default_rng(most).integers(0, most, (HEIGHT, WIDTH, channels), endpoint=True)
    values.flat[:2] = 0, most
    values, path = values.astype(np.uint16).squeeze(), tmp_path / f"a.{suffix}"
    path.write_bytes(imagecodecs.png_encode(values)) if suffix == "png" else tifffile.imwrite(path, values)
    top = 65535 if bits is None else 2**bits - 1
    found = values.astype(float) * 255 / top
    assert np.abs(decoded(path) - (found if channels == 3 else found[..., None])).max() <= 0.51
    assert mode(path).endswith(f"in {bits} bits") == (bits is not None)


@pytest.mark.parametrize("kind", ["grey", "grey and alpha", "rgb", "rgb and alpha"])
def test_16_bit_png_is_what_another_reader_sees(kind, tmp_path):
    channels = {"grey": 1, "grey and alpha": 2, "rgb": 3, "rgb and alpha": 4}[kind]
    values, path = values_of("uint16", channels), tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(values))
    seen = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(float)
    seen = seen[..., None] if seen.ndim == 2 else seen
    opacity = seen[..., 3:] / 65535 if seen.shape[2] == 4 else 1
    colours = seen[..., 2::-1] if seen.shape[2] > 1 else np.repeat(seen, 3, axis=2)
    assert np.abs(decoded(path) - colours * opacity * 255 / 65535).max() <= 1.01


@pytest.mark.parametrize("extra", ["unspecified", "assocalpha", "unassalpha"])
def test_only_an_opacity_that_is_one_darkens_a_tiff(extra, tmp_path):
    values, path = values_of("uint16", 4), tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="rgb", extrasamples=[extra])
    opacity = values[..., 3:] / 65535 if extra == "unassalpha" else 1
    assert np.abs(decoded(path) - values[..., :3] * opacity * (255 / 65535)).max() <= 1.01


def test_a_palette_of_16_bits_gives_its_colours(tmp_path):
    indices = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    palette = np.random.default_rng(1).integers(0, 65536, (3, 256), dtype=np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, indices, photometric="palette", colormap=palette)
    assert np.abs(decoded(path) - np.moveaxis(palette, 0, -1)[indices] / 257).max() <= 1


def test_channels_that_are_no_colours_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    values, extra = np.zeros((HEIGHT, WIDTH, 5), np.uint16), ["unspecified"] * 4
    tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig", extrasamples=extra)
    with pytest.raises(UnreadableImageError, match="5 channels that are no RGB are not read"):
        decoded(path)


def test_orientation_holds_for_deep_images(tmp_path):
    values, path = values_of("uint16", 3), tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    assert np.abs(decoded(path) - np.rot90(expected(values, "rgb"), -1)).max() <= 1


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_deep_tiff_that_is_cut_is_unreadable(dtype, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values_of(dtype, 3), photometric="rgb")
    content = path.read_bytes()
    for length in (5, 100, len(content) // 2, len(content) - 20):
        path.write_bytes(content[:length])
        with pytest.raises(UnreadableImageError):
            decoded(path)


@pytest.mark.parametrize("chunk", ["icc_profile", "text"])
def test_large_metadata_changes_no_pixel(chunk, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    image = Image.fromarray(values_of("uint8", 3))
    note = PngInfo()
    note.add_text("Comment", "x" * (2 << 20), zip=True)
    options = {"icc_profile": bytes(2 << 20)} if chunk == "icc_profile" else {"pnginfo": note}
    image.save(tmp_path / "a.png", **options)
    assert np.array_equal(decoded(tmp_path / "a.png"), np.asarray(image))


ALPHAS = [
    ("uint16", 255),
    ("uint16", 4095),
    ("uint16", 65535),
    ("uint32", 255),
    ("int16", 255),
    ("float32", 1),
]


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize(("dtype", "opaque"), ALPHAS)
def test_an_opaque_alpha_of_fewer_bits_than_its_type_darkens_nothing(dtype, opaque, channels, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, channels)) * (opaque / 255)
    values[0, 0], values[0, 1] = 0, opaque
    values[..., -1] = opaque
    values, path = values.astype(dtype), tmp_path / "a.tif"
    photometric = "rgb" if channels == 4 else "minisblack"
    tifffile.imwrite(
        path, values, photometric=photometric, planarconfig="contig", extrasamples=["unassalpha"]
    )
    found = values[..., : channels - 1].astype(float) * 255 / opaque
    assert np.abs(decoded(path) - found).max() <= 1


@pytest.mark.parametrize("most", [255, 65535])
def test_floats_with_alpha_never_wrap_around(most, tmp_path):
    values, path = np.random.default_rng(0).random((HEIGHT, WIDTH, 4)) * most, tmp_path / "a.tif"
    values[0, 0], values[0, 1] = 0, most
    values[..., 3] = most
    tifffile.imwrite(path, values.astype("float32"), photometric="rgb", extrasamples=["unassalpha"])
    assert np.abs(decoded(path) - values[..., :3] * 255 / most).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "most"), [("int8", 127), ("int16", 32767), ("int16", 4095), ("int32", 65535)]
)
def test_signed_integers_without_a_negative_value_have_one_bit_less(dtype, most, tmp_path):
    values, path = np.linspace(0, most, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH), tmp_path / "a.tif"
    values = values.astype(dtype)
    tifffile.imwrite(path, values, photometric="minisblack")
    assert np.abs(decoded(path)[..., 0] - values.astype(float) * 255 / most).max() <= 1


@pytest.mark.parametrize("most", [255, 2**40])
def test_integers_of_64_bits_are_not_black(most, tmp_path):
    values, path = np.linspace(0, most, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH), tmp_path / "a.tif"
    tifffile.imwrite(path, values.astype(np.uint64), photometric="minisblack")
    assert np.abs(decoded(path)[..., 0] - values * 255 / most).max() <= 1


@pytest.mark.parametrize(("most", "refused"), [(1.00005, False), (1.2, True), (255, False)])
def test_floats_that_are_neither_shares_nor_grey_values_are_refused(most, refused, tmp_path):
    values, path = np.linspace(0, most, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH), tmp_path / "a.tif"
    tifffile.imwrite(path, values.astype(np.float32), photometric="minisblack")
    if refused:
        with pytest.raises(UnreadableImageError, match=r"floats up to 1\.2 are neither 0 to 1 nor 0 to 255"):
            decoded(path)
    else:
        assert np.abs(decoded(path)[..., 0] - values * 255 / (255 if most == 255 else 1)).max() <= 1


def test_an_old_palette_of_8_bits_gives_its_colours(tmp_path):
    indices = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    palette = np.random.default_rng(1).integers(0, 256, (3, 256), dtype=np.uint16)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, indices, photometric="palette", colormap=palette)
    assert np.array_equal(decoded(path), np.moveaxis(palette, 0, -1)[indices])


def test_a_raw_file_s_image_stands_behind_its_small_copy_in_a_sub_directory(tmp_path):
    values, path = values_of("uint8", 3), tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(values[::3, ::3], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(values, photometric="rgb")
    assert np.array_equal(decoded(path), values)


def test_of_a_volume_the_first_slice_is_read(tmp_path):
    values, path = np.random.default_rng(0).integers(0, 256, (16, 16, 32), np.uint8), tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="minisblack", volumetric=True, tile=(16, 16, 32))
    assert np.array_equal(decoded(path)[..., 0], values[0])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_with_a_transparent_value_lies_on_black(dtype, tmp_path):
    values, path = values_of(dtype, 1), tmp_path / "a.png"
    values[2, 3] = transparent = int(np.iinfo(dtype).max) // 2
    Image.fromarray(values).save(path, transparency=transparent)
    assert decoded(path)[2, 3].tolist() == [0, 0, 0]
    assert np.abs(decoded(path) - expected(values, "minisblack"))[values != transparent].max() <= 1


def jpeg_of_12_bits(path: Path, side: int = 64) -> bytes:
    ramp = (np.add.outer(np.arange(side), np.arange(side)) * (4095 // (2 * side))).astype(np.uint16)
    path.write_bytes(imagecodecs.jpeg8_encode(ramp, level=97, bitspersample=12))
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["12 bits", "lossless"])
@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_deep_jpeg_that_is_cut_is_unreadable(kind, share, tmp_path):
    path = tmp_path / "a.jpg"
    content = jpeg_of_12_bits(path)
    if kind == "lossless":
        content = imagecodecs.ljpeg_encode(values_of("uint16", 1))
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableImageError, match="truncated"):
        decoded(path)


def marked(content: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments put behind its start: marker and body."""
    told = b"".join(b"\xff" + each[:1] + struct.pack(">H", len(each) + 1) + each[1:] for each in segments)
    return content[:2] + told + content[2:]


def exif(orientation: int) -> bytes:
    tag = struct.pack("<HHIHH", 274, 3, 1, orientation, 0)
    return b"\xe1Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + struct.pack("<I", 0)


def test_a_deep_jpeg_is_turned_by_exif_behind_a_large_profile(tmp_path):
    path = tmp_path / "a.jpg"
    content = jpeg_of_12_bits(path)
    upright = decoded(path)
    path.write_bytes(marked(content, b"\xe2" + bytes(60000), b"\xe2" + bytes(60000), exif(6)))
    assert np.array_equal(decoded(path), np.rot90(upright, -1))


@pytest.mark.parametrize("block", [b"\xe1Exif\0\0garbage", b"\xe1Exif\0\0", exif(9)])
def test_damaged_exif_turns_and_spoils_nothing(block, tmp_path):
    path = tmp_path / "a.jpg"
    content = jpeg_of_12_bits(path)
    upright = decoded(path)
    path.write_bytes(marked(content, block))
    assert np.array_equal(decoded(path), upright)


@pytest.mark.parametrize("value", [("6\0", 2), ((6, 6), 3)])
def test_an_orientation_that_is_none_turns_no_tiff(value, tmp_path):
    values, path = values_of("uint16", 3), tmp_path / "a.tif"
    content, kind = value
    count = len(content)
    tifffile.imwrite(path, values, photometric="rgb", extratags=[(274, kind, count, content, True)])
    assert np.abs(decoded(path) - expected(values, "rgb")).max() <= 1


def test_tiffs_that_pillow_does_not_know_are_read_or_refused_by_what_they_are(tmp_path):
    values, path = values_of("uint8", 3), tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="rgb", bigtiff=True, byteorder=">")
    assert np.array_equal(decoded(path), values)
    tifffile.imwrite(path, values, photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(1)  # grey, as some writers say
    assert np.array_equal(decoded(path), values)
    grey = np.stack([values[..., 0] // 2, np.full((HEIGHT, WIDTH), 128, np.uint8)], -1)
    tifffile.imwrite(path, grey, photometric="minisblack", planarconfig="contig", extrasamples=["assocalpha"])
    assert np.array_equal(decoded(path)[..., 0], grey[..., 0])
    tifffile.imwrite(path, values_of("float32", 1).astype(np.complex64), photometric="minisblack")
    with pytest.raises(UnreadableImageError, match="complex numbers of 64 bits are not read"):
        decoded(path)
    tifffile.imwrite(path, values, photometric="icclab")
    with pytest.raises(UnreadableImageError, match="8 bits of ICCLAB in 3 channels are not read"):
        decoded(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_strips_without_data_are_refused(dtype, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values_of(dtype, 1), photometric="minisblack", rowsperstrip=3)
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = file.pages[0].tags["StripByteCounts"]
        counts.overwrite([counts.value[0], 0, counts.value[2]])
    with pytest.raises(UnreadableImageError, match="strips or tiles without data"):
        decoded(path)


def test_a_tiff_that_does_not_say_what_black_is_has_black_at_0(tmp_path):
    path = packed(tmp_path / "a.tif", values_of("uint8", 1).astype(int), 8)
    before = decoded(path)
    content = path.read_bytes()
    tag = struct.pack("<HH", 262, 4)
    path.write_bytes(content.replace(tag, struct.pack("<HH", 65000, 4)))
    assert np.array_equal(decoded(path), before)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [(9, 2, "2 channels that are no RGB"), (5, b"\0\0", r"a height that stands behind the image \(DNL\)")],
)
def test_a_jpeg_that_is_not_read_says_why(place, value, reason, tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(values_of("uint8", 3)).save(path)
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + place : frame + place + (1 if isinstance(value, int) else 2)] = (
        bytes([value]) if isinstance(value, int) else value
    )
    path.write_bytes(bytes(content))
    with pytest.raises(UnreadableImageError, match=reason):
        decoded(path)


def test_a_deep_jpeg_that_is_too_large_is_called_so(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    jpeg_of_12_bits(path)
    monkeypatch.setattr("oncovec.data.decode._MOST_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match="more than 100 pixels"):
        decoded(path)


def test_a_tiff_whose_pages_lead_to_themselves_ends(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(values_of("uint16", 1), photometric="minisblack", subfiletype=1)
    content = bytearray(path.read_bytes())
    start = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[start : start + 2])[0]
    content[start + 2 + 12 * count : start + 6 + 12 * count] = struct.pack("<I", start)
    path.write_bytes(bytes(content))
    assert decoded(path).shape == (HEIGHT, WIDTH, 3)


def test_an_image_without_a_width_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values_of("uint16", 1), photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["ImageWidth"].overwrite(0)
    with pytest.raises(UnreadableImageError):
        decoded(path)


def test_grey_that_is_transparent_everywhere_keeps_its_values(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((HEIGHT, WIDTH), 30000, np.uint16)).save(path, transparency=30000)
    assert set(decoded(path).ravel()) == {117}
