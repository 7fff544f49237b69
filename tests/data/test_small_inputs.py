"""Small inputs as people have them, each written by a script beside the checkout, up to the groups."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from oncovec.core import params, paths
from oncovec.data import groups, index, layouts, prepare
from oncovec.data.audit import given
from oncovec.data.tree import Folder
from oncovec.serving.inputs import square
from oncovec.serving.named_files import find
from stages import group, preprocess

SCRIPTS = Path(__file__).parents[3] / "shared" / "inputs"
pytestmark = pytest.mark.skipif(not SCRIPTS.is_dir(), reason="no small inputs in ../shared/inputs")


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write an input by its name; return its folder."""
    monkeypatch.chdir(tmp_path)

    def write(name):
        monkeypatch.setattr(sys, "argv", [name, str(tmp_path / name)])
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        return tmp_path / name

    return write


@pytest.fixture
def prepared(changed):
    """Prepare and group a folder as the pipeline does; return its index and its pixels."""

    def run(root, **row):
        row = {"layout": "folders", "root": str(root), "image_size": 64} | row
        content = params.load(changed({"datasets.mine": row}))
        preprocess.main("mine", content)
        group.main("mine", content)
        return index.read(paths.index("mine")), prepare.open_prepared("mine")

    return run


def pixels_of(images, array, name):
    return array[images["image"].tolist().index(name)].astype(int)


@pytest.mark.parametrize(
    "name",
    [
        *("large_metadata", "twelve_bits", "masks_beside_images", "patient_folders"),
        *("split_folders/plain", "split_folders/x", "yes_and_no", "blank_slices/plain"),
    ],
)
def test_audit_and_predict_see_the_images_that_the_pipeline_sees(name, written, tmp_path):
    folder, _, below = name.partition("/")
    root = written(folder) / below
    listing = layouts.read("folders", Folder(root))
    pipeline = {record.image for record in listing.records}
    predicted = {image.path.relative_to(root).as_posix() for image in find([str(root)])}
    assert predicted == set(given.read(root).images)
    # An image in no class folder cannot be trained on, but it can be predicted.
    assert predicted - pipeline == {image for image in predicted if image.startswith("docs/")}
    assert pipeline <= predicted


def test_large_metadata(written, prepared):
    images, array = prepared(written("large_metadata"))
    assert len(images) == 16
    for label in ("benign", "malignant"):
        for name, plain in (("icc", "plain0"), ("ztxt", "plain1")):
            one, other = (pixels_of(images, array, f"{label}/{each}.png") for each in (name, plain))
            assert np.array_equal(one, other)


def test_twelve_bits(written, prepared, capsys):
    _, array = prepared(written("twelve_bits"))
    assert array.shape[0] == 12 and (array.reshape(12, -1).max(axis=1) == 255).all()
    assert "6 images of more bits hold 12 and are read as such" in capsys.readouterr().out


def test_planar_tiff(written):
    folder = written("planar_tiff")
    planar, chunky, eight = (
        square(folder / f"{name}.tif", 48, "keep").astype(int) for name in ("planar16", "chunky16", "planar8")
    )
    assert np.array_equal(planar, chunky) and np.abs(planar - eight).max() <= 1


def test_masks_beside_images(written, prepared, capsys):
    folder = written("masks_beside_images")
    images, _ = prepared(folder)
    assert len(images) == 24 and "25 masks dropped" in capsys.readouterr().out
    assert len(find([str(folder)], notes := [])) == 24
    assert notes[0].startswith(f"{folder}: 25 masks or thumbnails of other images left out, such as ")


def test_jpeg_suffixes(written):
    found = {
        image.path.name: square(image.path, 32, "keep") for image in find([str(written("jpeg_suffixes"))])
    }
    assert sorted(found) == ["five.jp2", "four.jpe", "one.png", "six.heic", "three.jfif", "two.jpg"]
    assert [name for name, pixels in sorted(found.items()) if isinstance(pixels, str)] == [
        "five.jp2",
        "six.heic",
    ]
    assert "not an image that is read" in found["five.jp2"]


@pytest.mark.parametrize("table", ["good", "backslash", "absolute", "nosuffix", "nfc"])
def test_csv_paths(table, written, prepared):
    images, _ = prepared(written("csv_paths"), layout="csv", columns={"file": f"{table}.csv"})
    assert len(images) == 16 and set(images["label"]) == {"a", "b"}


@pytest.mark.parametrize("folder", ["plain", "x"])
def test_split_folders(folder, written, prepared):
    images, _ = prepared(written("split_folders") / folder)
    assert len(images) == 32 and set(images["label"]) == {"cat", "dog"}
    assert set(images["published_split"]) == {"train", "test"}


@pytest.mark.parametrize(("folder", "blank"), [("plain", 12), ("some", 6), ("none", 0)])
def test_blank_slices(folder, blank, written, prepared, capsys):
    prepared(written("blank_slices") / folder, layout="csv")
    assert groups.read(paths.group_table("mine"))["group"].nunique() == 12
    assert (f"{blank} blank images join no other image" in capsys.readouterr().out) == bool(blank)


def test_patient_folders(written, prepared, capsys):
    folder = written("patient_folders")
    prepared(folder)
    assert "name them as groups by `group: folder`" in capsys.readouterr().out
    images, _ = prepared(folder, group="folder")
    assert images["group"].nunique() == 12 and "`group: folder`" not in capsys.readouterr().out
