import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from textures import COPIES, SETTINGS, seen, texture, zoomed

from oncovec.data.duplicates import registration
from oncovec.data.duplicates.keypoints import MIRRORED
from oncovec.data.duplicates.registration import correlation, match, register
from oncovec.data.small_copies import SIDE

SIZES = ((160, 120), (96, 128))
EXACT = [name for name in COPIES if name.startswith("flipped") or name.endswith(("byte-copy", "turn"))]


@pytest.fixture(scope="module")
def views():
    """The view of each copy of originals of two shapes, by size and name; and unrelated images."""
    images = {}
    for seed, size in enumerate(SIZES):
        original = texture(seed, *size)
        images |= {(size, name): copy.make(original) for name, copy in COPIES.items()}
        images |= {(size, "too large"): zoomed(size[1] // 3).make(original)}
    images |= {("unrelated", seed): texture(seed) for seed in range(10, 14)}
    tissue = texture(20, 300, 120)
    images |= {("slide", x): tissue.crop((x, 0, x + 160, 120)) for x in (0, 100, 130)}
    images |= {"flat": Image.new("RGB", (80, 60), "gray"), "thin": Image.new("RGB", (90, 1), "gray")}
    return {key: seen(image) for key, image in images.items()}


def confirmed(fit):
    return fit is not None and fit.inliers >= SETTINGS.inliers and fit.correlation >= SETTINGS.correlation


def placed(places, size):
    """Places in px from the corner of an image, as keypoints are placed: pixels' middles at whole numbers."""
    return places * SIDE / max(size) - 0.5


def miss(fit, other, size, copy, width_of_copy):
    """How far in px a fit puts a place of the original from where the copy has it, at most."""
    width, height = size
    places = np.stack(np.meshgrid(np.linspace(0, width, 9), np.linspace(0, height, 9)), -1).reshape(-1, 2)
    matrix = copy.matrix(width, height)
    shown = places @ matrix[:, :2].T + matrix[:, 2]
    inside = ((shown >= 0) & (shown <= other)).all(axis=1)
    expected = placed(shown[inside], other)
    if fit.mirrored:
        expected[:, 0] = width_of_copy - 1 - expected[:, 0]
    found = placed(places[inside], size) @ fit.matrix[:, :2].T + fit.matrix[:, 2]
    return np.linalg.norm(found - expected, axis=1).max()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", COPIES)
def test_every_kind_of_copy_is_confirmed_and_placed_right_from_either_side(views, size, name):
    original, copy = views[size, "byte-copy"], views[size, name]
    there, back = register(original, copy), register(copy, original)
    assert confirmed(there) and confirmed(back)
    assert there.mirrored == back.mirrored == ("flipped" in name)
    other = COPIES[name].make(Image.new("L", size)).size
    assert miss(there, other, size, COPIES[name], copy.grey.shape[1]) < 0.75


@pytest.mark.parametrize("name", EXACT)
def test_what_moves_pixels_without_mixing_them_is_found_exactly(views, name):
    size = SIZES[0]
    fit = register(views[size, "byte-copy"], views[size, name])
    assert fit.correlation > 0.9995
    other = COPIES[name].make(Image.new("L", size)).size
    assert miss(fit, other, size, COPIES[name], views[size, name].grey.shape[1]) < 0.1


def test_unrelated_images_are_not_confirmed(views):
    unrelated = [view for key, view in views.items() if key[0] == "unrelated"]
    originals = [views[size, "byte-copy"] for size in SIZES]
    for image in unrelated:
        for other in [*unrelated, *originals]:
            assert confirmed(register(image, other)) == (image is other)


def test_a_copy_that_shows_a_part_at_more_than_the_scale_allowed_is_not_confirmed(views):
    for size in SIZES:
        original, part = views[size, "byte-copy"], views[size, "too large"]
        assert not confirmed(register(original, part)) and not confirmed(register(part, original))


def test_neighbours_on_a_slide_are_copies_only_where_a_quarter_of_one_is_shown_by_the_other(views):
    tile, near, nearer = (views["slide", x] for x in (0, 130, 100))
    assert not confirmed(register(tile, near)) and not confirmed(register(near, tile))
    assert confirmed(register(tile, nearer)) and confirmed(register(nearer, tile))


@pytest.mark.parametrize("name", ["flat", "thin"])
def test_an_image_without_keypoints_fits_nothing(views, name):
    bare, original = views[name], views[SIZES[0], "byte-copy"]
    assert bare.points.shape == (0, 2) and bare.descriptors.shape == (0, 128)
    for first, second in ((bare, original), (original, bare), (bare, bare)):
        assert register(first, second) is None


def test_a_fit_is_the_same_every_time(views):
    first, second = views[SIZES[0], "byte-copy"], views[SIZES[0], "turned by 7"]
    one, other = register(first, second), register(first, second)
    assert (one.inliers, one.correlation) == (other.inliers, other.correlation)
    assert np.array_equal(one.matrix, other.matrix)


def test_the_keypoints_of_a_mirror_image_are_described_by_the_permuted_numbers(views):
    original, flipped = (views[SIZES[0], name] for name in ("byte-copy", "flipped left to right"))
    mirrored = original.mirrored()
    distances = np.linalg.norm(mirrored.points[:, None] - flipped.points[None], axis=2)

    def agreement(descriptors):
        # Of keypoints in one place, which differ in scale or angle, the one that agrees most.
        cosines = np.where(distances < 0.5, descriptors @ flipped.descriptors.T, -1).max(axis=1)
        return cosines[cosines > -1]

    found = agreement(mirrored.descriptors)
    assert len(found) > 0.8 * len(original.points)
    assert found.mean() > 0.97
    assert agreement(original.descriptors).mean() < 0.8


def test_the_mirror_image_of_the_mirror_image_is_the_image(views):
    assert np.array_equal(MIRRORED[MIRRORED], np.arange(128))
    original = views[SIZES[0], "byte-copy"]
    again = original.mirrored().mirrored()
    assert np.allclose(again.points, original.points, atol=1e-4)
    assert np.array_equal(again.descriptors, original.descriptors)
    assert np.array_equal(again.grey, original.grey)


def test_descriptors_of_a_view_have_length_1(views):
    lengths = np.linalg.norm(views[SIZES[0], "byte-copy"].descriptors, axis=1)
    assert len(lengths) and np.allclose(lengths, 1, atol=1e-5)


def units(count, dimensions, seed):
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 99))
def test_matches_pass_the_ratio_test_and_are_one_to_one(count, others, seed):
    first, second = units(count, 4, seed), units(others, 4, seed + 100)
    best = {}
    for row, vector in enumerate(first):
        distances = np.linalg.norm(second - vector, axis=1)
        order = np.argsort(distances)
        if others >= 2 and distances[order[0]] < registration.RATIO * distances[order[1]]:
            best[order[0]] = min(best.get(order[0], (np.inf, 0)), (distances[order[0]], row))
    assert match(first, second).tolist() == [[row, column] for column, (_, row) in sorted(best.items())]


