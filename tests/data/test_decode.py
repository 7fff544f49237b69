import pickle
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile

from oncovec.core.errors import OncovecError
from oncovec.data import dicom
from oncovec.data.decode import Facts, UnreadableImageError, decode, fit, read_image
from oncovec.data.tree import Folder, alone

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)

# What the EXIF standard says about where row 0 and column 0 of the stored picture are to be seen.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def saved(folder: Path, image: Image.Image, name: str, **options) -> Path:
    image.save(folder / name, **options)
    return folder / name


def probe(tree: Folder, path: str) -> Facts:
    return read_image(tree, path, [64])[1]


def pixels(path: Path, size_hint: int | None = None) -> np.ndarray:
    image = decode(*alone(path), size_hint)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def greys(path: Path) -> list[int]:
    found = pixels(path)
    assert (found == found[..., :1]).all()
    return found[..., 0].ravel().tolist()


def reason(path: Path) -> str:
    messages = []
    for read in (decode, probe):
        with pytest.raises(UnreadableImageError) as caught:
            read(*alone(path))
        assert str(caught.value) == f"{path}: {caught.value.reason}"
        messages.append(caught.value.reason)
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]
    assert "0x" not in messages[0]
    return messages[0]


# --- orientation ---


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_exif_orientation_is_undone(orientation, suffix, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path, Image.fromarray(COLOUR), f"a.{suffix}", exif=exif, **lossless)
    expected = UPRIGHT[orientation](COLOUR)
    assert np.array_equal(pixels(path), expected)
    facts = probe(*alone(path))
    assert (facts.height, facts.width) == expected.shape[:2]


@pytest.mark.parametrize(("orientation", "size"), [(1, (640, 400)), (3, (640, 400)), (6, (400, 640))])
def test_the_facts_have_the_full_upright_size_of_a_reduced_jpeg(orientation, size, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    facts = probe(*alone(saved(tmp_path, Image.new("L", (640, 400)), "a.jpg", exif=exif)))
    assert (facts.width, facts.height, facts.mode) == (*size, "L")


def test_an_illegible_orientation_does_not_spoil_a_whole_image(tmp_path):
    path = saved(tmp_path, Image.fromarray(COLOUR), "a.png", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff rubbish")
    assert np.array_equal(pixels(path), COLOUR)


def test_the_facts_have_the_hash_of_the_bytes(tmp_path):
    path = saved(tmp_path, Image.fromarray(COLOUR), "a.png")
    assert probe(*alone(path)).sha256 == sha256(path.read_bytes()).hexdigest()


# --- depth and modes ---


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_mapped_by_its_full_range(suffix, tmp_path):
    grey = np.array([[0, 128, 129, 257, 32768, 65534, 65535]], np.uint16)
    path = saved(tmp_path, Image.fromarray(grey), f"a.{suffix}")
    assert probe(*alone(path)).mode == ("I;16" if suffix == "png" else "uint16 x 1")
    assert greys(path) == [0, 0, 1, 1, 128, 255, 255]


def test_big_endian_16_bit_tiff_is_mapped_like_little_endian(tmp_path):
    grey = np.array([[0, 257, 65535]], np.uint16)
    path = saved(tmp_path, Image.frombytes("I;16B", (3, 1), grey.astype(">u2").tobytes()), "a.tif")
    assert greys(path) == [0, 1, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 257, 65535], [0, 1, 255]), ([-1000, 0, 1000], [0, 128, 255]), ([0, 65536, 131072], [0, 128, 255])],
)
def test_32_bit_integers_are_taken_as_16_bit_or_stretched(values, expected, tmp_path):
    path = saved(tmp_path, Image.fromarray(np.array([values], np.int32)), "a.tif")
    assert probe(*alone(path)).mode == "int32 x 1"
    assert greys(path) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.2, 1], [0, 51, 255]),
        ([0.2, 0.2, 0.2], [51, 51, 51]),
        ([0, 51.4, 200], [0, 51, 200]),
        ([-1000, 0, 1000], [0, 128, 255]),
        ([300, 300, 300], [0, 0, 0]),
        ([0, float("nan"), 1], [0, 0, 255]),
        ([float("inf")] * 3, [0, 0, 0]),
    ],
)
def test_floats_are_taken_as_unit_range_or_bytes_or_stretched(values, expected, tmp_path):
    path = saved(tmp_path, Image.fromarray(np.array([values], np.float32)), "a.tif")
    assert greys(path) == expected


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_transparency_lies_on_black(suffix, tmp_path):
    rgba = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    rgba[0, :, 3] = 0
    lossless = {"lossless": True, "exact": True} if suffix == "webp" else {}
    path = saved(tmp_path, Image.fromarray(rgba), f"a.{suffix}", **lossless)
    expected = rgba[..., :3] * (rgba[..., 3:] / 255)
    assert np.abs(pixels(path) - expected).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("deep", [False, True])
