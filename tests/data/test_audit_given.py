import pytest

from oncovec.core.errors import OncovecError
from oncovec.data.audit.given import Columns, read
from oncovec.data.split_names import split_of, splits_by_name


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
    return list(zip(given.images, given.splits, given.labels, strict=True))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Training", "train"),
        ("TEST", "test"),
        ("valid", "val"),
        ("test_set", "test"),
        ("Training Images", "train"),
        ("train-data", "train"),
        ("trainset", "train"),
        ("testset", "test"),
        ("TrainingSet", "train"),
        ("train_aug", "train"),
        ("train_augmented", "train"),
        ("training_full", "train"),
        ("Augmented Train Images", "train"),
        ("valdata", "val"),
        ("trainval", "train"),
        ("train_val", "train"),
        ("holdout", "test"),
        ("Hold-Out", "test"),
        ("eval", "test"),
        ("Evaluation", "test"),
        ("images", None),
        ("dataset", None),
        ("pretrain", None),
        ("contest", None),
        ("test positive", None),
        ("train_test", None),
        ("0", None),
        ("", None),
    ],
)
def test_splits_are_known_by_many_names(name, split):
    assert split_of(name) == split


def test_split_folders_with_class_folders(tree):
    given = read(tree("Training/cat/1.jpg", "Training/dog/2.png", "Testing/cat/deep/3.jpg"))
    assert told(given) == [
        ("Testing/cat/deep/3.jpg", "test", "cat"),
        ("Training/cat/1.jpg", "train", "cat"),
        ("Training/dog/2.png", "train", "dog"),
    ]
    assert (given.keys, given.notes) == ({}, [])


def test_images_directly_in_split_folders_have_no_label(tree):
    given = read(tree("train/1.jpg", "val/2.jpg"))
    assert told(given) == [("train/1.jpg", "train", ""), ("val/2.jpg", "val", "")]


def test_splits_may_lie_deeper_and_classes_above_them(tree):
    given = read(tree("data/v1/cat/train/1.jpg", "data/v1/cat/test/2.jpg", "data/v1/dog/test/3.jpg"))
    assert [(split, label) for _, split, label in told(given)] == [
        ("test", "cat"),
        ("train", "cat"),
        ("test", "dog"),
    ]


def test_split_folders_within_split_folders_of_one_name_are_one(tree):
    given = read(tree("test_set/test_set/cat/1.jpg", "training_set/training_set/dog/2.jpg"))
    assert [(split, label) for _, split, label in told(given)] == [("test", "cat"), ("train", "dog")]


def test_class_folders_without_splits(tree):
    given = read(tree("all/cat/1.jpg", "all/dog/2.jpg"))
    assert told(given) == [("all/cat/1.jpg", "", "cat"), ("all/dog/2.jpg", "", "dog")]


def test_what_is_left_out_or_has_no_split_is_said(tree):
    given = read(
        tree(
            *("train/a.png", "train/a_mask.png", "train/a_mask_1.png", "test/c.png"),
            *("b_mask.png", "d.png", "notes.txt"),
        )
    )
    assert told(given) == [("d.png", "", ""), ("test/c.png", "test", ""), ("train/a.png", "train", "")]
    assert given.notes == [
        "1 images in no folder of a split",
        "3 masks or thumbnails of other images left out, such as b_mask.png",
        "1 files that are no images ignored (1 txt)",
    ]
    assert given.doubts == []


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["train", "eval", "test"], "val"),
        (["train", "val", "eval"], "test"),
        (["train", "eval"], "test"),
        (["train", "val", "test", "eval"], "test"),
    ],
)
def test_eval_is_val_beside_another_test_and_no_val(names, split):
    assert splits_by_name(names)["eval"] == split


def test_one_split_alone_is_refused_and_named_with_what_is_beside_it(tree, table):
    folder = tree("test/cat/1.jpg", "prior/cat/2.jpg", "prior/dog/3.jpg")
    with pytest.raises(
        OncovecError, match="test is the only split recognised; none in prior; splits are told"
    ):
        read(folder)
    with pytest.raises(OncovecError, match="train is the only split recognised; splits are told"):
        read(table("image,split", "1.jpg,train", "2.jpg,"))


def test_folders_beside_those_of_the_splits_are_doubts(tree):
    given = read(
        tree("cover.png", "a/train/1.jpg", "a/test/2.jpg", "a/prior/x/3.jpg", "a/prior/y/4.jpg", "b/5.jpg")
    )
    assert given.notes == ["1 images in no folder of a split"]
    (doubt,) = given.doubts
    assert "through 3 images are missed, for no split is recognised in a/prior, b; splits are told" in doubt


