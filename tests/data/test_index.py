from hashlib import sha256

import pytest

from oncovec.core.errors import OncovecError
from oncovec.data import index, layouts
from oncovec.data.decode import Facts
from oncovec.data.tree import Folder


def facts(content, **changes):
    """What would be measured of an image with these bytes."""
    return Facts(**{"width": 8, "height": 6, "mode": "RGB", "sha256": content} | changes)


FOUND = {
    "a/1.png": facts("one"),
    "a/2.png": facts("two"),
    "a/3.png": facts("one"),
    "b/1.jpg": facts("three", width=90, mode="L"),
    "b/2.png": facts("four"),
    "b/3.png": facts("two"),
    "c/1.png": "not an image",
}
"""Three classes: a (3 images, one of them a copy), b (a copy of an image of a), c (unreadable alone)."""


@pytest.fixture
def root(tmp_path):
    for name in FOUND:
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).touch()
    return tmp_path / "own"


def built(root, layout="folders", found=FOUND):
    listing = layouts.read(layout, Folder(root))
    return index.build(Folder(root), listing, [found[record.image] for record in listing.records])


def test_the_table_has_one_row_an_image_that_decodes(root):
    table = built(root).table
    assert list(table.columns) == ["image", "label", "group", "width", "height", "mode", "sha256"]
    assert table["image"].tolist() == [image for image in FOUND if image != "c/1.png"]
    assert table.iloc[3].tolist() == ["b/1.jpg", "b", "", "90", "6", "L", "three"]


def test_the_counts_name_every_defect(root):
    assert built(root).counts == {
        "images": 6,
        "classes": {"label": {"a": 3, "b": 3}},
        "missing_classes": 1,
        "groups": 0,
        "unreadable": 1,
        "masks": 0,
        "exact_duplicates": 2,
        "duplicates_with_two_labels": 2,
        "missing_values": {},
    }


def test_an_unreadable_file_is_listed_with_its_reason(root):
    assert built(root).unreadable.to_dict("records") == [{"image": "c/1.png", "reason": "not an image"}]


def test_what_is_written_is_read_back(root, tmp_path):
    table, unreadable = tmp_path / "i.csv", tmp_path / "u.csv"
    index.write(built(root), table, unreadable)
    assert index.read(table).to_dict("records") == built(root).table.to_dict("records")
    assert unreadable.read_text().splitlines() == ["image,reason", "c/1.png,not an image"]


def test_groups_and_facts_are_columns_and_their_gaps_are_counted_on_what_decodes(root):
    lines = [
        "image,label,group,zone,age",
        "a/1.png,x,p,z,40",
        "b/1.jpg,y,,z,",
        "a/2.png,x,p,,50",
        "c/1.png,y,,,",
    ]
    (root / "labels.csv").write_text("\n".join(lines))
    found = built(root, "csv")
    assert list(found.table.columns[-2:]) == ["age", "zone"]
    facts_of = found.table[["group", "age", "zone"]].to_numpy().tolist()
    assert facts_of == [["p", "40", "z"], ["p", "50", ""], ["", "", "z"]]
    assert found.counts["groups"] == 1
    assert found.counts["missing_values"] == {"age": 1, "group": 1, "zone": 1}


def test_no_class_left_after_unreadable_files_is_one_line(root):
    broken = FOUND | dict.fromkeys(("b/1.jpg", "b/2.png", "b/3.png"), "broken")
    with pytest.raises(OncovecError, match=r"4 of 7 images are unreadable.*the first is b/1\.jpg: broken$"):
        built(root, found=broken)


def test_a_file_that_is_no_index_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("image,label\n")
    with pytest.raises(OncovecError, match=r"x\.csv"):
        index.read(tmp_path / "x.csv")


def test_the_ultrasound_pair_with_two_labels_is_counted(shared):
    tree = Folder(shared / "multi_organ")
    listing = layouts.read("multi_organ", tree)
    found = [facts(sha256(tree.read(record.image)).hexdigest()) for record in listing.records]
    counts = index.build(tree, listing, found).counts
    assert (counts["images"], counts["unreadable"]) == (2964, 0)
    assert counts["duplicates_with_two_labels"] == 2