IDENTITY = np.eye(2, 3)
QUARTER_TURN = np.array([[0, 1, 0], [-1, 0, SIDE - 1.0]])
"""Of a square image, as `numpy.rot90` turns it."""


def grey(seed=0, width=SIDE, height=SIDE):
    return np.asarray(texture(seed, width, height).convert("L"))


def test_correlation_is_1_for_an_image_and_itself_and_its_exact_quarter_turn():
    assert correlation(grey(), grey(), IDENTITY) == pytest.approx(1, abs=1e-12)
    assert correlation(grey(), np.rot90(grey()), QUARTER_TURN) == pytest.approx(1, abs=1e-12)
    assert correlation(grey(), np.rot90(grey()), IDENTITY) < 0.5


@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (-3, 2)])
def test_the_transform_is_in_pixels_of_the_grey_image(shift):
    large = grey(0, SIDE + 8, SIDE + 8)
    first = large[4:-4, 4:-4]
    second = large[4 + shift[1] : SIDE + 4 + shift[1], 4 + shift[0] : SIDE + 4 + shift[0]]
    matrix = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]], float)
    assert correlation(first, second, matrix) == pytest.approx(1, abs=1e-12)


def test_correlation_does_not_depend_on_brightness_and_contrast_and_is_minus_1_for_a_negative():
    dark = (grey() // 2).astype(np.uint8)
    assert correlation(grey(), dark, IDENTITY) > 0.999
    assert correlation(grey(), 255 - grey(), IDENTITY) == pytest.approx(-1, abs=1e-12)


def test_only_what_both_show_is_correlated():
    # The first shows the left half of the second, enlarged: 2 px of the first lie on one of the second.
    second = grey(3)
    half = Image.fromarray(second).crop((0, 0, SIDE // 2, SIDE // 2))
    first = np.asarray(half.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    into = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    assert correlation(first, second, into) > 0.97


def test_the_border_of_a_smaller_part_is_not_mixed_with_black():
    white_around = np.full((SIDE, SIDE), 250, np.uint8)
    white_around[40:-40, 40:-40] = grey(4)[40:-40, 40:-40] // 4 + 150
    part = white_around[16:-16, 16:-16]
    whole_onto_part = np.array([[1, 0, -16.3], [0, 1, -16.3]])
    part_onto_whole = np.array([[1, 0, 16.3], [0, 1, 16.3]])
    there = correlation(white_around, part, whole_onto_part)
    assert correlation(part, white_around, part_onto_whole) == pytest.approx(there, abs=0.005)


def test_images_that_hardly_overlap_or_are_flat_have_no_correlation():
    away = np.array([[1, 0, SIDE * 0.97], [0, 1, 0]])
    assert correlation(grey(), grey(), away) == 0
    flat = np.full((SIDE, SIDE), 7, np.uint8)
    assert correlation(flat, grey(), IDENTITY) == correlation(grey(), flat, IDENTITY) == 0


REAL = (
    "multi_organ/**/Training/glioma/*.jpg",
    "multi_organ/**/benign/*).png",
    "multi_cancer/**/lung_aca/*.jpg",
    "multi_cancer/**/cervix_sfi/*.jpg",
    "isic2020/train/*.jpg",
)


def test_copies_of_real_images_are_confirmed_and_unrelated_images_are_not(shared):
    images = []
    for pattern in REAL:
        path = sorted(shared.glob(pattern))[0]
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        image.thumbnail((320, 320))
        images.append(image)
    made = [*images, *(copy.make(image) for image in images for copy in COPIES.values())]
    views = [seen(image) for image in made]
    for row, image in enumerate(views[: len(images)]):
        first = len(images) + row * len(COPIES)
        fits = {name: register(image, copy) for name, copy in zip(COPIES, views[first:], strict=False)}
        assert {name for name, fit in fits.items() if not confirmed(fit)} == set(), REAL[row]
        for other in views[row + 1 : len(images)]:
            assert not confirmed(register(image, other))