def test_splits_of_a_table_that_are_none_of_ours_are_doubts_beside_ours(table):
    given = read(table("image,split", "1.jpg,train", "2.jpg,test", "3.jpg,prior", "4.jpg,"))
    assert given.notes[1:] == ["1 rows in no split"]
    (doubt,) = given.doubts
    assert "through 1 images may be missed, for no split is prior; splits are told" in doubt
    assert read(table("image,split", "1.jpg,0", "2.jpg,1")).doubts == []


def test_of_two_splits_above_an_image_the_inner_one_counts(tree):
    given = read(tree("train_val/train/1.jpg", "train_val/val/2.jpg", "test/3.jpg"))
    assert [split for _, split, _ in told(given)] == ["test", "train", "val"]
    assert given.notes == ["1 images in folders of two splits; the inner counts"]


def test_a_folder_that_is_linked_is_in_both_splits_and_a_loop_ends(tree):
    folder = tree("train/cat/1.jpg", "test/cat/2.jpg")
    (folder / "test/linked").symlink_to("../train/cat")
    (folder / "loop").symlink_to(".")
    assert [split for _, split, _ in told(read(folder))] == ["test", "test", "train"]


@pytest.mark.parametrize(
    ("images", "classes"),
    [
        (["Training/glioma", "Training/notumor", "Testing/glioma"], "glioma notumor"),
        (["glioma/Training", "glioma/Testing", "notumor/Training"], "glioma notumor"),
        (["A/train/benign", "B/test/malignant"], "benign malignant"),
        (["A/benign/train", "A/malignant/test", "B/benign/train", "B/malignant/test"], "benign malignant"),
        (["train/p1/benign", "train/p1/cancer", "train/p2/benign", "test/p3/cancer"], "benign cancer"),
        (["train/benign/p1", "train/benign/p2", "train/cancer/p3", "test/cancer/p4"], "benign cancer"),
        (["train/benign/p1", "test/benign/p1", "train/cancer/p2", "test/cancer/p3"], "benign cancer"),
        (["cat/train/p1", "cat/test/p2", "dog/train/p3", "dog/test/p4"], "cat dog"),
        (["train/images/cat", "test/images/dog"], "cat dog"),
        (["me/set/cat", "me/set/dog", "you/set/ape", "you/set/cow"], "ape cat cow dog"),
        (["train/cat", "train/cat", "train/dog/old", "test/dog"], "cat dog"),
        (["train/cat", "train", "test/dog"], "cat dog"),
        (["train", "test"], ""),
    ],
)
def test_classes_are_the_innermost_folders_whose_names_are_met_again(tree, images, classes):
    given = read(tree(*(f"{folder}/{n}{m}.jpg" for n, folder in enumerate(images) for m in range(6))))
    assert sorted(set(given.labels) - {""}) == classes.split()


def test_the_sheet_that_an_audit_wrote_is_no_image_of_the_split(tree):
    files = ("audit.json", "pairs.csv", "pairs.png")
    given = read(tree("train/1.png", "test/2.png", "test/pairs.png", *(f"out/{name}" for name in files)))
    assert given.images == ["test/2.png", "test/pairs.png", "train/1.png"]
    assert given.doubts == []


def test_a_table_with_the_usual_columns(table):
    given = read(
        table("Path,Split,Class,Patient ID,slide_id,age", "a/1.jpg,Training,cat,p,s,9", "2.png,test,dog,q,,9")
    )
    assert told(given) == [("a/1.jpg", "train", "cat"), ("2.png", "test", "dog")]
    assert given.keys == {"patient": ["p", "q"], "slide": ["s", ""]}
    assert given.notes == [
        "columns of split.csv: image 'Path', split 'Split', label 'Class', "
        "patient 'Patient ID', slide 'slide_id'"
    ]


def test_a_table_with_columns_of_any_name(table):
    columns = Columns("x", "y", "z", ("who", "where", "lesion"))
    rows = ("train,1.jpg,test,cat,a,b,c,d", "train,2.jpg,train,cat,e,f,g,h")
    given = read(table("split,x,y,z,who,where,lesion,patient", *rows), columns=columns)
    assert told(given) == [("1.jpg", "test", "cat"), ("2.jpg", "train", "cat")]
    assert given.keys == {"group": ["a", "e"], "where": ["b", "f"], "lesion": ["c", "g"]}


def test_a_key_is_never_called_what_a_split_says_of_itself(table):
    columns = Columns(groups=("scan", "images", "any", "images_column"))
    given = read(table("image,scan,images,any,images_column", "1.jpg,a,b,c,d"), columns=columns)
    assert given.keys == {
        "group": ["a"],
        "images_column": ["b"],
        "any_column": ["c"],
        "images_column_column": ["d"],
    }