def test_an_image_that_is_transparent_everywhere_is_shown(suffix, deep, tmp_path):
    rgba = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    path = tmp_path / f"a.{suffix}"
    if not deep:
        saved(tmp_path, Image.fromarray(rgba), path.name)
    elif suffix == "png":
        path.write_bytes(imagecodecs.png_encode(rgba.astype(np.uint16) * 257))
    else:
        tifffile.imwrite(path, rgba.astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(pixels(path), rgba[..., :3])


def test_grey_with_alpha_lies_on_black(tmp_path):
    image = Image.merge("LA", [Image.new("L", (2, 2), 200), Image.new("L", (2, 2), 51)])
    assert greys(saved(tmp_path, image, "a.png")) == [40] * 4


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_transparent_palette_colour_is_black(suffix, tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 255, 255, 255])
    image.putdata([0, 1, 2])
    path = saved(tmp_path, image, f"a.{suffix}", transparency=1)
    assert pixels(path).tolist() == [[[255, 0, 0], [0, 0, 0], [255, 255, 255]]]


def test_a_transparent_colour_without_alpha_is_black(tmp_path):
    image = Image.fromarray(np.array([[[255, 255, 255], [9, 8, 7]]], np.uint8))
    path = saved(tmp_path, image, "a.png", transparency=(255, 255, 255))
    assert pixels(path).tolist() == [[[0, 0, 0], [9, 8, 7]]]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_not_inverted(suffix, tmp_path):
    for ink, colour in [((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0)), ((0,) * 4, (255,) * 3)]:
        path = saved(tmp_path, Image.new("CMYK", (16, 16), ink), f"a.{suffix}")
        assert probe(*alone(path)).mode == "CMYK"
        assert np.abs(pixels(path) - colour).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_one_bit_becomes_black_and_white(suffix, tmp_path):
    image = Image.new("1", (3, 1))
    image.putdata([0, 255, 0])
    assert greys(saved(tmp_path, image, f"a.{suffix}")) == [0, 255, 0]


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_the_first_frame_is_taken(suffix, tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    path = saved(tmp_path, frames[0], f"a.{suffix}", save_all=True, append_images=frames[1:])
    assert (pixels(path) > 250).all()


# --- reduced decoding ---


@pytest.mark.parametrize("size", [(1000, 700), (700, 1000), (257, 256), (100, 90)])
@pytest.mark.parametrize("hint", [32, 64, 128, 256, 2000])
def test_a_reduced_jpeg_keeps_the_hint_on_its_shorter_side(size, hint, tmp_path):
    image = decode(*alone(saved(tmp_path, Image.new("RGB", size), "a.jpg")), hint)
    assert min(image.size) >= min(hint, *size)
    assert min(image.size) < max(2 * hint + 1, min(size) / 8 + 1)


def test_a_reduced_jpeg_shows_the_same_picture(tmp_path):
    y, x = np.mgrid[:512, :512] / 511
    smooth = (np.stack([x, y, np.sin(6 * x * y) ** 2], -1) * 255).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(smooth), "a.jpg", quality=95)
    reduced = fit(decode(*alone(path), 64), 64, "keep").astype(int)
    full = fit(decode(*alone(path)), 64, "keep").astype(int)
    assert np.abs(reduced - full).mean() < 2


# --- one file, several sizes ---


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_each_size_gets_what_it_would_get_alone(name, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = Image.fromarray(RNG.integers(0, 256, (512, 700, 3), dtype=np.uint8))
    path = saved(tmp_path, noise, name, exif=exif)
    sizes = [160, 128, 64, 2000, 1]
    images, facts = read_image(*alone(path), sizes)
    for size, image in zip(sizes, images, strict=True):
        assert np.array_equal(image, decode(*alone(path), size))
    assert (facts.width, facts.height) == decode(*alone(path)).size


def test_a_file_is_read_once_for_all_sizes(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.new("RGB", (512, 512)), "a.jpg")
    read, taken = Folder.read, []
    monkeypatch.setattr(Folder, "read", lambda tree, path: (taken.append(path), read(tree, path))[1])
    read_image(*alone(path), [160, 128])
    assert taken == ["a.jpg"]


@pytest.mark.parametrize(
    ("name", "side", "sizes", "times"),
    [
        ("a.jpg", 512, [256, 129], 1),
        ("a.jpg", 512, [160, 128], 2),
        ("a.jpg", 4000, [400, 128], 1),
        ("a.jpg", 224, [160, 128], 1),
        ("a.png", 512, [160, 128], 1),
    ],
)
def test_it_is_decoded_again_only_for_another_reduction(name, side, sizes, times, tmp_path, monkeypatch):
    path = saved(tmp_path, Image.new("L", (side, side)), name)
    load, decoded = ImageFile.load, []

    def counted(image):
        decoded.extend(["once more"] if image.tile else [])
        return load(image)

    monkeypatch.setattr(ImageFile, "load", counted)
    read_image(*alone(path), sizes)
    assert len(decoded) == times


# --- errors ---


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.bmp", "a.gif", "a.webp"])
def test_a_truncated_image_is_refused(name, tmp_path):
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path = saved(tmp_path, noise, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert "truncated" in reason(path) or "damaged" in reason(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.png", b"", "empty file"),
        ("a.jpg", b"<html>404</html>", "a web page or XML, no image"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\n", "fetch the image with `git lfs pull`"),
        ("a.jpg", b"PK\3\4 and more", "an archive, no image"),
        ("a.jpg", bytes(4096), "its first bytes are all zero"),
        ("a.jpg", b"neither", "not an image that is read"),
        ("a.dcm", b"anything", dicom.NO_PREAMBLE),
        (
            "noname",
            b"\0" * 128 + b"DICM",
            "DICOM without pixels (of an unknown kind), no image: leave it out",
        ),
        ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image that is read"),
    ],
)
def test_what_is_no_image_is_refused_with_its_reason(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert says in reason(tmp_path / name)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(13, "Permission denied"), "cannot be opened: Permission denied"),
        (ValueError("embedded null byte"), "cannot be opened: not a path"),
    ],
)
def test_a_file_that_cannot_be_opened_is_an_unreadable_image(error, says, tmp_path, monkeypatch):
    def read(tree, path):
        raise error

    monkeypatch.setattr(Folder, "read", read)
    assert reason(tmp_path / "a.png") == says


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert reason(tmp_path / "none.png") == "cannot be opened: No such file or directory"
    assert reason(tmp_path) == "cannot be opened: Is a directory"


