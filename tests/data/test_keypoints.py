from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from textures import grey, seen, small, texture

from oncovec.core.errors import OncovecError
from oncovec.data.duplicates import keypoints
from oncovec.data.duplicates.keypoints import MIRRORED, KeypointFile, Keypoints, detect, gather
from oncovec.data.duplicates.registration import match

BARE = {
    "black": Image.new("RGB", (90, 70)),
    "flat": Image.new("RGB", (50, 40), "gray"),
    "thin": texture(6, 300, 1),
    "a dot": texture(7, 1, 1),
}


@pytest.mark.parametrize("name", BARE)
def test_an_image_that_shows_nothing_has_no_keypoints(name):
    found = detect(grey(BARE[name]), 400)
    assert found.points.shape == (0, 2) and found.descriptors.shape == (0, 128)


@pytest.mark.parametrize("size", [(160, 120), (70, 100), (400, 100)])
def test_keypoints_lie_on_the_image(size):
    copy = grey(texture(1, *size))
    points = detect(copy, 400).points
    assert len(points) > 10
    assert (points >= 0).all() and (points <= copy.shape[::-1]).all()


def test_no_more_than_the_strongest_keypoints_are_kept():
    copy = grey(texture(2))
    few, many = detect(copy, 50), detect(copy, 400)
    assert len(few.points) == len(few.descriptors) == 50 < len(many.points) <= 400
    assert set(map(tuple, few.points)) < set(map(tuple, many.points))


@pytest.mark.parametrize("size", [(320, 240), (80, 60)])
def test_an_image_and_its_copy_of_another_size_have_the_same_keypoints(size):
    image = texture(3, 160, 120)
    one, other = seen(image), seen(image.resize(size, Image.Resampling.BICUBIC))
    pairs = match(one.descriptors, other.descriptors)
    misses = np.linalg.norm(one.points[pairs[:, 0]] - other.points[pairs[:, 1]], axis=1)
    assert len(pairs) > 0.6 * len(one.points)
    assert np.median(misses) < 0.25 and (misses < 1).mean() > 0.95


def test_the_keypoints_of_a_mirror_image_are_described_by_the_permuted_numbers():
    image = texture(0)
    original, flipped = seen(image), seen(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    mirrored = original.mirrored()
    distances = np.linalg.norm(mirrored.points[:, None] - flipped.points[None], axis=2)

    def agreement(descriptors):
        # Of keypoints in one place, which differ in scale or angle, the one that agrees most.
        cosines = np.where(distances < 0.25, descriptors @ flipped.descriptors.T, -1).max(axis=1)
        return cosines[cosines > -1]

    found = agreement(mirrored.descriptors)
    assert len(found) > 0.8 * len(original.points)
    assert found.mean() > 0.97
    assert agreement(original.descriptors).mean() < 0.8
    assert np.array_equal(MIRRORED[MIRRORED], np.arange(128))


def drawn(counts, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Keypoints(rng.random((count, 2), np.float32), rng.integers(0, 256, (count, 128), dtype=np.uint8))
        for count in counts
    ]


def same(one, other):
    return all(np.array_equal(*both) for both in zip(one, other, strict=True))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_what_is_read_is_what_was_added_in_any_order(counts, random):
    written = drawn(counts)
    rows = random.sample(range(len(counts)), len(counts))
    with KeypointFile(len(counts) + 1) as file:
        for row in rows:
            file[row] = written[row]
            assert same(file[row], written[row])
        assert file.counts.tolist() == [*counts, 0]
        assert all(same(file[row], written[row]) for row in rows)
        assert len(file[len(counts)].points) == 0


def test_keypoints_lie_in_a_file_without_a_name_so_a_kill_leaves_none(tmp_path):
    with KeypointFile(1, tmp_path) as file:
        file[0] = drawn([1000])[0]
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(monkeypatch):
    full = Path("/dev/full").open("rb+", buffering=0)  # noqa: SIM115 (closed by KeypointFile)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: full)
    with KeypointFile(1) as file, pytest.raises(OncovecError, match="cannot be kept on disk: No space left"):
        file[0] = drawn([3])[0]


@pytest.mark.parametrize("chunk", [1, 3, 32])
def test_the_keypoints_of_the_rows_asked_for_are_gathered_however_they_are_cut(chunk, monkeypatch):
    monkeypatch.setattr(keypoints, "CHUNK", chunk)
    images = [texture(seed, 70 + seed, 80) for seed in range(6)] + list(BARE.values())
    copies, shapes = small(images)
    rows = np.array([0, 2, 3, 5, 6, 9])
    with KeypointFile(len(images)) as file:
        gather(file, copies, shapes, rows, 100)
        assert np.flatnonzero(file.counts).tolist() == [0, 2, 3, 5]
        assert all(same(file[row], detect(grey(images[row]), 100)) for row in rows)
