from pathlib import Path

import pytest

from oncovec.core.errors import OncovecError
from oncovec.serving.named_files import Listed, find, labels_of

CLASSES = ["benign", "malignant"]


def listed(tmp_path, text, name="list.csv"):
    (tmp_path / name).write_text(text)
    return find([str(tmp_path / name)])


def test_a_csv_gives_labels_and_groups_where_it_has_their_columns(tmp_path):
    first, second = listed(tmp_path, "group,path,label,age\np1,a.png,benign,40\n,/b.png,,\n")
    assert (first.path, first.label, first.group) == (tmp_path / "a.png", "benign", "p1")
    assert (second.path, second.label, second.group) == (Path("/b.png"), "", "")
    (bare,) = listed(tmp_path, "path\na.png\n")
    assert (bare.label, bare.group) == (None, "")


def test_paths_in_another_spelling_are_found_as_layouts_find_them(tmp_path, picture):
    picture(tmp_path / "x" / "007.png")
    (tmp_path / "list.csv").write_text("image\nx\\7\n/their/x/007.png\n007\nnone.png\n")
    notes = []
    found = [each.path.relative_to(tmp_path).as_posix() for each in find([str(tmp_path / "list.csv")], notes)]
    assert found == ["x/007.png"] * 3 + ["none.png"]
    assert notes == ["3 paths of list.csv found by another spelling, such as x\\7 as x/007.png"]
    picture(tmp_path / "y" / "007.png")
    with pytest.raises(OncovecError, match=r"row 4: 007 may be x/007\.png or y/007\.png"):
        find([str(tmp_path / "list.csv")])


def test_labels_are_known_where_any_csv_has_their_column(tmp_path):
    (tmp_path / "c.png").touch()
    without = listed(tmp_path, "path\na.png\n") + find([str(tmp_path / "c.png")])
    assert labels_of(without, "mine", CLASSES) is None
    with_labels = listed(tmp_path, "path,label\nb.png,malignant\nd.png,\n", "other.csv")
    assert labels_of([*without, *with_labels], "mine", CLASSES) == ["", "", "malignant", ""]
    assert labels_of(with_labels[1:], "mine", CLASSES) == [""]
    assert labels_of([], "mine", CLASSES) is None


@pytest.mark.parametrize("label", ["Benign", "benign malignant", "0"])
def test_a_label_that_is_no_class_is_named_with_its_row_its_image_and_the_classes(tmp_path, label):
    images = listed(tmp_path, f"image,label\na.png,benign\nb.png,\nc.png,{label}\n")
    with pytest.raises(OncovecError) as error:
        labels_of(images, "mine", CLASSES)
    line = str(error.value)
    assert "\n" not in line
    start = f"{tmp_path}/list.csv: row 4 ({tmp_path}/c.png): label '{label}' is no class of mine, which has "
    assert line.startswith(f"{start}benign, malignant;")


def test_an_image_that_is_named_is_listed_without_a_label(tmp_path):
    (tmp_path / "a.png").touch()
    assert find([str(tmp_path / "a.png")]) == [Listed(tmp_path / "a.png", None, "", "")]


@pytest.mark.parametrize("name", ["a" * 300, "null\0byte"])
def test_a_path_that_the_system_refuses_is_no_file(tmp_path, name):
    with pytest.raises(OncovecError, match="no such file or folder"):
        find([name])
    images = listed(tmp_path, f"path,label\n{name},benign\n{name},malignant\n")
    assert [each.path for each in images] == [tmp_path / name] * 2
    with pytest.raises(OncovecError, match=r"labelled malignant, in .* benign"):
        labels_of(images, "mine", CLASSES)


def test_a_link_to_itself_is_no_file(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    images = listed(tmp_path, "path,label\nloop.png,benign\n")
    assert labels_of(images, "mine", CLASSES) == ["benign"]
