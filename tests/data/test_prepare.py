import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oncovec.core import params, paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.files import new_folder, read_json, write_json
from oncovec.data import index, layouts, prepare
from oncovec.data.decode import Square, decode, fit
from oncovec.data.small_copies import SIDE, copy_of, shape_of
from oncovec.data.tree import Folder
from stages import preprocess

RAW = Folder(Path("raw"))


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(tmp_path, picture):
    """More images than a worker takes at once, of many shapes, in three class folders."""
    return draw(tmp_path, picture, prepare.CHUNK + 9)


def draw(folder, picture, count):
    names = [f"{number % 3}/{number}.{('png', 'jpg', 'tif')[number % 3]}" for number in range(count)]
    for number, name in enumerate(names):
        picture(folder / "raw" / name, 9 + number % 5, 7 + number % 11, number)
    return sorted(names)


@pytest.fixture(scope="module")
def made(tmp_path_factory, picture):
    """A folder with a few images, prepared."""
    folder = tmp_path_factory.mktemp("made")
    draw(folder, picture, 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepared()
    return folder


@pytest.fixture
def whole(made, tmp_path):
    """A copy of it that a test may damage."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def large(tmp_path):
    """JPEGs that are decoded at different reductions for different sizes, and one that is not reduced."""
    sides = [(1001, 700), (700, 1001), (520, 512), (260, 2000), (300, 300), (40, 30)]
    for number, (width, height) in enumerate(sides):
        y, x = np.mgrid[:height, :width]
        pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 7 * 40], -1).astype(np.uint8)
        file = tmp_path / "raw" / f"{number % 2}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return sides


def prepared(size=6, resize="keep", workers=1):
    """Prepare the folder `raw` as the stage does."""
    with new_folder(paths.prepared("set")) as folder:
        table = prepare.prepare(RAW, layouts.read("folders", RAW), folder, Square(size, resize), workers)
        facts = {"source": "local", "images": len(table.table), "image_size": size, "resize": resize}
        prepare.write_facts(folder, facts)
    return prepare.open_prepared("set")


def content():
    """Every file of the prepared folder with its bytes."""
    return {path.name: path.read_bytes() for path in paths.prepared("set").iterdir()}


def rows():
    return [row["image"] for row in index.read(paths.index("set")).to_dict("records")]


# --- what is stored ---


@pytest.mark.parametrize("resize", ["keep", "squash"])
def test_the_array_holds_every_image_decoded_and_fitted_in_the_order_of_the_index(images, resize):
    array = prepared(6, resize)
    expected = [fit(decode(RAW, image, 6), 6, resize) for image in images]
    assert rows() == images
    assert array.dtype == np.uint8 and array.shape == (len(images), 6, 6, 3)
    assert np.array_equal(array, np.stack(expected))


@pytest.mark.parametrize("size", [64, 100, 128, 160, 384])
def test_a_stored_square_is_what_prediction_makes_of_the_file(large, size):
    for square, image in zip(prepared(size), rows(), strict=True):
        assert np.array_equal(square, fit(decode(RAW, image, size), size, "keep"))


def test_an_image_smaller_than_the_stored_square_is_enlarged(images):
    array = prepared(24)
    assert array.shape[1:] == (24, 24, 3)
    assert array[:, 12].any(axis=(1, 2)).all()


def test_the_small_copies_depend_on_neither_the_stored_size_nor_how_it_is_fitted(large):
    found = []
    for size, resize in [(64, "keep"), (100, "squash"), (160, "keep"), (400, "squash")]:
        prepared(size, resize)
        found.append(paths.copies("set").read_bytes())
    assert found == found[:1] * len(found)


def test_a_small_copy_fills_exactly_the_shape_that_the_index_gives_it(tmp_path):
    # 1001 x 700 halved is 501 x 350, whose own copy would have another height.
    for number, size in enumerate([(1001, 700), (700, 1001), (3, 2), (1000, 1)]):
        file = tmp_path / "raw" / f"{number % 2}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "white").save(file)
    prepared()
    copies, shapes = prepare.open_copies("set")
    assert shapes.tolist() == [[90, 128], [85, 128], [128, 90], [1, 128]]
    for copy, (height, width) in zip(copies, shapes, strict=True):
        assert (copy[:height, :width] > 250).all()
        assert not copy[height:].any() and not copy[:, width:].any()


def test_a_small_copy_is_grey_and_128_px_on_its_longer_side_whatever_the_image_has(images):
    prepared()
    copies, shapes = prepare.open_copies("set")
    assert copies.shape == (len(images), SIDE, SIDE) and copies.dtype == np.uint8
    assert (shapes.max(1) == SIDE).all() and shapes.dtype == np.int32
    for copy, shape, image in zip(copies, shapes.tolist(), images, strict=True):
        picture = decode(RAW, image)
        assert tuple(shape) == shape_of(*picture.size)
        assert np.array_equal(copy, copy_of(picture, *picture.size))


def test_unreadable_files_have_no_row_anywhere_and_are_listed_with_their_reason(images, tmp_path):
    (tmp_path / "raw" / images[0]).write_bytes(b"no image")
    (tmp_path / "raw" / images[20]).write_bytes(b"")
    readable = [image for image in images if image not in (images[0], images[20])]
    array = prepared()
    copies, shapes = prepare.open_copies("set")
    assert rows() == readable
    assert len(array) == len(copies) == len(shapes) == len(readable)
    assert np.array_equal(array[-1], fit(decode(RAW, images[-1], 6), 6, "keep"))
    unreadable = tables.read(paths.unreadable("set")).to_dict("records")
    assert [row["image"] for row in unreadable] == [images[0], images[20]]
    assert unreadable[1]["reason"] == "empty file"


# --- how it is made ---


def test_every_file_is_read_once(large, monkeypatch):
    read, files = Folder.read, Counter()

    def counted(tree, path):
        files[path] += 1
        return read(tree, path)

    monkeypatch.setattr(Folder, "read", counted)
    prepared(160)
    assert files == dict.fromkeys(rows(), 1)


def test_the_bytes_depend_on_neither_the_run_nor_the_number_of_processes(images):
    found = []
    for workers in (1, 1, 3):
        prepared(workers=workers)
        found.append(content())
    assert sorted(found[0]) == ["copies.npy", "facts.json", "images.npy", "index.csv", "unreadable.csv"]
    assert found == found[:1] * 3


@pytest.mark.parametrize(("size", "most"), [(16, 32), (384, 18), (1024, 2), (2048, 1)])
def test_what_a_worker_hands_back_at_once_is_bounded_by_its_bytes(images, size, most, monkeypatch):
    taken = []

    def watched(function, chunks, workers):
        taken.extend(map(len, chunks))
        return [["not read"] * len(chunk) for chunk in chunks]

    monkeypatch.setattr(prepare, "ordered_map", watched)
    with pytest.raises(OncovecError, match="unreadable"):
        prepared(size)
    assert max(taken) == most and sum(taken) == len(images)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 123_456])
def test_a_growing_file_is_an_array_of_as_many_rows_as_were_written(tmp_path, count):
    path = tmp_path / "a.npy"
    expected = np.arange(count * 6, dtype=np.uint32).astype(np.uint8).reshape(count, 3, 2)
    with prepare.growing(path, (3, 2)) as stream:
        for start in range(0, count, 1000):
            stream.write(expected[start : start + 1000].tobytes())
    assert np.array_equal(np.load(path, allow_pickle=False), expected)
    assert path.stat().st_size == prepare.HEADER + expected.nbytes


# --- what others open ---


def test_the_array_is_mapped_and_cannot_be_written(whole):
    array = prepare.open_prepared("set")
    copies, _ = prepare.open_copies("set")
    for mapped in (array, copies):
        assert isinstance(mapped, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            mapped[0] = 0


def test_facts_are_read_as_they_were_written(whole):
    assert prepare.prepared_facts("set") == read_json(paths.prepared_facts("set"))
    assert prepare.prepared_facts("set")["image_size"] == 6


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def replaced(path, old, new):
    path.write_text(path.read_text().replace(old, new))


ARRAY = {
    "cut": lambda path: cut(path),
    "cut in its header": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "empty": lambda path: path.write_bytes(b""),
    "no array": lambda path: path.write_text("text\n" * 99),
    "objects": lambda path: np.save(path, np.array([{}]), allow_pickle=True),
    "another type": lambda path: np.save(path, np.load(path).astype(float)),
    "another number": lambda path: np.save(path, np.load(path)[1:]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "missing": lambda path: path.unlink(),
}

FACTS = {
    "another size": lambda path: replaced(path, '"image_size": 6', '"image_size": 7'),
    "fewer images": lambda path: replaced(path, '"images": 12', '"images": 11'),
    "without a key": lambda path: write_json(path, {"images": 12, "image_size": 6}),
    "cut": lambda path: path.write_text('{"images": 4'),
    "no object": lambda path: path.write_text("[]"),
    "missing": lambda path: path.unlink(),
}


def refused(opener, path):
    with pytest.raises(OncovecError) as caught:
        opener("set")
    line = str(caught.value)
    assert "dvc repro preprocess@set" in line
    assert line.startswith(f"{path}: ") and "\n" not in line
    assert "unsafe" not in line


@pytest.mark.parametrize("damage", ARRAY)
def test_a_damaged_array_is_one_line_that_says_how_to_write_it_again(whole, damage):
    ARRAY[damage](paths.images("set"))
    refused(prepare.open_prepared, paths.images("set"))


@pytest.mark.parametrize("damage", ARRAY)
def test_damaged_copies_are_one_line_that_says_how_to_write_them_again(whole, damage):
    ARRAY[damage](paths.copies("set"))
    refused(prepare.open_copies, paths.copies("set"))


@pytest.mark.parametrize("damage", FACTS)
def test_damaged_facts_are_one_line_that_says_how_to_write_them_again(whole, damage):
    FACTS[damage](paths.prepared_facts("set"))
    wrong = paths.images if damage in ("another size", "fewer images") else paths.prepared_facts
    refused(prepare.open_prepared, wrong("set"))


@pytest.mark.parametrize("cell", ["", "x", "0,0"])
def test_an_index_without_sizes_is_one_line_that_says_how_to_write_it_again(whole, cell):
    table = paths.index("set")
    row = table.read_text().splitlines()[1]
    width, height = (cell.split(",") * 2)[:2]
    cells = row.split(",")
    replaced(table, row, ",".join([*cells[:3], width, height, *cells[5:]]))
    refused(prepare.open_copies, table)


# --- the stage ---


@pytest.fixture
def settings(changed):
    """Params with one dataset, in the folder `raw`; keyword arguments change its row, `changes` the rest."""

    def load(changes=None, **row):
        dataset = {"root": "raw", "layout": "folders", "image_size": 16} | row
        task = {"dataset": "set", "label": "label"}
        system = {"base": "flagship", "task": "mine", "dataset": "set"}
        rows = {
            "datasets": {"set": dataset},
            "tasks": {"mine": task},
            "systems": {"one": system},
            "external": {},
        }
        return params.load(changed(rows | (changes or {})))

    return load


def test_the_stage_writes_the_folder_its_counts_and_a_picture_of_every_class(images, settings, capsys):
    (RAW.root / images[0]).write_bytes(b"")
    preprocess.main("set", settings())
    assert prepare.prepared_facts("set") == {
        "source": "local",
        "images": 40,
        "image_size": 16,
        "resize": "keep",
    }
    assert len(prepare.open_prepared("set")) == 40
    counts = read_json(paths.data_metrics("set"))
    assert (counts["source"], counts["images"], counts["unreadable"]) == ("local", 40, 1)
    assert Image.open(paths.picture("samples", "set")).format == "PNG"
    assert capsys.readouterr().out.startswith("set: 40 images, 0 masks dropped, 1 unreadable\n")


def test_the_limit_is_applied_before_anything_is_read(images, settings, monkeypatch):
    read, files = Folder.read, []
    monkeypatch.setattr(Folder, "read", lambda tree, path: (files.append(path), read(tree, path))[1])
    preprocess.main("set", settings({"data.limit": 4}))
    assert sorted(files) == rows()
    assert len(files) == 12


def test_drawn_images_are_stored_and_trained_on_within_the_limits_that_came_with_them(images, settings):
    phantom = paths.raw("pcam")
    phantom.parent.mkdir(parents=True)
    RAW.root.rename(phantom)
    write_json(phantom / "phantom.json", {"image_size": 20, "epochs": 2, "batch_size": 4})
    preprocess.main("set", settings(root="data/raw/pcam", image_size=24))
    facts = prepare.prepared_facts("set")
    assert (facts["source"], facts["image_size"], facts["epochs"], facts["batch_size"]) == (
        "phantom",
        20,
        2,
        4,
    )
    preprocess.main("set", settings(root="data/raw/pcam", image_size=16))
    assert prepare.prepared_facts("set")["image_size"] == 16


@pytest.mark.parametrize("content", ['{"image_size": 1}', "no JSON"])
def test_a_file_of_the_users_own_called_like_those_limits_limits_nothing(images, settings, content):
    (RAW.root / "phantom.json").write_text(content)
    preprocess.main("set", settings())
    assert prepare.prepared_facts("set")["image_size"] == 16


def missing():
    RAW.root.rename("elsewhere")
    return "raw: no such folder; it should hold a dataset laid out as"


def no_folder():
    RAW.root.rename("elsewhere")
    RAW.root.touch()
    return "raw: a file, no folder; it should hold a dataset laid out as"


def empty():
    RAW.root.rename("elsewhere")
    RAW.root.mkdir()
    return "raw"


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
@pytest.mark.parametrize("damage", [missing, no_folder, empty])
def test_a_root_that_holds_nothing_is_one_line_and_leaves_what_was_prepared(whole, settings, layout, damage):
    before = content()
    says = damage()
    with pytest.raises(OncovecError) as caught:
        preprocess.main("set", settings(layout=layout))
    assert str(caught.value).startswith(says) and "\n" not in str(caught.value)
    assert content() == before
    assert [path.name for path in Path("data/prepared").iterdir()] == ["set"]


def test_what_cannot_be_prepared_leaves_nothing_half_done(whole, settings):
    for image in rows():
        (RAW.root / image).write_bytes(b"no image")
    with pytest.raises(OncovecError, match="12 of 12 images are unreadable"):
        preprocess.main("set", settings())
    assert not list(Path("data/prepared").iterdir())


def test_an_unknown_dataset_is_refused_before_anything_is_read(settings):
    with pytest.raises(OncovecError, match=r"no row 'sets' in datasets: of params\.yaml; there are set"):
        preprocess.main("sets", settings())
