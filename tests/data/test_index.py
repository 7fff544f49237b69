import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from memory import Memory
from PIL import Image

from oncovec.core.errors import OncovecError
from oncovec.data import index
from oncovec.data import layouts as datasets
from oncovec.data.tree import Folder

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data")


@pytest.fixture
def root(tmp_path):
    """Three classes: a (3 images, one of them a copy), b (a copy of an image of a), c (unreadable alone)."""
    folder = tmp_path / "own"
    rng = np.random.default_rng(0)
    for name in ("a/1.png", "a/2.png", "b/1.jpg", "b/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(folder / name)
    shutil.copy(folder / "a/1.png", folder / "a/3.png")
    shutil.copy(folder / "a/2.png", folder / "b/3.png")
    (folder / "c").mkdir()
    (folder / "c/1.png").write_bytes(b"no image")
    return folder


def test_the_table_has_one_row_an_image_that_decodes(root):
    found = index.build(Folder(root), datasets.read("folders", Folder(root)), workers=1)
    assert found.columns == ("image", "label", "group", "width", "height", "mode", "sha256")
    assert [row[0] for row in found.rows] == [
        "a/1.png",
        "a/2.png",
        "a/3.png",
        "b/1.jpg",
        "b/2.png",
        "b/3.png",
    ]
    assert found.rows[0][1:6] == ("a", "", "8", "6", "RGB")


def test_the_counts_name_every_defect(root):
    found = index.build(Folder(root), datasets.read("folders", Folder(root)), workers=1)
    assert found.counts == {
        "images": 6,
        "classes": {"label": {"a": 3, "b": 3}},
        "missing_classes": 1,
        "groups": 0,
        "unreadable": 1,
        "masks": 0,
        "byte_copies": 2,
        "copies_with_two_labels": 2,
        "missing_values": {},
    }


def test_an_unreadable_file_is_listed_with_its_reason(root):
    found = index.build(Folder(root), datasets.read("folders", Folder(root)), workers=1)
    (image, reason), *others = found.unreadable
    assert (image, others) == ("c/1.png", [])
    assert reason.startswith("not an image")


def test_the_index_does_not_depend_on_the_number_of_workers(root):
    for number in range(index.CHUNK * 2):
        shutil.copy(root / "a/1.png", root / f"a/many_{number}.png")
    listing = datasets.read("folders", Folder(root))
    assert index.build(Folder(root), listing, workers=1) == index.build(Folder(root), listing, workers=3)


def test_what_is_written_is_read_back(root, tmp_path):
    found = index.build(Folder(root), datasets.read("folders", Folder(root)), workers=1)
    table, unreadable, metrics = tmp_path / "i.csv", tmp_path / "u.csv", tmp_path / "m.json"
    index.write(found, table, unreadable, metrics, "local")
    assert [tuple(row.values()) for row in index.read(table)] == found.rows
    assert unreadable.read_text().splitlines()[0] == "image,reason"
    assert json.loads(metrics.read_text()) == {"source": "local", **found.counts}


def test_groups_and_facts_are_columns_and_their_gaps_are_counted_on_what_decodes(root):
    lines = [
        "image,label,group,zone,age",
        "a/1.png,x,p,z,40",
        "b/1.jpg,y,,z,",
        "a/2.png,x,p,,50",
        "c/1.png,y,,,",
    ]
    (root / "labels.csv").write_text("\n".join(lines))
    found = index.build(Folder(root), datasets.read("csv", Folder(root)), workers=1)
    assert found.columns[-2:] == ("age", "zone")
    assert [(row[2], *row[-2:]) for row in found.rows] == [("p", "40", "z"), ("p", "50", ""), ("", "", "z")]
    assert found.counts["groups"] == 1
    assert found.counts["missing_values"] == {"age": 1, "group": 1, "zone": 1}


def test_no_class_left_after_unreadable_files_is_one_line(root):
    for path in root.glob("b/*"):
        path.write_bytes(b"broken")
    with pytest.raises(
        OncovecError, match=r"4 of 7 images are unreadable.*the first is b/1\.jpg: not an image"
    ):
        index.build(Folder(root), datasets.read("folders", Folder(root)), workers=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_table_does_not_depend_on_where_the_files_lie(root, workers):
    listing = datasets.read("folders", Folder(root))
    tree = Memory.of(root)
    assert index.build(tree, listing, workers) == index.build(Folder(root), listing, workers=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_tree_is_no_unreadable_image(root, workers):
    tree = Memory.of(root)
    tree.broken["a/1.png"] = OncovecError("memory: damaged; fetch it again")
    with pytest.raises(OncovecError, match=r"^memory: damaged; fetch it again$"):
        index.build(tree, datasets.read("folders", tree), workers)


def test_a_file_that_cannot_be_read_is_an_unreadable_image(root):
    tree = Memory.of(root)
    tree.broken["a/1.png"] = PermissionError(13, "Permission denied")
    tree.broken["a/2.png"] = ValueError("embedded null byte")
    found = index.build(tree, datasets.read("folders", tree), workers=1)
    assert found.unreadable[:2] == [
        ("a/1.png", "cannot be opened: Permission denied"),
        ("a/2.png", "cannot be opened: not a path"),
    ]


def test_a_file_that_is_no_index_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("image,label\n")
    with pytest.raises(OncovecError, match=r"x\.csv"):
        index.read(tmp_path / "x.csv")


@needs_real
def test_the_ultrasound_pair_with_two_labels_is_counted(tmp_path):
    root = REAL / "multi_organ"
    found = index.build(Folder(root), datasets.read("multi_organ", Folder(root)))
    assert found.counts["images"] == 2964
    assert found.counts["unreadable"] == 0
    assert found.counts["copies_with_two_labels"] == 2