@pytest.mark.parametrize("side", [9500, 14000])
def test_too_many_pixels_are_refused_whether_pillow_warns_or_raises(side, tmp_path):
    header = struct.pack(">II5B", side, side, 1, 0, 0, 0, 0)
    small = saved(tmp_path, Image.new("1", (8, 8)), "a.png")
    content = small.read_bytes()
    chunk = b"IHDR" + header
    small.write_bytes(content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:])
    assert "decompression bomb" in reason(small)


def test_threads_leave_the_filters_of_warnings_as_they_were(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.new("RGB", (8, 8)), "a.png")
    both, load = threading.Barrier(2, timeout=30), PngImageFile.load

    def together(image):
        both.wait()  # so that each is within while the other is
        warnings.warn("of Pillow", stacklevel=1)
        return load(image)

    before = list(warnings.filters)
    monkeypatch.setattr(PngImageFile, "load", together)
    with ThreadPoolExecutor(2) as pool:
        images = list(pool.map(lambda _: decode(*alone(path)), range(2)))
    assert [image.size for image in images] == [(8, 8)] * 2
    assert warnings.filters == before


def test_the_error_survives_the_way_back_from_a_worker(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(OncovecError) as caught:
        decode(Folder(tmp_path), "a.png")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def encoded(suffix: str, **options) -> bytes:
    stream = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(stream, suffix, exif=exif, **options)
    return stream.getvalue()


SMALL = {
    "jpeg": encoded("jpeg"),
    "png": encoded("png"),
    "tiff": encoded("tiff"),
    "tiff-lzw": encoded("tiff", compression="tiff_lzw"),
    "gif": encoded("gif"),
    "webp": encoded("webp"),
    "bmp": encoded("bmp"),
}
edits = st.lists(
    st.tuples(st.integers(0, 2000), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=5
)


@pytest.mark.parametrize("kind", SMALL)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(edits=edits, hint=st.sampled_from([None, 1, 4]))
def test_any_damaged_bytes_give_an_image_or_one_line(kind, tmp_path_factory, edits, hint):
    content = bytearray(SMALL[kind])
    for position, inserted, removed in edits:
        start = position % len(content)
        content[start : start + removed] = inserted
        content = content or bytearray(b"\0")
    path = tmp_path_factory.getbasetemp() / f"fuzz-{kind}"
    path.write_bytes(content)
    try:
        assert decode(*alone(path), hint).mode == "RGB"
    except OncovecError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(content=st.binary(max_size=400))
def test_any_bytes_give_an_image_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.png"
    path.write_bytes(content)
    with pytest.raises(OncovecError):
        probe(*alone(path))


# --- fit ---


@pytest.mark.parametrize(("size", "box"), [((40, 20), (0, 8, 32, 24)), ((20, 40), (8, 0, 24, 32))])
def test_keep_centres_the_whole_image_on_black(size, box, tmp_path):
    square = fit(Image.new("RGB", size, "white"), 32, "keep")
    expected = np.zeros((32, 32, 3), np.uint8)
    expected[box[1] : box[3], box[0] : box[2]] = 255
    assert np.array_equal(square, expected)


def test_squash_fills_the_square():
    assert (fit(Image.new("RGB", (40, 20), "white"), 32, "squash") == 255).all()


@pytest.mark.parametrize("resize", ["keep", "squash"])
def test_an_image_that_fits_stays_as_it_is(resize):
    image = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(fit(Image.fromarray(image), 32, resize), image)


@pytest.mark.parametrize("resize", ["keep", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 1000)])
def test_any_shape_becomes_a_square_of_bytes(size, resize):
    square = fit(Image.new("RGB", size, "white"), 16, resize)
    assert (square.shape, square.dtype) == ((16, 16, 3), np.uint8)
    assert square.any()


def test_reducing_averages_instead_of_picking_pixels():
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    square = fit(Image.fromarray(board).convert("RGB"), 16, "squash").astype(int)
    assert np.abs(square - 127).max() <= 8