@pytest.mark.parametrize("header", ["Patient,patient", "patient_id,patient", "group,case"])
def test_two_columns_of_one_kind_have_two_names(table, header):
    given = read(table(f"image,{header}", "1.jpg,a,b"), columns=Columns(groups=tuple(header.split(","))))
    assert len(given.keys) == 2 and sorted(given.keys.values()) == [["a"], ["b"]]


def test_a_name_that_the_system_refuses_is_no_file(table):
    assert read(table("image,split", f"{'a' * 300}.jpg,train", "2.jpg,test")).splits == ["train", "test"]


def test_unknown_patients_are_none_and_a_column_of_them_is_left_out(table):
    rows = [f"{n}.jpg,{cell}," for n, cell in enumerate(("p", "NA", "nan", "Unknown", "", "None", "N/A"))]
    given = read(table("image,patient_id,lesion", *rows))
    assert given.keys == {"patient": ["p", "", "", "", "", "", ""]}
    assert given.notes == [
        "columns of split.csv: image 'image', patient 'patient_id'",
        "column 'lesion' has no known value and is left out",
    ]


def test_an_image_may_be_in_a_table_twice_and_folds_keep_their_names(table):
    given = read(table("file,fold", "1.jpg,0", "1.jpg,1"))
    assert told(given) == [("1.jpg", "0", ""), ("1.jpg", "1", "")]


def test_a_table_of_names_without_suffix_finds_its_files(tree, table):
    given = read(
        tree("train/a.tif", "train/b.tif"), table("id,split,label", "b,train,1", "a,test,0", "c,test,0")
    )
    assert given.images == ["train/b.tif", "train/a.tif", "c"]


def test_of_names_without_suffix_the_whole_path_goes_before_its_end(tree, tmp_path):
    folder = tree("train/0.png", "test/0.png", "test/1.png", "more/train/0.png", "dup/test/train/2.png")
    (tmp_path / "ids.csv").write_text("id,split\ntrain/0,train\ntest/0,test\n1,test\ntrain/2,train\n")
    assert read(folder, tmp_path / "ids.csv").images == [
        *("train/0.png", "test/0.png", "test/1.png", "dup/test/train/2.png")
    ]


def test_paths_in_another_spelling_are_found_as_layouts_find_them(tree, tmp_path):
    folder = tree("train/007.png", "test/B.PNG")
    rows = ["image,split", "train\\7.0,train", "C:\\their\\test\\b.png,test", "train/c.png,train"]
    (tmp_path / "ids.csv").write_text("\n".join(rows))
    given = read(folder, tmp_path / "ids.csv")
    assert given.images == ["train/007.png", "test/B.PNG", "train/c.png"]
    assert "2 paths of ids.csv found by another spelling" in given.notes[-1]


def test_a_name_of_several_files_is_refused_by_name(tree, tmp_path):
    folder = tree("train/0.png", "test/0.png")
    (tmp_path / "ids.csv").write_text("id,split\n0,train\n0,test\n")
    with pytest.raises(OncovecError, match=r"'0' may be test/0.png, train/0.png; write paths"):
        read(folder, tmp_path / "ids.csv")


def test_one_file_by_several_links_is_not_ambiguous(tree, tmp_path):
    folder = tree("train/0.png", "test/1.png")
    (folder / "again").symlink_to("train")
    (tmp_path / "ids.csv").write_text("id,split\n0,train\n1,test\n")
    assert read(folder, tmp_path / "ids.csv").images == ["again/0.png", "test/1.png"]


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
        (["image,split", "1.jpg,images"], "a split may not be called 'images'"),
    ],
)
def test_a_wrong_table_gets_one_line(table, lines, message):
    with pytest.raises(OncovecError, match=message) as caught:
        read(table(*lines))
    assert "split.csv" in str(caught.value)


def test_columns_that_are_not_there_are_refused(tree, table):
    with pytest.raises(OncovecError, match="no column 'side'; there are image, split"):
        read(table("image,split", "1.jpg,train"), columns=Columns(split="side"))
    with pytest.raises(OncovecError, match="columns are of a CSV"):
        read(tree("train/1.jpg"), columns=Columns(split="split"))


def test_what_is_no_split_is_refused(tree, tmp_path):
    with pytest.raises(OncovecError, match="no image below this folder"):
        read(tree("train/notes.txt"))
    with pytest.raises(OncovecError, match="no such file or folder"):
        read(tmp_path / "nothing")
    with pytest.raises(OncovecError, match="neither a folder nor a CSV"):
        read(tmp_path / "given/train/notes.txt")
    with pytest.raises(OncovecError, match="no such file"):
        read(tmp_path, tmp_path / "nothing.csv")
