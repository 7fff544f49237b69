"""Every kind of input stands for the same picture as a PNG file, or is refused in words that fit."""

import collections
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from oncovec.core.errors import OncovecError
from oncovec.data import prepare
from oncovec.data.decode import Square
from oncovec.data.layouts.listing import Record, make_listing
from oncovec.data.tree import UNNAMED, Folder
from oncovec.serving import inputs

SIZE = 24
COLOUR = np.random.default_rng(3).integers(0, 256, (14, 20, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
ALPHA = np.dstack([COLOUR, np.random.default_rng(4).integers(0, 256, (14, 20), dtype=np.uint8)])
BLACK_AND_WHITE = GREY > 127
OTHERS = np.random.default_rng(5).integers(0, 256, (5, 14, 20, 3), dtype=np.uint8)
tensor = torch.from_numpy


def read(images):
    """The squares of all images given, or the reasons why there are none."""
    return [inputs.square(image, SIZE, "keep") for image in inputs.singles(images)]


def of_png(pixels, folder):
    """The square of the picture as a PNG file, and the file."""
    file = folder / "picture.png"
    Image.fromarray(pixels).save(file)
    return inputs.square(file, SIZE, "keep"), file


def chw(pixels):
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


class Foreign:
    """An array of a library that NumPy understands, which is neither NumPy nor torch."""

    def __init__(self, values):
        self._values = values
        self.shape, self.dtype = values.shape, values.dtype

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._values, dtype)

    def __iter__(self):
        return map(Foreign, self._values) if self._values.ndim > 1 else iter(self._values)


ONE = {
    "uint8 (H, W, 3)": (COLOUR, COLOUR),
    "uint8 (H, W)": (GREY, GREY),
    "uint8 (H, W, 1)": (GREY[..., None], GREY),
    "uint8 (H, W, 4)": (ALPHA, ALPHA),
    "not contiguous": (COLOUR[:, ::-1][:, ::-1], COLOUR),
    "read-only": (np.frombuffer(COLOUR.tobytes(), np.uint8).reshape(COLOUR.shape), COLOUR),
    "big endian": (GREY.astype(">i4"), GREY),
    "bool": (BLACK_AND_WHITE, BLACK_AND_WHITE),
    "bool (H, W, 3)": (COLOUR > 127, (COLOUR > 127).astype(np.uint8) * 255),
    "uint16 (H, W)": (GREY.astype(np.uint16) * 257, GREY),
    "uint16 (H, W, 3)": (COLOUR.astype(np.uint16) * 257, COLOUR),
    "12 bits in uint16": (np.rint(GREY * (4095 / 255)).astype(np.uint16), GREY),
    "12 bits in int32": (np.rint(GREY * (4095 / 255)).astype(np.int32), GREY),
    "uint16, as its file": (GREY.astype(np.uint16) * 40, GREY.astype(np.uint16) * 40),
    "int64 of 8 bits": (COLOUR.astype(np.int64), COLOUR),
    "int16 of 8 bits": (GREY.astype(np.int16), GREY),
    "uint32 of 8 bits": (GREY.astype(np.uint32), GREY),
    "int32 of 16 bits": (GREY.astype(np.int32) * 257, GREY),
    "float64 in 0..1": (COLOUR / 255, COLOUR),
    "float32 in 0..1": (COLOUR.astype(np.float32) / np.float32(255), COLOUR),
    "float16 in 0..1": ((COLOUR / 255).astype(np.float16), COLOUR),
    "float32 in 0..255": (COLOUR.astype(np.float32), COLOUR),
    "float64 in 0..255, grey": (GREY.astype(float), GREY),
    "float, beyond by rounding": (COLOUR / 255 * (1 + 1e-6) - 1e-7, COLOUR),
    "float (H, W, 4)": (ALPHA / 255, ALPHA),
    "black floats": (np.zeros((14, 20, 3)), np.zeros((14, 20, 3), np.uint8)),
    "black uint16": (np.zeros((14, 20), np.uint16), np.zeros((14, 20), np.uint8)),
    "(1, H, W)": (GREY[None], GREY),
    "another library's": (Foreign(COLOUR), COLOUR),
    "a masked array that masks nothing": (np.ma.masked_array(COLOUR), COLOUR),
    "tensor (3, H, W)": (tensor(chw(COLOUR)), COLOUR),
    "tensor (4, H, W)": (tensor(chw(ALPHA)), ALPHA),
    "tensor (1, H, W)": (tensor(GREY[None].copy()), GREY),
    "tensor (H, W)": (tensor(GREY.copy()), GREY),
    "tensor (H, W, 3)": (tensor(COLOUR), COLOUR),
    "tensor (3, H, 3) has its channels first": (tensor(chw(COLOUR[:, :3])), COLOUR[:, :3]),
    "tensor, bool": (tensor(chw(COLOUR) > 127), (COLOUR > 127).astype(np.uint8) * 255),
    "tensor, int64": (tensor(chw(COLOUR)).long(), COLOUR),
    "tensor, as ToTensor gives it": (tensor(chw(COLOUR)).float() / 255, COLOUR),
    "tensor, float64 in 0..255": (tensor(chw(COLOUR)).double(), COLOUR),
    "tensor, bfloat16": (tensor(chw(COLOUR)).bfloat16(), tensor(COLOUR).bfloat16().byte().numpy()),
    "tensor, half": ((tensor(chw(COLOUR)).float() / 255).half(), COLOUR),
    "tensor that wants a gradient": ((tensor(chw(COLOUR)).float() / 255).requires_grad_(), COLOUR),
    "tensor in the middle of a graph": ((tensor(chw(COLOUR)) / 255).requires_grad_() * 1, COLOUR),
    "tensor, channels last in memory": (
        tensor(chw(COLOUR))[None].contiguous(memory_format=torch.channels_last)[0],
        COLOUR,
    ),
}


@pytest.mark.parametrize("kind", ONE)
def test_one_array_or_tensor_is_one_image_alone_and_in_a_list(kind, tmp_path):
    given, pixels = ONE[kind]
    expected, _ = of_png(pixels, tmp_path)
    for images in (given, [given], (each for each in [given])):
        found = read(images)
        assert len(found) == 1
        assert np.array_equal(found[0], expected)


@pytest.mark.parametrize("images", [COLOUR, tensor(chw(COLOUR))], ids=["array", "tensor"])
def test_an_image_given_is_left_as_it_was(images):
    before = images.copy() if isinstance(images, np.ndarray) else images.clone()
    read(images)
    assert (images == before).all()


GREYS = OTHERS[..., 0]
SEVERAL = {
    "array (N, H, W, 3)": (OTHERS, OTHERS),
    "array (N, H, W, 4)": (np.stack([ALPHA, ALPHA]), [ALPHA, ALPHA]),
    "array (N, H, W, 1)": (GREYS[..., None], GREYS),
    "array (N, 3, H, W)": (np.stack([chw(each) for each in OTHERS]), OTHERS),
    "array (N, 1, H, W)": (GREYS[:, None], GREYS),
    "array (N, H, W)": (GREYS, GREYS),
    "array (2, H, W)": (GREYS[:2], GREYS[:2]),
    "floats (N, H, W, 3)": (OTHERS / 255, OTHERS),
    "tensor (N, 3, H, W)": (tensor(np.stack([chw(each) for each in OTHERS])), OTHERS),
    "tensor (N, H, W, 3)": (tensor(OTHERS), OTHERS),
    "tensor (N, H, W)": (tensor(GREYS.copy()), GREYS),
    "tensor (1, 3, H, W)": (tensor(chw(COLOUR))[None], [COLOUR]),
    "another library's (N, H, W, 3)": (Foreign(OTHERS), OTHERS),
    "an array of arrays": (np.array([GREY, COLOUR, None], object)[:2], [GREY, COLOUR]),
    "list of arrays": (list(OTHERS), OTHERS),
    "list of arrays of all kinds": ([GREY, COLOUR / 255, ALPHA], [GREY, COLOUR, ALPHA]),
    "list of arrays with channels first": ([chw(COLOUR), chw(ALPHA)], [COLOUR, ALPHA]),
    "tuple of tensors": (tuple(tensor(chw(each)) for each in OTHERS), OTHERS),
    "tensor and array, whose channels are where each has them": ([tensor(chw(COLOUR)), COLOUR], [COLOUR] * 2),
    "generator": ((each for each in OTHERS), OTHERS),
    "map": (map(Image.fromarray, OTHERS), OTHERS),
    "deque": (collections.deque(OTHERS), OTHERS),
    "values of a dict": (dict(enumerate(OTHERS)).values(), OTHERS),
    "list of Pillow images": ([Image.fromarray(each) for each in OTHERS], OTHERS),
    "nothing": ([], []),
    "an array of nothing": (np.array([]), []),
    "a tensor of nothing": (torch.zeros(0), []),
    "a batch of none": (OTHERS[:0], []),
    "a batch of no grey ones": (GREYS[:0], []),
    "no tensors": (torch.zeros(0, 3, 14, 20), []),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_images_are_read_in_their_order(kind, tmp_path):
    given, pixels = SEVERAL[kind]
    found = read(given)
    assert len(found) == len(pixels)
    for square, picture in zip(found, pixels, strict=True):
        assert np.array_equal(square, of_png(picture, tmp_path)[0])


class Series:
    """What matters of a pandas Series: it has the attributes of an array, and keys."""

    def __init__(self, values):
        self.values = np.array(values, object)
        self.shape, self.dtype, self.index = self.values.shape, self.values.dtype, range(len(values))

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __iter__(self):
        return iter(self.values)

    def keys(self):
        return self.index


PATHS = {
    "str": str,
    "Path": Path,
    "os.PathLike": lambda file: next(os.scandir(file.parent)),
    "str of NumPy": lambda file: np.array([str(file)])[0],
    "list of str": lambda file: [str(file)],
    "set of one, as a list": lambda file: list({file}),
    "glob": lambda file: file.parent.glob("*.png"),
    "array of str": lambda file: np.array([str(file)]),
    "array of objects": lambda file: np.array([file], object),
    "Series": lambda file: Series([str(file)]),
    "Pillow image": Image.open,
}


@pytest.mark.parametrize("kind", PATHS)
def test_a_path_may_come_in_many_forms(kind, tmp_path):
    expected, file = of_png(COLOUR, tmp_path)
    found = read(PATHS[kind](file))
    assert len(found) == 1
    assert np.array_equal(found[0], expected)


class Table:
    """What matters of a pandas DataFrame: iterating over it gives the names of its columns."""

    columns = ("path", "label")
    shape = (1, 2)

    def __iter__(self):
        return iter(self.columns)


REFUSED = {
    "None": (None, "None is neither an image nor several"),
    "a number": (7, "int is neither"),
    "a number of NumPy": (np.float64(3), r"float64 float64 \(\) is neither"),
    "a dict": ({"a": COLOUR}, r"a dict holds images under names: give list\(images.values\(\)\)"),
    "a set": ({"a.png", "b.png"}, "a set has no order"),
    "a frozenset": (frozenset(["a.png"]), "a frozenset has no order"),
    "bytes": (b"a.png", "bytes: give a path as str, or PIL.Image.open"),
    "bytes of a file": (bytearray(b"\x89PNG"), "bytearray: give a path"),
    "an open file": (io.BytesIO(b"\x89PNG"), "an open file: give its path, or PIL.Image.open"),
    "a table": (Table(), "a Table is a table: give one column of it"),
    "a function": (len, "builtin_function_or_method is neither"),
    "a row of numbers": (np.zeros(5), r"ndarray float64 \(5,\) is neither"),
    "a tensor that is a row of numbers": (torch.zeros(5), r"Tensor float32 \(5,\) is neither"),
    "array (3, H, W)": (chw(COLOUR), r"\(3, 14, 20\) may be one image or 3 grey ones: give images.transpose"),
    "array (4, H, W)": (chw(ALPHA), "may be one image or 4 grey ones"),
    "array (N, H, W, 2)": (np.zeros((5, 14, 20, 2)), r"\(5, 14, 20, 2\) is neither"),
    "array (N, H, W, 5)": (np.zeros((5, 14, 20, 5)), "is neither"),
    "five dimensions": (np.zeros((2, 2, 14, 20, 3)), "is neither"),
    "tensor (N, 6, H, W)": (torch.zeros(2, 6, 14, 20), "is neither"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_neither_an_image_nor_several_is_refused_at_once(kind):
    given, reason = REFUSED[kind]
    with pytest.raises(OncovecError, match=f"^images: .*{reason}") as error:
        inputs.singles(given)
    assert "\n" not in str(error.value)


def changed(pixels, value):
    pixels = pixels.copy()
    pixels[0, 0] = value
    return pixels


UNREADABLE = {
    "None": (None, "None is no image"),
    "a number": (7, "int is no image"),
    "not a number": (float("nan"), "float is no image"),
    "a list": ([COLOUR], "a list among the images: give single ones in one flat list"),
    "an image with its label": ((COLOUR, 1), "a tuple among the images"),
    "a dict": ({"image": COLOUR}, "holds images under names"),
    "bytes": (b"a.png", "give a path as str"),
    "a batch": (OTHERS, r"ndarray uint8 \(5, 14, 20, 3\) is no single image"),
    "greys": (GREYS, "is no single image"),
    "(H, W, 2)": (np.zeros((14, 20, 2), np.uint8), "is no single image"),
    "(H, W, 5)": (np.zeros((14, 20, 5), np.uint8), "is no single image"),
    "a row": (np.zeros(4, np.uint8), "is no single image"),
    "no pixels": (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
    "complex": (np.zeros((4, 4), complex), "complex128 .* no integers or floats"),
    "text": (np.array([["a.png"]]), "paths belong into one flat list"),
    "objects": (np.array([["a.png", None]], object), "paths belong into one flat list"),
    "dates": (np.zeros((4, 4), "datetime64[s]"), "no integers or floats"),
    "masked": (np.ma.masked_array(GREY, BLACK_AND_WHITE), "masked values; fill them"),
    "NaN": (changed(COLOUR / 255, np.nan), "not finite"),
    "infinity": (changed(COLOUR / 255, np.inf), "not finite"),
    "normalised": (
        tensor(chw(COLOUR)).float() / 128 - 1,
        "values from -1 to 0.99.*give 0 to 1 or 0 to 255, as they are before any normalisation",
    ),
    "Hounsfield units": (GREY.astype(np.int16) - 1000, "values from -1000 .*give 0 to 255 or 0 to 65535"),
    "floats above 255": (GREY * 4.0, "give 0 to 1 or 0 to 255"),
    "integers above 65535": (GREY.astype(np.int32) * 1000, "give 0 to 255 or 0 to 65535"),
    "floats that end between": (changed(COLOUR / 255, 1.02), "to 1.02, neither .*: clip them to 0 to 1"),
    "8 bits in uint16": (GREY.astype(np.uint16), "give uint8 if they have 8 bits"),
    "a sparse tensor": (tensor(GREY.copy()).to_sparse(), "cannot be read"),
    "a tensor without data": (torch.zeros(3, 4, 4, device="meta"), "cannot be read"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_element_that_is_no_image_gets_its_reason_and_the_others_are_read(kind):
    given, reason = UNREADABLE[kind]
    before, told, after = read([COLOUR, given, COLOUR])
    assert np.array_equal(before, after)
    assert isinstance(told, str)
    assert "\n" not in told
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(told)


def test_one_image_that_cannot_be_read_alone_gets_its_reason_too():
    assert "not finite" in read(changed(COLOUR / 255, np.nan))[0]
    assert "cannot be opened" in read("nothing.png")[0]
    assert "not a path" in read("nothing\0.png")[0]


@pytest.mark.parametrize("name", ["scans", "scans/"])
def test_a_folder_is_refused_by_its_name_with_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    assert read(name) == ["scans is a folder: list its images, as in sorted(Path('scans').glob('*.png'))"]


def test_images_are_taken_no_faster_than_they_are_asked_for():
    taken = []
    found = inputs.singles(taken.append(number) or COLOUR for number in range(10))
    next(found)
    assert taken == [0]


@pytest.mark.parametrize("resize", ["keep", "squash"])
@pytest.mark.parametrize("size", [16, 40])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_image_larger_than_stored_becomes_the_square_that_preparation_stores(
    tmp_path, resize, size, suffix
):
    records = []
    for number, shape in enumerate([(650, 450), (100, 750), (300, 300), (17, 90)]):
        noise = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        name = f"{number}.{suffix}"
        Image.fromarray(noise).resize(shape, Image.Resampling.BICUBIC).save(tmp_path / name)
        records.append(Record(name, {"label": "ab"[number % 2]}))
    listing = make_listing(Folder(tmp_path), records)
    (tmp_path / "prepared").mkdir()
    prepare.prepare(Folder(tmp_path), listing, tmp_path / "prepared", Square(size, resize), workers=1)
    stored = np.load(tmp_path / "prepared/images.npy")
    for record, expected in zip(records, stored, strict=True):
        assert np.array_equal(inputs.square(tmp_path / record.image, size, resize), expected)


def test_a_file_whose_name_no_table_can_hold_is_unreadable_as_in_the_pipeline(tmp_path, picture):
    path = picture(tmp_path / "a\nb.png")
    assert inputs.square(path, SIZE, "keep") == UNNAMED


def test_one_pillow_image_may_be_read_by_many_threads_at_once(tmp_path):
    Image.fromarray(COLOUR).resize((900, 900)).save(tmp_path / "large.png")
    expected = inputs.square(tmp_path / "large.png", SIZE, "keep")
    start = threading.Barrier(8, timeout=60)

    def together(picture):
        start.wait()
        return inputs.square(picture, SIZE, "keep")

    for _ in range(3):
        with Image.open(tmp_path / "large.png") as picture, ThreadPoolExecutor(8) as pool:
            found = list(pool.map(together, [picture] * 8))
        assert all(np.array_equal(each, expected) for each in found)
