import pickle

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from oncovec.core.errors import OncovecError
from oncovec.data.duplicates import features

COUNTS = ([2, 0], [3], [0, 0, 1])
"""Keypoints of each image, by block."""


def blocks_of(blocks, seed=0):
    """Random rows of every column for blocks of images with these numbers of keypoints."""
    rng = np.random.default_rng(seed)
    for counts in blocks:
        images, keypoints = len(counts), sum(counts)
        yield {
            "vectors": rng.standard_normal((images, 1280)).astype(np.float16),
            "greys": rng.integers(0, 256, (images, features.GREY, features.GREY), dtype=np.uint8),
            "shapes": rng.integers(1, features.GREY, (images, 2)),
            "counts": np.array(counts, int),
            "points": rng.random((keypoints, 2), np.float32),
            "descriptors": rng.integers(0, 256, (keypoints, 128), dtype=np.uint8),
        }


def written(folder, blocks=COUNTS, seed=0):
    with features.writing(folder) as writer:
        for block in blocks_of(blocks, seed):
            writer.append(**block)
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=3))
@settings(max_examples=15)
def test_what_is_read_is_what_was_written_block_by_block(tmp_path_factory, blocks):
    found = features.open_features(written(tmp_path_factory.mktemp("features"), blocks))
    rows = {
        name: np.concatenate([block[name] for block in blocks_of(blocks)])
        for name in ("vectors", "greys", "shapes", "counts", "points", "descriptors")
    }
    assert len(found) == sum(map(len, blocks))
    assert found.offsets[0] == 0 and np.array_equal(np.diff(found.offsets), rows.pop("counts"))
    for name, expected in rows.items():
        array = getattr(found, name)
        assert array.dtype == features.COLUMNS[name][0]
        assert np.array_equal(array, expected), name


def test_a_set_of_no_images_is_a_set(tmp_path):
    assert len(features.open_features(written(tmp_path, []), 0)) == 0


def test_the_same_rows_give_the_same_bytes_however_they_were_cut(tmp_path):
    (whole,) = blocks_of([[2, 0, 3, 0, 0, 1]])
    with features.writing(tmp_path / "once") as writer:
        writer.append(**whole)
    with features.writing(tmp_path / "twice") as writer:
        for name, rows in whole.items():
            writer.append(**{name: rows[:1]})
            writer.append(**{name: rows[1:]})
    assert content(tmp_path / "once") == content(tmp_path / "twice")


def test_arrays_are_mapped_and_cannot_be_written(tmp_path):
    found = features.open_features(written(tmp_path))
    for name in ("vectors", "greys", "points", "descriptors"):
        assert isinstance(getattr(found, name), np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, name)[0] = 0


def test_a_pickled_set_is_its_folder_opened_again(tmp_path):
    found = features.open_features(written(tmp_path))
    pickled = pickle.dumps(found)
    again = pickle.loads(pickled)
    assert len(pickled) < 1000
    assert isinstance(again.greys, np.memmap) and np.array_equal(again.greys, found.greys)
    assert np.array_equal(again.offsets, found.offsets) and again.folder == found.folder


def test_a_block_that_fails_leaves_the_last_set_as_it_was(tmp_path):
    before = content(written(tmp_path))

    def fail():
        with features.writing(tmp_path) as writer:
            writer.append(**next(blocks_of([[7]], seed=1)))
            raise OncovecError("an image is damaged")

    with pytest.raises(OncovecError, match="damaged"):
        fail()
    assert content(tmp_path) == before


def test_a_first_set_that_fails_leaves_nothing(tmp_path):
    def fail():
        with features.writing(tmp_path / "new"):
            raise OncovecError("an image is damaged")

    with pytest.raises(OncovecError, match="damaged"):
        fail()
    assert content(tmp_path / "new") == {}


def line_of(folder, images=None):
    with pytest.raises(OncovecError) as caught:
        features.open_features(folder, images)
    line = tiny.one_line(caught)
    assert str(folder) in line and "dvc repro --force features@" in line
    return line


@pytest.mark.parametrize("column", features.COLUMNS)
@pytest.mark.parametrize(
    "kept", [0, 60, features.HEADER, -1], ids=["empty", "no header", "no rows", "a byte"]
)
def test_a_file_that_was_cut_is_one_line_that_names_it(tmp_path, column, kept):
    path = written(tmp_path) / f"{column}.npy"
    path.write_bytes(path.read_bytes()[:kept])
    assert f"{path}: damaged" in line_of(tmp_path)


@pytest.mark.parametrize("column", features.COLUMNS)
def test_a_file_that_is_missing_or_of_another_kind_is_one_line_that_names_it(tmp_path, column):
    path = written(tmp_path) / f"{column}.npy"
    array = np.load(path)
    for other in (array.astype(np.complex64), np.stack([array, array], -1)):
        np.save(path, other)
        assert f"{path}: {other.dtype} " in line_of(tmp_path)
    path.write_text("no array\n")
    assert f"{path}: damaged" in line_of(tmp_path)
    path.unlink()
    assert f"{path}: not there yet" in line_of(tmp_path)


@pytest.mark.parametrize("column", features.COLUMNS)
def test_arrays_that_do_not_fit_each_other_are_one_line(tmp_path, column):
    path = written(tmp_path) / f"{column}.npy"
    np.save(path, np.load(path)[:-1])
    assert "do not fit each other" in line_of(tmp_path)


def test_a_set_of_other_images_than_the_index_has_is_one_line(tmp_path):
    written(tmp_path)
    assert len(features.open_features(tmp_path, 6)) == 6
    assert "or the index" in line_of(tmp_path, 7)
