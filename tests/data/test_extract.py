import hashlib

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from textures import texture

from oncovec.core.errors import OncovecError
from oncovec.data.decode import UnreadableImageError, decode
from oncovec.data.duplicates import extract, features
from oncovec.data.duplicates.extract import look
from oncovec.data.duplicates.registration import match
from oncovec.data.tree import Folder

SIZE, KEYPOINTS = 64, 80
TURNS = {
    "quarter": Image.Transpose.ROTATE_90,
    "half": Image.Transpose.ROTATE_180,
    "three_quarter": Image.Transpose.ROTATE_270,
    "flipped": Image.Transpose.FLIP_LEFT_RIGHT,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An image that is not square, turned and flipped, and images that are hard to look at."""
    root = tmp_path_factory.mktemp("raw")
    original = texture(0, 100, 70)
    images = {"z": original} | {name: original.transpose(how) for name, how in TURNS.items()}
    images |= {f"stranger{seed}": texture(seed, 70 + seed, 80) for seed in range(1, 5)}
    images |= {
        "flat": Image.new("RGB", (50, 40), "gray"),
        "wide": texture(6, 300, 1),
        "dot": texture(7, 1, 1),
    }
    for name, image in images.items():
        image.save(root / f"{name}.png")
    return root


def hashes(folder):
    """In an order that is not the sorted one: as the index says, and no other."""
    names = [f"{name}.png" for name in ("z", *TURNS, "flat", "wide", "dot")]
    names += [f"stranger{seed}.png" for seed in range(1, 5)]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def written(folder, target, images=None):
    known = images or hashes(folder)
    extract.write(Folder(folder), known, target, SIZE, KEYPOINTS, torch.device("cpu"))
    return features.open_features(target, len(known))


@pytest.fixture(scope="module")
def found(folder, tmp_path_factory):
    """The feature set, and each image's row."""
    rows = {name.removesuffix(".png"): row for row, name in enumerate(hashes(folder))}
    return written(folder, tmp_path_factory.mktemp("features")), rows


def test_every_image_is_looked_at_in_the_order_given(folder, found):
    content, rows = found
    for name, row in rows.items():
        seen = look(decode(Folder(folder), f"{name}.png"), SIZE, KEYPOINTS)
        own = slice(content.offsets[row], content.offsets[row + 1])
        assert np.array_equal(content.points[own], seen.points)
        assert np.array_equal(content.descriptors[own], seen.descriptors)
        assert np.array_equal(content.greys[row], seen.grey) and tuple(content.shapes[row]) == seen.shape


def test_vectors_have_length_1(found):
    content, _ = found
    assert np.allclose(np.linalg.norm(content.vectors.astype(np.float32), axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("name", ["quarter", "half", "three_quarter"])
def test_a_quarter_turn_changes_no_vector(found, name):
    content, rows = found
    assert np.abs(content.vectors[rows[name]] - content.vectors[rows["z"]]).max() < 1e-3


def test_the_mirror_image_is_nearer_than_any_stranger(found):
    content, rows = found
    cosines = content.vectors.astype(np.float32) @ content.vectors[rows["z"]].astype(np.float32)
    assert cosines[rows["flipped"]] > 0.97
    assert cosines[rows["flipped"]] > max(cosines[rows[f"stranger{seed}"]] for seed in range(1, 5))


def test_the_backbone_sees_neither_corners_nor_brightness_nor_white_balance():
    pixels = np.asarray(texture(3, 64, 64)).astype(np.float32)
    seen = look(Image.fromarray(pixels.astype(np.uint8)), 64, KEYPOINTS).square.astype(int)
    dark_and_blue = (pixels * (0.5, 0.6, 0.8) + (0, 10, 30)).astype(np.uint8)
    dark_and_blue[:9, :9] = dark_and_blue[-9:, -9:] = 255
    again = look(Image.fromarray(dark_and_blue), 64, KEYPOINTS).square.astype(int)
    assert np.abs(seen - again).max() <= 2
    assert seen.std() > 30


def test_the_same_images_give_the_same_bytes(folder, found, tmp_path):
    content, _ = found
    written(folder, tmp_path)
    for name in features.COLUMNS:
        path = f"{name}.npy"
        assert (tmp_path / path).read_bytes() == (content.folder / path).read_bytes()


def test_what_is_found_does_not_depend_on_how_images_were_cut_into_blocks(
    folder, found, tmp_path, monkeypatch
):
    content, _ = found
    monkeypatch.setattr(extract, "CHUNK", 3)
    monkeypatch.setattr(extract, "BLOCK", 5)
    other = written(folder, tmp_path)
    for name in ("greys", "shapes", "offsets", "points", "descriptors"):
        assert np.array_equal(getattr(other, name), getattr(content, name)), name
    assert np.abs(other.vectors - content.vectors).max() < 1e-3


@pytest.mark.parametrize("name", ["flat", "wide", "dot"])
def test_an_image_that_shows_nothing_has_no_keypoints_and_a_vector_like_any_other(found, name):
    content, rows = found
    assert content.offsets[rows[name]] == content.offsets[rows[name] + 1]
    assert np.isfinite(content.vectors[rows[name]]).all()


@pytest.mark.parametrize(
    ("size", "shape"),
    [((100, 70), (90, 128)), ((70, 100), (128, 90)), ((60, 60), (128, 128)), ((500, 1), (1, 128))],
)
def test_the_grey_image_keeps_its_shape_and_lies_in_the_corner(size, shape):
    image = texture(1, *size)
    seen = look(image, SIZE, KEYPOINTS)
    assert seen.shape == shape
    assert seen.square.shape == (SIZE, SIZE, 3)
    inside = seen.grey[: shape[0], : shape[1]]
    assert seen.grey.sum() == inside.sum() > 0
    assert abs(inside.mean() - np.asarray(image.convert("L")).mean()) < 2


def test_keypoints_lie_on_the_canvas(found):
    content, _ = found
    for row, (height, width) in enumerate(content.shapes):
        points = content.points[content.offsets[row] : content.offsets[row + 1]]
        assert (points >= 0).all() and (points <= (2 * width, 2 * height)).all()


def test_no_more_than_the_strongest_keypoints_are_kept():
    image = texture(2)
    few, many = look(image, SIZE, 50), look(image, SIZE, 400)
    assert len(few.points) == len(few.descriptors) == 50 < len(many.points) <= 400
    assert set(map(tuple, few.points)) < set(map(tuple, many.points))


def unit(descriptors):
    return descriptors / np.linalg.norm(descriptors.astype(np.float32), axis=1, keepdims=True)


@pytest.mark.parametrize("size", [(320, 240), (80, 60)])
def test_an_image_and_its_copy_of_another_size_have_the_same_keypoints(size):
    image = texture(3, 160, 120)
    one = look(image, SIZE, 400)
    other = look(image.resize(size, Image.Resampling.BICUBIC), SIZE, 400)
    pairs = match(unit(one.descriptors), unit(other.descriptors))
    misses = np.linalg.norm(one.points[pairs[:, 0]] - other.points[pairs[:, 1]], axis=1)
    assert len(pairs) > 0.6 * len(one.points)
    assert np.median(misses) < 0.5 and (misses < 2).mean() > 0.95


def test_an_image_that_changed_or_is_gone_is_one_line_and_keeps_the_last_features(folder, found, tmp_path):
    content, _ = found
    for name in features.COLUMNS:
        (tmp_path / f"{name}.npy").write_bytes((content.folder / f"{name}.npy").read_bytes())
    known = hashes(folder)
    with pytest.raises(OncovecError, match="not the file that was indexed") as caught:
        written(folder, tmp_path, known | {"flat.png": "0" * 64})
    assert str(folder / "flat.png") in tiny.one_line(caught)
    with pytest.raises(UnreadableImageError, match="cannot be opened") as caught:
        written(folder, tmp_path, known | {"gone.png": "0" * 64})
    assert str(folder / "gone.png") in tiny.one_line(caught)
    assert len(features.open_features(tmp_path)) == len(known)
    assert len(list(tmp_path.iterdir())) == len(features.COLUMNS)
