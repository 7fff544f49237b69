import hashlib

import numpy as np
import pytest
from memory import Memory

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import read_json, write_json
from oncovec.data import prepare
from oncovec.data.decode import decode, fit
from oncovec.data.tree import Folder


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(tmp_path, picture):
    """More images than a worker takes at once, of many shapes, in an order that is not the sorted one."""
    names = [
        f"{number % 3}/{number}.{('png', 'jpg', 'tif')[number % 3]}" for number in range(prepare.CHUNK + 9)
    ]
    for number, name in enumerate(names):
        picture(tmp_path / "raw" / name, 9 + number % 5, 7 + number % 11, number)
    return names


def hashes(images):
    tree = Folder(paths.Path("raw"))
    return {name: hashlib.sha256(tree.read(name)).hexdigest() for name in images}


def prepared(images, size=6, resize="keep", known=None):
    prepare.prepare(Folder(paths.Path("raw")), known or hashes(images), size, resize, paths.prepared("set"))
    facts = {"source": "local", "images": len(images), "image_size": size, "resize": resize}
    prepare.write_facts("set", facts)
    return prepare.open_prepared("set")


@pytest.mark.parametrize("resize", ["keep", "squash"])
def test_the_array_holds_every_image_decoded_and_fitted_in_the_order_given(images, resize):
    array = prepared(images, 6, resize)
    expected = [fit(decode(Folder(paths.Path("raw")), image, 6), 6, resize) for image in images]
    assert array.dtype == np.uint8 and array.shape == (len(images), 6, 6, 3)
    assert np.array_equal(array, np.stack(expected))


def test_the_same_images_give_the_same_bytes(images):
    prepared(images)
    first = paths.prepared("set").read_bytes()
    prepared(images)
    assert paths.prepared("set").read_bytes() == first


def test_the_array_is_mapped_and_cannot_be_written(images):
    array = prepared(images)
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_the_same_images_give_the_same_bytes_wherever_they_lie(images):
    prepared(images)
    first = paths.prepared("set").read_bytes()
    prepare.prepare(Memory.of(paths.Path("raw")), hashes(images), 6, "keep", paths.prepared("set"))
    assert paths.prepared("set").read_bytes() == first


def test_a_damaged_tree_is_its_own_line(images):
    tree = Memory.of(paths.Path("raw"))
    tree.broken[images[-1]] = OncovecError("memory: damaged; fetch it again")
    with pytest.raises(OncovecError, match=r"^memory: damaged; fetch it again$"):
        prepare.prepare(tree, hashes(images), 6, "keep", paths.prepared("set"))


@pytest.mark.parametrize("damage", ["missing", "not an image", "another image"])
def test_an_image_that_is_lost_is_one_line_and_leaves_the_earlier_array(images, damage, picture):
    prepared(images)
    known = hashes(images)
    before = paths.prepared("set").read_bytes()
    lost = paths.Path("raw") / images[-1]
    if damage == "missing":
        lost.unlink()
    elif damage == "not an image":
        lost.write_bytes(b"no image")
        known = hashes(images)
    else:
        picture(lost, 9, 9, 4711)
    with pytest.raises(OncovecError, match=f"{lost}: ") as caught:
        prepared(images, known=known)
    assert "\n" not in str(caught.value)
    assert paths.prepared("set").read_bytes() == before
    assert sorted(path.name for path in paths.prepared("set").parent.iterdir()) == ["set.json", "set.npy"]


@pytest.mark.parametrize(
    ("sides", "image_size", "enlarge", "cap", "stored"),
    [
        ([512, 512, 512], 96, False, None, 96),
        ([512, 512, 512], 96, False, 48, 48),
        ([512, 512, 512], 96, False, 200, 96),
        ([50, 80, 512], 96, False, None, 80),
        ([50, 80, 512], 96, True, None, 96),
        ([50, 80, 512], 96, True, 64, 64),
        ([50, 81], 96, False, None, 65),
    ],
)
def test_the_stored_size_is_bounded_by_what_was_asked_the_median_and_the_cap(
    sides, image_size, enlarge, cap, stored
):
    assert prepare.stored_size(sides, image_size, enlarge, cap) == stored


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


DAMAGES = {
    "cut": lambda: cut(paths.prepared("set")),
    "cut in its header": lambda: paths.prepared("set").write_bytes(paths.prepared("set").read_bytes()[:20]),
    "empty": lambda: paths.prepared("set").write_bytes(b""),
    "no array": lambda: paths.prepared("set").write_text("text\n" * 99),
    "objects": lambda: np.save(paths.prepared("set"), np.array([{}]), allow_pickle=True),
    "another type": lambda: np.save(paths.prepared("set"), np.zeros((41, 6, 6, 3))),
    "another size": lambda: write_json(paths.prepared_facts("set"), {"images": 41, "image_size": 7}),
    "another number": lambda: write_json(paths.prepared_facts("set"), {"images": 40, "image_size": 6}),
    "no array at all": lambda: paths.prepared("set").unlink(),
    "facts missing": lambda: paths.prepared_facts("set").unlink(),
    "facts cut": lambda: paths.prepared_facts("set").write_text('{"images": 4'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_array_is_one_line_that_says_how_to_write_it_again(images, damage):
    assert len(prepared(images)) == 41
    DAMAGES[damage]()
    with pytest.raises(OncovecError) as caught:
        prepare.open_prepared("set")
    assert "dvc repro preprocess@set" in str(caught.value)
    assert "data/prepared/set." in str(caught.value) and "\n" not in str(caught.value)
    assert "unsafe" not in str(caught.value)


def test_facts_are_read_as_they_were_written(images):
    prepared(images)
    assert prepare.prepared_facts("set") == read_json(paths.prepared_facts("set"))
    assert prepare.prepared_facts("set")["image_size"] == 6
