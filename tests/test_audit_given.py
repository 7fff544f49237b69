import pytest

from oncovec.audit.given import Columns, read, side_of
from oncovec.errors import OncovecError


@pytest.fixture
def tree(tmp_path):
    """Empty files by their paths, in a folder."""

    def make(*names):
        for name in names:
            (tmp_path / "given" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "given" / name).touch()
        return tmp_path / "given"

    return make


@pytest.fixture
def table(tmp_path):
    """A CSV of that text."""

    def make(*lines):
        (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "split.csv"

    return make


def told(given):
    return list(zip(given.images, given.sides, given.labels, strict=True))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("Training", "train"),
        ("TEST", "test"),
        ("valid", "val"),
        ("test_set", "test"),
        ("Training Images", "train"),
        ("train-data", "train"),
        ("images", None),
        ("contest", None),
        ("test positive", None),
        ("train_test", None),
        ("0", None),
        ("", None),
    ],
)
def test_sides_are_known_by_many_names(name, side):
    assert side_of(name) == side


def test_side_folders_with_class_folders(tree):
    given = read(tree("Training/cat/1.jpg", "Training/dog/2.png", "Testing/cat/deep/3.jpg"))
    assert told(given) == [
        ("Testing/cat/deep/3.jpg", "test", "cat"),
        ("Training/cat/1.jpg", "train", "cat"),
        ("Training/dog/2.png", "train", "dog"),
    ]
    assert (given.keys, given.notes) == ({}, [])


def test_images_directly_in_side_folders_have_no_label(tree):
    given = read(tree("train/1.jpg", "val/2.jpg"))
    assert told(given) == [("train/1.jpg", "train", ""), ("val/2.jpg", "val", "")]


def test_sides_may_lie_deeper_and_classes_above_them(tree):
    given = read(tree("data/v1/cat/train/1.jpg", "data/v1/cat/test/2.jpg", "data/v1/dog/test/3.jpg"))
    assert [(side, label) for _, side, label in told(given)] == [
        ("test", "cat"),
        ("train", "cat"),
        ("test", "dog"),
    ]


def test_side_folders_within_side_folders_of_one_name_are_one(tree):
    given = read(tree("test_set/test_set/cat/1.jpg", "training_set/training_set/dog/2.jpg"))
    assert [(side, label) for _, side, label in told(given)] == [("test", "cat"), ("train", "dog")]


def test_class_folders_without_sides(tree):
    given = read(tree("all/cat/1.jpg", "all/dog/2.jpg"))
    assert told(given) == [("all/cat/1.jpg", "", "cat"), ("all/dog/2.jpg", "", "dog")]


def test_what_is_left_out_or_has_no_side_is_said(tree):
    given = read(
        tree("train/a.png", "train/a_mask.png", "train/a_mask_1.png", "extra/b_mask.png", "notes.txt")
    )
    assert told(given) == [("extra/b_mask.png", "", "extra"), ("train/a.png", "train", "")]
    assert given.notes == [
        "2 masks of other images left out",
        "1 images in no folder of a side",
        "1 files that are no images ignored",
    ]


def test_a_table_with_the_usual_columns(table):
    given = read(
        table("Path,Split,Class,Patient ID,slide_id,age", "a/1.jpg,Training,cat,p,s,9", "2.png,test,dog,q,,9")
    )
    assert told(given) == [("a/1.jpg", "train", "cat"), ("2.png", "test", "dog")]
    assert given.keys == {"patient": ["p", "q"], "slide": ["s", ""]}
    assert given.notes == [
        "columns of split.csv: image 'Path', side 'Split', label 'Class', "
        "patient 'Patient ID', slide 'slide_id'"
    ]


def test_a_table_with_columns_of_any_name(table):
    columns = Columns("x", "y", "z", ("who", "where", "lesion"))
    given = read(
        table("split,x,y,z,who,where,lesion,patient", "train,1.jpg,test,cat,a,b,c,d"), columns=columns
    )
    assert told(given) == [("1.jpg", "test", "cat")]
    assert given.keys == {"group": ["a"], "where": ["b"], "lesion": ["c"]}


def test_an_image_may_be_in_a_table_twice_and_folds_keep_their_names(table):
    given = read(table("file,fold", "1.jpg,0", "1.jpg,1"))
    assert told(given) == [("1.jpg", "0", ""), ("1.jpg", "1", "")]


def test_a_table_of_names_without_suffix_finds_its_files(tree, table):
    given = read(
        tree("train/a.tif", "train/b.tif"), table("id,split,label", "b,train,1", "a,test,0", "c,test,0")
    )
    assert given.images == ["train/b.tif", "train/a.tif", "c"]


def test_no_column_serves_twice(table):
    given = read(table("id,set,label,group", "1.jpg,train,cat,g"), columns=Columns(label="set"))
    assert told(given) == [("1.jpg", "", "train")]
    assert given.keys == {"group": ["g"]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,split"], "no image found; it has a header and no rows"),
        (["where,split", "1.jpg,train"], "no column of paths; name it with --image; there are where, split"),
        (["image,split", "1.jpg,train", ",test"], "row 3 has nothing in column 'image'"),
        (["image,split", "1.jpg"], "row 2 has 1 cells, the header 2"),
        (["image,split", "1.jpg,images"], "a side may not be called 'images'"),
    ],
)
def test_a_wrong_table_gets_one_line(table, lines, message):
    with pytest.raises(OncovecError, match=message) as caught:
        read(table(*lines))
    assert "split.csv" in str(caught.value)


def test_columns_that_are_not_there_are_refused(tree, table):
    with pytest.raises(OncovecError, match="no column 'side'; there are image, split"):
        read(table("image,split", "1.jpg,train"), columns=Columns(side="side"))
    with pytest.raises(OncovecError, match="columns are of a CSV"):
        read(tree("train/1.jpg"), columns=Columns(side="side"))


def test_what_is_no_split_is_refused(tree, tmp_path):
    with pytest.raises(OncovecError, match="no image below this folder"):
        read(tree("train/notes.txt"))
    with pytest.raises(OncovecError, match="no such file or folder"):
        read(tmp_path / "nothing")
    with pytest.raises(OncovecError, match="neither a folder nor a CSV"):
        read(tmp_path / "given/train/notes.txt")
    with pytest.raises(OncovecError, match="no such file"):
        read(tmp_path, tmp_path / "nothing.csv")
