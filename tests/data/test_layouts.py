import csv
import re
import unicodedata
from pathlib import Path
from typing import get_args

import pytest

from oncovec.core.datasets import Columns
from oncovec.core.errors import OncovecError
from oncovec.core.recipes import Layout
from oncovec.data import layouts
from oncovec.data.layouts.locate import Locator
from oncovec.data.layouts.multi_cancer import CLASSES
from oncovec.data.layouts.scan import scan
from oncovec.data.tree import Folder

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data")

BRAIN = "masoudnickparvar/brain-tumor-mri-dataset"
OLD_BRAIN = "sartajbhuvaji/brain-tumor-classification-mri"
BUSI = "aryashah2k/breast-ultrasound-images-dataset/Dataset_BUSI_with_GT"
NESTED = "The IQ-OTHNCCD lung cancer dataset"
LUNG = f"adityamahimkar/iqothnccd-lung-cancer-dataset/{NESTED}/{NESTED}"
OTHER_LUNG = f"hamdallak/the-iqothnccd-lung-cancer-dataset/{NESTED}"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write_csv(path: Path, *rows: tuple[str, ...]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


def labels(listing: layouts.Listing, column: str = "label") -> dict[str, str]:
    return {record.image: record.labels[column] for record in listing.records}


def error(layout: str, root: Path, columns: Columns | None = None) -> str:
    with pytest.raises(OncovecError) as caught:
        layouts.read(layout, Folder(root), columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- all layouts ---


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_a_missing_folder_is_one_line(layout, tmp_path):
    assert "no such folder" in error(layout, tmp_path / "nowhere")


@pytest.mark.parametrize("layout", [name for name in layouts.LAYOUTS if name != "csv"])
def test_a_folder_without_images_says_what_was_looked_for(layout, tmp_path):
    assert "no image found; looked for" in error(layout, touch(tmp_path, "notes.txt"))


def test_an_unknown_layout_names_those_that_there_are(tmp_path):
    assert ", ".join(layouts.LAYOUTS) in error("kaggle", tmp_path)


@pytest.mark.parametrize(
    ("layout", "name"),
    [("folders", "a/1.png"), ("multi_organ", "glioma/1.jpg"), ("multi_cancer", "all_pre/1.png")],
)
def test_one_class_alone_is_refused(layout, name, tmp_path):
    assert "two are needed" in error(layout, touch(tmp_path, name))


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_a_file_in_place_of_the_folder_is_called_one(layout, tmp_path):
    assert "a file, no folder; it should hold" in error(layout, touch(tmp_path, "mine.csv") / "mine.csv")


# --- multi_organ ---


def test_multi_organ_finds_the_ten_classes_in_the_published_layout(tmp_path):
    touch(
        tmp_path,
        *(f"{BRAIN}/Training/{name}/1.jpg" for name in ("glioma", "meningioma", "notumor", "pituitary")),
    )
    touch(tmp_path, *(f"{BUSI}/{name}/{name} (1).png" for name in ("benign", "malignant", "normal")))
    touch(
        tmp_path, *(f"{LUNG}/{name} cases/{name} case (1).jpg" for name in ("Bengin", "Malignant", "Normal"))
    )
    listing = layouts.read("multi_organ", Folder(tmp_path))
    assert sorted(labels(listing).values()) == [
        "brain_glioma",
        "brain_meningioma",
        "brain_notumor",
        "brain_pituitary",
        "breast_benign",
        "breast_malignant",
        "breast_normal",
        "lung_benign",
        "lung_malignant",
        "lung_normal",
    ]
    assert listing.missing_classes == ()
    assert listing.notes == ()


def test_multi_organ_keeps_the_published_split_of_brain_images(tmp_path):
    touch(
        tmp_path, f"{BRAIN}/Training/glioma/a.jpg", f"{BRAIN}/Testing/notumor/b.jpg", f"{BUSI}/benign/c.png"
    )
    facts = [record.facts for record in layouts.read("multi_organ", Folder(tmp_path)).records]
    assert facts == [{}, {"published_split": "test"}, {"published_split": "train"}]


def test_multi_organ_counts_masks_and_leaves_them_out(tmp_path):
    masks = [f"{BUSI}/benign/benign (1)_mask{end}.png" for end in ("", "_1", "_2")]
    touch(tmp_path, f"{BUSI}/benign/benign (1).png", f"{BUSI}/normal/normal (1).png", *masks)
    listing = layouts.read("multi_organ", Folder(tmp_path))
    assert listing.masks == 3
    assert [Path(image).name for image in labels(listing)] == ["benign (1).png", "normal (1).png"]


def test_multi_organ_with_nothing_but_masks_has_no_image(tmp_path):
    assert "no image found" in error("multi_organ", touch(tmp_path, f"{BUSI}/benign/benign (1)_mask.png"))


def test_multi_organ_reads_the_older_brain_set_alone(tmp_path):
    touch(tmp_path, f"{OLD_BRAIN}/Testing/no_tumor/1.jpg", f"{OLD_BRAIN}/Training/glioma_tumor/1.jpg")
    assert list(labels(layouts.read("multi_organ", Folder(tmp_path))).values()) == [
        "brain_notumor",
        "brain_glioma",
    ]


def test_multi_organ_leaves_the_older_brain_set_out_beside_the_newer_one(tmp_path):
    touch(
        tmp_path,
        f"{OLD_BRAIN}/Testing/no_tumor/1.jpg",
        f"{BRAIN}/Training/glioma/1.jpg",
        f"{BUSI}/benign/1.png",
    )
    listing = layouts.read("multi_organ", Folder(tmp_path))
    assert not any(image.startswith("sartaj") for image in labels(listing))
    assert listing.notes == (f"1 images of {OLD_BRAIN} left out: {BRAIN} has them",)


@pytest.mark.parametrize(
    "base", [LUNG, OTHER_LUNG, f"adityamahimkar/iqothnccd-lung-cancer-dataset/{NESTED}", "."]
)
def test_multi_organ_reads_lung_folders_at_any_depth(base, tmp_path):
    touch(tmp_path, f"{base}/Bengin cases/1.jpg", f"{base}/Normal cases/1.jpg")
    assert sorted(labels(layouts.read("multi_organ", Folder(tmp_path))).values()) == [
        "lung_benign",
        "lung_normal",
    ]


def test_multi_organ_reads_the_lung_images_once_when_both_uploads_are_there(tmp_path):
    touch(
        tmp_path,
        f"{LUNG}/Bengin cases/1.jpg",
        f"{LUNG}/Normal cases/1.jpg",
        f"{OTHER_LUNG}/Normal cases/1.jpg",
    )
    assert all(
        image.startswith("adityamahimkar") for image in labels(layouts.read("multi_organ", Folder(tmp_path)))
    )


def test_multi_organ_names_the_missing_classes(tmp_path):
    touch(tmp_path, *(f"{BUSI}/{name}/1.png" for name in ("benign", "normal")))
    missing = layouts.read("multi_organ", Folder(tmp_path)).missing_classes
    assert len(missing) == 8
    assert "breast_malignant" in missing


# --- multi_cancer ---


def test_multi_cancer_has_26_classes_nine_organs_and_nine_benign_classes():
    assert len(CLASSES) == 26
    organs = "Blood Brain Breast Cervix Colon Kidney Lung Lymph Mouth"
    assert {organ for organ, _ in CLASSES.values()} == set(organs.split())
    benign = "all_benign breast_benign cervix_mep cervix_pab cervix_sfi"
    benign += " colon_bnt kidney_normal lung_bnt oral_normal"
    found = sorted(name for name, (_, malignancy) in CLASSES.items() if malignancy == "benign")
    assert " ".join(found) == benign


def test_multi_cancer_finds_class_folders_below_any_parent_as_jpg_or_png(tmp_path):
    touch(
        tmp_path, "x/Multi Cancer/ALL/all_pre/all_pre_0001.jpg", "Oral Cancer/oral_normal/1.PNG", "readme.txt"
    )
    listing = layouts.read("multi_cancer", Folder(tmp_path))
    assert listing.label_columns == ("class", "organ", "malignancy")
    assert [dict(record.labels) for record in listing.records] == [
        {"class": "oral_normal", "organ": "Mouth", "malignancy": "benign"},
        {"class": "all_pre", "organ": "Blood", "malignancy": "malignant"},
    ]
    assert len(listing.missing_classes) == 24


# --- pcam ---


def pcam(root: Path, slides: bool = True) -> Path:
    touch(root, "train/aa.tif", "train/bb.tif", "train/cc.tif", "train/dd.tif", "test/ee.tif")
    write_csv(root / "train_labels.csv", ("id", "label"), ("aa", "0"), ("bb", "1"), ("cc", "1"), ("zz", "0"))
    if slides:
        write_csv(root / "patch_id_wsi_full.csv", ("id", "wsi"), ("aa", "s1"), ("bb", "s2"))
    return root


def test_pcam_joins_labels_and_slides_and_counts_what_does_not_join(tmp_path):
    pcam(tmp_path / "histopathologic-cancer-detection")
    listing = layouts.read("pcam", Folder(tmp_path))
    prefix = "histopathologic-cancer-detection/train/"
    assert labels(listing) == {
        f"{prefix}aa.tif": "normal",
        f"{prefix}bb.tif": "tumor",
        f"{prefix}cc.tif": "tumor",
    }
    assert [record.group for record in listing.records] == ["s1", "s2", ""]
    assert listing.missing_values == {"group": 1}
    assert [text.split()[0] for text in listing.notes] == ["1", "1"]


def test_pcam_reads_the_competition_folder_itself(tmp_path):
    assert next(iter(labels(layouts.read("pcam", Folder(pcam(tmp_path)))))) == "train/aa.tif"


def test_pcam_reads_a_linked_folder_of_images_though_its_target_is_there_too(tmp_path):
    pcam(tmp_path)
    (tmp_path / "all").mkdir()
    (tmp_path / "train").rename(tmp_path / "all" / "train")
    (tmp_path / "train").symlink_to(tmp_path / "all" / "train")
    assert next(iter(labels(layouts.read("pcam", Folder(tmp_path))))) == "train/aa.tif"


@pytest.mark.parametrize("cell", ["", "nan", "NA", "unknown"])
def test_pcam_patches_of_slides_that_are_not_known_share_none(cell, tmp_path):
    rows = [("aa", cell), ("bb", cell), ("cc", "s3")]
    write_csv(pcam(tmp_path) / "patch_id_wsi_full.csv", ("id", "wsi"), *rows)
    listing = layouts.read("pcam", Folder(tmp_path))
    assert [record.group for record in listing.records] == ["", "", "s3"]
    assert listing.missing_values == {"group": 2}


def test_a_patch_of_two_slides_and_two_images_of_one_name_are_refused(tmp_path):
    root = pcam(tmp_path)
    write_csv(root / "patch_id_wsi_full.csv", ("id", "wsi"), ("aa", "s1"), ("aa", "s1"), ("aa", "s2"))
    assert "row 4: aa is of two slides" in error("pcam", tmp_path)
    touch(root, "train/aa.png")
    assert "aa.png and train/aa.tif: two images of one name" in error("pcam", tmp_path)


def test_pcam_without_slide_table_says_so(tmp_path):
    listing = layouts.read("pcam", Folder(pcam(tmp_path, slides=False)))
    assert listing.missing_values == {"group": 3}
    assert "patch_id_wsi_full.csv" in listing.notes[-1]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("id", "label"), ("aa", "2")], "row 2: label is '2'"),
        ([("id", "label"), ("aa", "0"), ("aa", "1")], "row 3: aa is there twice"),
        ([("id", "tumor"), ("aa", "0")], "no column 'label'; there are id, tumor"),
        ([("id", "label"), ("yy", "0")], "no id is the name of an image"),
    ],
)
def test_pcam_refuses_a_wrong_label_table(rows, says, tmp_path):
    write_csv(pcam(tmp_path) / "train_labels.csv", *rows)
    assert says in error("pcam", tmp_path)


# --- isic2020 ---

ISIC = ("image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge", "diagnosis")


def isic(root: Path, folder: str = "train/") -> Path:
    touch(root, f"{folder}ISIC_1.jpg", f"{folder}ISIC_2.jpg", f"{folder}ISIC_3.jpg")
    rows = [
        ("ISIC_1", "IP_1", "male", "45", "torso", "nevus", "benign", "0"),
        ("ISIC_2", "", "", "NaN", "unknown", "melanoma", "malignant", "1"),
        ("ISIC_9", "IP_9", "male", "50", "torso", "unknown", "benign", "0"),
    ]
    header = (*ISIC, "benign_malignant", "target")
    write_csv(root / "ISIC_2020_Training_GroundTruth.csv", header, *rows)
    return root


@pytest.mark.parametrize("folder", ["train/", "ISIC_2020_Training_JPEG/train/", ""])
def test_isic_reads_patients_and_facts_wherever_the_images_lie(folder, tmp_path):
    listing = layouts.read("isic2020", Folder(isic(tmp_path, folder)))
    first, second = listing.records
    assert (first.image, first.labels["label"], first.group) == (f"{folder}ISIC_1.jpg", "benign", "IP_1")
    assert first.facts == {"sex": "male", "age": "45", "site": "torso", "diagnosis": "nevus"}
    assert second.labels["label"] == "melanoma"
    assert listing.missing_values == {"age": 1, "group": 1, "sex": 1, "site": 1}
    assert [text.split()[0] for text in listing.notes] == ["1", "1"]


def test_isic_prefers_the_second_edition_which_knows_the_lesions(tmp_path):
    rows = [("ISIC_1", "IP_1", "IL_1", "0"), ("ISIC_2", "IP_1", "IL_2", "1")]
    header = ("image_name", "patient_id", "lesion_id", "target")
    write_csv(isic(tmp_path) / "ISIC_2020_Training_GroundTruth_v2.csv", header, *rows)
    assert [record.facts for record in layouts.read("isic2020", Folder(tmp_path)).records] == [
        {"lesion": "IL_1"},
        {"lesion": "IL_2"},
    ]


def test_isic_names_the_original_of_a_published_duplicate(tmp_path):
    header = ("image_name_1", "image_name_2")
    write_csv(isic(tmp_path) / "ISIC_2020_Training_Duplicates.csv", header, ("ISIC_1", "ISIC_2"))
    first, second = layouts.read("isic2020", Folder(tmp_path)).records
    assert "duplicate_of" not in first.facts
    assert second.facts["duplicate_of"] == "ISIC_1"


# --- folders ---


def test_folders_label_images_by_the_folder_below_the_root(tmp_path):
    touch(tmp_path, "cat/1.JPG", "cat/deep/er/2.webp", "dog/3.tiff", "dog/.hidden.png", ".git/x/4.png")
    touch(tmp_path, "cat/notes.txt", "labels.csv", "5.png")
    listing = layouts.read("folders", Folder(tmp_path))
    assert labels(listing) == {"cat/1.JPG": "cat", "cat/deep/er/2.webp": "cat", "dog/3.tiff": "dog"}
    assert listing.notes == (
        "2 files that are no images ignored (1 csv, 1 txt)",
        "2 hidden or system files and folders ignored, such as .git/",
        "1 images in no class folder ignored",
    )


def test_folders_follow_links_and_survive_a_loop(tmp_path):
    elsewhere = touch(tmp_path / "elsewhere", "1.png")
    root = touch(tmp_path / "root", "cat/1.png")
    (root / "dog").symlink_to(elsewhere)
    (root / "cat" / "again").symlink_to(root)
    assert labels(layouts.read("folders", Folder(root))) == {"cat/1.png": "cat", "dog/1.png": "dog"}


def test_a_file_name_that_no_table_can_hold_is_counted_as_unreadable(tmp_path):
    touch(tmp_path, "a/1.png", "b/2\n.png", "b/3.png", "b/caf\udce9.png")
    listing = layouts.read("folders", Folder(tmp_path))
    assert labels(listing) == {"a/1.png": "a", "b/3.png": "b"}
    reason = "its name has a line break or is not UTF-8: rename the file"
    assert listing.unreadable == (("b/2\\n.png", reason), ("b/caf\\udce9.png", reason))


def test_one_class_is_left_because_of_file_names(tmp_path):
    touch(tmp_path, "a/1.png", "b/2\n.png")
    message = error("folders", tmp_path)
    assert "of one class, 'a'" in message and "rename the file" in message


@pytest.mark.parametrize(
    "names",
    [("1", "1.0"), ("Lung-cancer", "lung cancer"), ("Ödem", "O\u0308dem"), ("grade 1", "Grade 1 ")],
)
def test_two_spellings_of_a_class_are_asked_about(own, names):
    write_csv(own / "labels.csv", ("image", "label"), ("a/1.png", names[0]), ("3.png", names[1]))
    assert "two spellings of one?" in error("csv", own, Columns())


@pytest.mark.parametrize(
    "names", [("1", "2"), ("nan", "none"), ("1_0", "10"), ("a", "ä"), (f"{10**17 + 1}", f"{10**17 + 2}")]
)
def test_two_classes_are_two(own, names):
    write_csv(own / "labels.csv", ("image", "label"), ("a/1.png", names[0]), ("3.png", names[1]))
    assert set(labels(layouts.read("csv", Folder(own), Columns())).values()) == set(names)


def splits(listing):
    return {record.image: record.facts.get("published_split") for record in listing.records}


def test_folders_named_as_splits_hold_the_class_folders(tmp_path):
    touch(tmp_path, "Training/cat/a/1.png", "Training/dog/2.png", "Testing/cat/3.png", "VALID/dog/4.png")
    touch(tmp_path, "Testing/5.png", "6.png", "docs/readme.txt")
    listing = layouts.read("folders", Folder(tmp_path))
    assert labels(listing) == {
        "Testing/cat/3.png": "cat",
        "Training/cat/a/1.png": "cat",
        "Training/dog/2.png": "dog",
        "VALID/dog/4.png": "dog",
    }
    assert list(splits(listing).values()) == ["test", "train", "train", "val"]
    assert listing.missing_classes == () and "2 images in no class folder ignored" in listing.notes


@pytest.mark.parametrize(
    "names",
    [
        ("train/cat/1.png", "test/cat/2.png", "others/dog/3.png"),  # not all are splits
        ("train/1.png", "test/2.png"),  # no class folders inside
        ("cat/train/1.png", "cat/2.png", "dog/test/3.png"),  # an image of a class is in no split
    ],
)
def test_other_folders_at_the_top_are_classes_without_splits(tmp_path, names):
    listing = layouts.read("folders", Folder(touch(tmp_path, *names)))
    assert labels(listing) == {name: name.partition("/")[0] for name in names}
    assert set(splits(listing).values()) == {None}
    assert "folders named after splits are taken for classes" in listing.notes[-1]


@pytest.mark.parametrize("inner", ["40X 100X", "p1 p2"])
def test_classes_that_cannot_be_told_from_other_folders_are_refused(inner, tmp_path):
    for split in ("train", "test"):
        for label in ("benign", "malignant"):
            touch(tmp_path, *(f"{split}/{label}/{each}/{n}.png" for each in inner.split() for n in range(3)))
    names = ", ".join(sorted(inner.split()))
    for group in (None, "folder"):
        with pytest.raises(OncovecError, match=f"may be the folders benign, malignant or {names}; name them"):
            layouts.read("folders", Folder(tmp_path), None, group)


def test_patients_below_the_splits_are_groups_also_in_a_folder_around_all(tmp_path):
    patients = {"train": ("p1", "p2"), "test": ("p3", "p4")}
    names = [
        f"all/{split}/{label}/{label}{patient}/{n}.png"
        for split, each in patients.items()
        for label in ("cat", "dog")
        for patient in each
        for n in range(3)
    ]
    listing = layouts.read("folders", Folder(touch(tmp_path, *names)), None, "folder")
    assert {record.labels["label"] for record in listing.records} == {"cat", "dog"}
    assert {record.group for record in listing.records} == {
        f"{label}p{n}" for label in ("cat", "dog") for n in (1, 2, 3, 4)
    }


# --- csv ---


@pytest.fixture
def own(tmp_path):
    return touch(tmp_path / "own", "a/1.png", "a/2.png", "3.png")


def test_csv_reads_paths_labels_groups_and_keeps_the_rest_as_facts(own):
    rows = [("a/1.png", "x", "p1", "f"), ("./a/2.png", " y ", "", "m"), ("3.png", "x", "p1", "")]
    write_csv(own / "labels.csv", ("image", "label", "group", "sex"), *rows)
    listing = layouts.read("csv", Folder(own))
    assert labels(listing) == {"3.png": "x", "a/1.png": "x", "a/2.png": "y"}
    assert [record.group for record in listing.records] == ["p1", "p1", ""]
    assert [record.facts["sex"] for record in listing.records] == ["", "f", "m"]
    assert listing.missing_values == {"group": 1, "sex": 1}


def test_csv_columns_have_the_names_that_were_given(own):
    write_csv(own / "t.csv", ("file", "dx", "patient"), ("a/1.png", "x", "p"), ("3.png", "y", "q"))
    listing = layouts.read(
        "csv", Folder(own), Columns(file="t.csv", image="file", label="dx", group="patient")
    )
    assert [(record.labels["label"], record.group) for record in listing.records] == [("y", "q"), ("x", "p")]
    assert all(not record.facts for record in listing.records)


def test_csv_takes_the_default_group_column_where_there_is_one(own):
    columns = Columns()
    write_csv(own / "labels.csv", ("image", "label"), ("a/1.png", "x"), ("3.png", "y"))
    assert layouts.read("csv", Folder(own), columns).missing_values == {}
    write_csv(own / "labels.csv", ("image", "label", "group"), ("a/1.png", "x", "p"), ("3.png", "y", "q"))
    assert [record.group for record in layouts.read("csv", Folder(own), columns).records] == ["q", "p"]


def test_csv_reads_published_splits_under_the_names_that_they_have(own):
    rows = [("a/1.png", "x", "Training"), ("a/2.png", "y", "testing"), ("3.png", "y", "")]
    write_csv(own / "labels.csv", ("image", "label", "split"), *rows)
    listing = layouts.read("csv", Folder(own), Columns(split="split"))
    assert splits(listing) == {"3.png": "", "a/1.png": "train", "a/2.png": "test"}
    assert listing.missing_values == {"published_split": 1}
    assert layouts.read("csv", Folder(own)).records[1].facts == {"split": "Training"}


def test_eval_in_a_csv_is_val_beside_test_as_in_folders(own):
    rows = [("a/1.png", "x", "train"), ("a/2.png", "y", "eval"), ("3.png", "y", "test")]
    write_csv(own / "labels.csv", ("image", "label", "split"), *rows)
    listing = layouts.read("csv", Folder(own), Columns(split="split"))
    assert splits(listing) == {"3.png": "test", "a/1.png": "train", "a/2.png": "val"}


def test_csv_refuses_a_split_that_is_none_and_a_column_that_is_not_there(own):
    write_csv(
        own / "labels.csv", ("image", "label", "split"), ("a/1.png", "x", "train"), ("3.png", "y", "f3")
    )
    assert "row 3: 'f3' is no split; splits are told by names such as train" in error(
        "csv", own, Columns(split="split")
    )
    assert "no column 'fold'; there are image, label, split" in error("csv", own, Columns(split="fold"))


def test_a_csv_column_called_like_that_of_published_splits_means_nothing_unless_it_is_named(own):
    rows = [("a/1.png", "x", "train"), ("3.png", "y", "right")]
    write_csv(own / "labels.csv", ("image", "label", "published_split"), *rows)
    listing = layouts.read("csv", Folder(own))
    assert set(splits(listing).values()) == {None} and "published_split" in listing.notes[0]


def test_a_csv_column_called_split_is_a_fact_like_any_other(own):
    rows = [("a/1.png", "x", "left"), ("3.png", "y", "right")]
    write_csv(own / "labels.csv", ("image", "label", "side"), *rows)
    assert [record.facts for record in layouts.read("csv", Folder(own)).records] == [
        {"side": "right"},
        {"side": "left"},
    ]


def test_csv_has_no_groups_where_none_are_wanted(own):
    write_csv(own / "labels.csv", ("image", "label", "group"), ("a/1.png", "x", "p"), ("3.png", "y", "p"))
    listing = layouts.read("csv", Folder(own), Columns(group=None))
    assert [record.group for record in listing.records] == ["", ""]


@pytest.mark.parametrize("cell", ["NA", "nan", "Unknown", "None", "-"])
def test_a_csv_group_that_is_written_as_unknown_joins_nothing(cell, own):
    write_csv(own / "labels.csv", ("image", "label", "group"), ("a/1.png", "x", cell), ("3.png", "y", "p"))
    listing = layouts.read("csv", Folder(own))
    assert {record.image: record.group for record in listing.records} == {"3.png": "p", "a/1.png": ""}
    assert listing.missing_values == {"group": 1}


@pytest.mark.parametrize("name", ["lesion", "duplicate_of"])
def test_a_users_column_joins_no_groups_by_its_name(name, own):
    write_csv(own / "labels.csv", ("image", "label", name), ("a/1.png", "x", "1"), ("3.png", "y", "1"))
    listing = layouts.read("csv", Folder(own))
    assert all(not record.facts for record in listing.records)
    assert name in listing.notes[0]


def test_a_csv_outside_of_the_folder_is_refused(own):
    with pytest.raises(OncovecError, match="must lie below"):
        layouts.read("csv", Folder(own), Columns(file="../labels.csv"))


def test_a_class_folder_without_images_is_named(own):
    (own / "empty").mkdir()
    (own / "b").mkdir()
    (own / "b" / "1.png").write_bytes((own / "a" / "1.png").read_bytes())
    assert "empty" in layouts.read("folders", Folder(own)).missing_classes


def test_csv_leaves_out_columns_that_the_index_fills_and_says_so(own):
    write_csv(own / "labels.csv", ("image", "label", "width"), ("a/1.png", "x", "9"), ("3.png", "y", "9"))
    listing = layouts.read("csv", Folder(own))
    assert all(not record.facts for record in listing.records)
    assert "width" in listing.notes[0]


def test_csv_accepts_what_spreadsheets_write(own):
    (own / "labels.csv").write_bytes(b'\xef\xbb\xbfimage,label\r\n"a/1.png","x, y"\r\n\r\n3.png,z\r\n')
    assert labels(layouts.read("csv", Folder(own))) == {"a/1.png": "x, y", "3.png": "z"}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("", "x"), "row 3: the path is empty"),
        (("a/9.png", "x"), "row 3: a/9.png is not there"),
        (("a\0.png", "x"), "row 3: "),
        (("a", "x"), "row 3: a is not a file"),
        (("/etc/hosts", "x"), "row 3: /etc/hosts points outside"),
        (("a/../../secret.png", "x"), "row 3: a/../../secret.png points outside"),
        (("link.png", "x"), "row 3: link.png is a link that points outside"),
        (("linked/secret.png", "x"), "row 3: linked/secret.png is a link that points outside"),
        (("a/./1.png", "y"), "row 3: a/./1.png is already in row 2, where 'label' is 'x', not 'y'"),
        (("a/2.png", "x", "more"), "row 3 has 3 cells, the header 2"),
    ],
)
def test_csv_refuses_a_wrong_row_by_its_number(row, says, own):
    touch(own.parent, "secret.png")
    (own / "link.png").symlink_to(own.parent / "secret.png")
    (own / "linked").symlink_to(own.parent)
    write_csv(own / "labels.csv", ("image", "label"), ("a/1.png", "x"), row)
    assert says in error("csv", own)


def test_csv_takes_an_empty_label_for_none(own):
    write_csv(own / "labels.csv", ("image", "label"), ("a/1.png", "x"), ("a/2.png", ""), ("3.png", "z"))
    assert labels(layouts.read("csv", Folder(own))) == {"3.png": "z", "a/1.png": "x", "a/2.png": ""}


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', ""])
def test_csv_parts_its_header_into_the_most_cells(first, own):
    text = 'image;label;"age (years, months)";"seen\nby"\na/1.png;x;4,5;A\n3.png;z;5,5;B\n'
    (own / "labels.csv").write_text(first + text, encoding="utf-8")
    listing = layouts.read("csv", Folder(own))
    assert labels(listing) == {"a/1.png": "x", "3.png": "z"}
    assert listing.records[0].facts["age (years, months)"] == "5,5"


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_is_read_as_spreadsheets_write_it(mark, encoding, own):
    rows = [
        ("", "image", "label", ""),
        ("1", "a/1.png", "NA", ""),
        ("2", "3.png", "müde", ""),
        ("", "", "", ""),
    ]
    text = "".join(mark.join(row) + "\r\n" for row in rows)
    (own / "labels.csv").write_bytes(text.encode(encoding))
    assert labels(layouts.read("csv", Folder(own))) == {"a/1.png": "NA", "3.png": "müde"}


@pytest.mark.parametrize(
    "cell",
    [
        *("a\\1.png", "C:\\data\\own\\a\\1.png", "\\\\server\\own\\a\\1.png", "/home/her/own/a/1.png"),
        *("a/1", "./a/1.png", "A/1.PNG", "file:///home/her/own/a/1.png", "a%2F1.png", "D:\\Own\\A\\1.PNG"),
        *("1.png", "1", "1.PNG", "a/1.0", "a/01"),
    ],
)
def test_csv_finds_a_path_as_another_machine_wrote_it(cell, own):
    write_csv(own / "labels.csv", ("image", "label"), (cell, "x"), ("3.png", "z"))
    listing = layouts.read("csv", Folder(own))
    assert labels(listing) == {"a/1.png": "x", "3.png": "z"}
    assert any("another spelling" in note for note in listing.notes) == (cell != "./a/1.png")


@pytest.mark.parametrize("cell", ["7", "7.0", "07", "a/7", "b/7.0", "0007.png"])
def test_a_number_whose_zeros_a_spreadsheet_took_is_found_where_it_is_one_file(cell, tmp_path):
    tree = Folder(touch(tmp_path, "007.png", "a/007.png", "b/7.tif", "c/0007.png"))
    meant = {"a/7": "a/007.png", "b/7.0": "b/7.tif", "0007.png": "c/0007.png"}
    assert Locator(tree)(cell) == [meant.get(cell, "007.png")]


def test_csv_takes_a_row_that_repeats_another_once(own):
    write_csv(own / "labels.csv", ("image", "label"), ("a/1.png", "x"), ("3.png", "z"), ("a/1.png", "x"))
    listing = layouts.read("csv", Folder(own))
    assert labels(listing) == {"a/1.png": "x", "3.png": "z"}
    assert listing.notes == ("1 rows of labels.csv left out, which repeat another row",)


def test_columns_of_one_name_and_content_are_one_column(own):
    rows = ("image", "label", "", "label"), ("a/1.png", "x", "1", "x"), ("3.png", "z", "", "z")
    write_csv(own / "labels.csv", *rows)
    assert labels(layouts.read("csv", Folder(own))) == {"a/1.png": "x", "3.png": "z"}


@pytest.mark.parametrize(("one", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_csv_finds_letters_in_another_unicode_form(one, other, own):
    name = unicodedata.normalize(one, "Müller.png")
    touch(own, name)
    write_csv(
        own / "labels.csv", ("image", "label"), (unicodedata.normalize(other, name), "x"), ("3.png", "z")
    )
    assert labels(layouts.read("csv", Folder(own))) == {name: "x", "3.png": "z"}


def test_csv_refuses_a_path_that_may_be_two_files(own):
    touch(own, "a/1.jpg")
    write_csv(own / "labels.csv", ("image", "label"), ("a/1", "x"), ("3.png", "z"))
    assert "a/1 may be a/1.jpg or a/1.png" in error("csv", own)


@pytest.mark.parametrize(
    "names", [("Benign", "benign"), ("lung normal", "lung_normal"), ("STRASSE", "straße")]
)
def test_two_spellings_of_one_class_are_asked_about(names, tmp_path):
    assert "two spellings of one?" in error("folders", touch(tmp_path, *(f"{name}/1.png" for name in names)))


def test_class_folders_inside_or_above_those_of_splits_are_the_classes(tmp_path):
    inside = touch(
        tmp_path / "a", "train_set/cat/1.png", "test_set/cat/2.png", "train_set/dog/3.png", "docs/4.png"
    )
    above = touch(tmp_path / "b", "cat/train/1.png", "cat/test/2.png", "dog/train/3.png")
    for folder, left_out in ((inside, 1), (above, 0)):
        listing = layouts.read("folders", Folder(folder))
        assert sorted(labels(listing).values()) == ["cat", "cat", "dog"]
        assert sorted(splits(listing).values()) == ["test", "train", "train"]
        assert listing.notes == (("1 images in no class folder ignored",) if left_out else ())


def test_folders_of_patients_become_groups_if_the_row_says_so_and_are_named_otherwise(tmp_path):
    names = [f"{label}/p{number}/{slice_}.png" for label in "ab" for number in (1, 2) for slice_ in "xy"]
    tree = Folder(touch(tmp_path, *names))
    plain, grouped = layouts.read("folders", tree), layouts.read("folders", tree, None, "folder")
    assert {record.group for record in plain.records} == {""}
    assert "images lie in 2 folders besides those of their classes, such as p1" in plain.notes[0]
    assert {record.image.split("/")[1]: record.group for record in grouped.records} == {
        "p1": "p1",
        "p2": "p2",
    }
    assert grouped.notes == ()


MASKED = {
    "beside": ("a/1.png", "a/1_mask.png", "a/1_mask_2.png", "b/1.png", "b/1-seg.tif", "b/2_mask.png"),
    "folder": ("a/1.png", "a/masks/1.png", "b/2.jpg", "b/Masks/2_mask.png"),
    "sibling": ("images/a/1.png", "masks/a/1.png", "images/b/2.png", "Ground truth/b/2_segmentation.png"),
    "before": ("a/1.png", "a/mask_1.png", "a/seg-1.png", "b/2.png", "b/MASK_2.tif"),
    "thumbnails": ("a/1.png", "a/1_thumb.jpg", "b/2.png", "b/thumbs/2.jpg", "Thumbnails/a/1.jpg"),
    "cases": ("a/images/1.png", "a/masks/x.png", "a/masks/y.png", "b/ct.png", "b/mask.png"),
    "readable": ("a/1.jp2", "a/1_preview.png", "b/s1.png", "b/s1_roi_1.png", "c/slide.svs", "c/seg_1.png"),
    "labels": ("a/1.png", "a/1_label.png", "b/2.png", "b/labels/2.png", "b/2_overlay_1.png"),
    "none": ("a/unmask.png", "a/1.png", "b/mask_of_what.png", "masks/9.png"),
}


@pytest.mark.parametrize("name", MASKED)
def test_masks_are_told_by_the_image_that_they_are_named_after(name):
    found = scan(MASKED[name])
    lone = [path for path in MASKED[name] if path in ("b/2_mask.png",)]
    kept = [
        path
        for path in MASKED[name]
        if not re.search(r"(?i)masks?/|_mask|mask_|/mask|seg|truth|thumb|label|overlay", path)
    ]
    assert found.images == (list(MASKED[name]) if name in ("none", "readable") else kept)
    assert set(lone) <= set(found.masks)


def test_csv_accepts_a_link_that_stays_inside(own):
    (own / "link.png").symlink_to(own / "a" / "2.png")
    write_csv(own / "labels.csv", ("image", "label"), ("a/1.png", "x"), ("link.png", "y"))
    assert labels(layouts.read("csv", Folder(own))) == {"a/1.png": "x", "link.png": "y"}


@pytest.mark.parametrize(
    ("content", "columns", "says"),
    [
        (None, Columns(), "labels.csv: no such file"),
        (b"", Columns(), "no column 'image'; there are none"),
        (b"image,class\n", Columns(), "no column 'label'; there are image, class"),
        (b"image,label\n", Columns(group="patient"), "no column 'patient'; there are image, label"),
        (b"image,label,label\na/1.png,x,y\n", Columns(), "'label' and differ in row 2"),
        (b"image,label\n", Columns(), "no image found"),
        (b"image,label\na/1.png,\xff\n", Columns(), "cannot be read as a CSV in UTF-8"),
        (b"PK\3\4 a workbook", Columns(), "workbook of Excel or the like: save it as CSV UTF-8"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            Columns(),
            "workbook of Excel or the like: save it as CSV UTF-8",
        ),
        (b'image,label\n"a/1.png,x\n', Columns(), "cannot be read as a CSV in UTF-8"),
    ],
)
def test_csv_refuses_a_wrong_table(content, columns, says, own):
    if content is not None:
        (own / "labels.csv").write_bytes(content)
    assert says in error("csv", own, columns)


# --- real images ---


@needs_real
@pytest.mark.parametrize(
    ("layout", "images", "classes", "masks", "groups"),
    [
        ("multi_organ", 2964, 10, 24, 0),
        ("multi_cancer", 2390, 7, 0, 0),
        ("pcam", 5127, 2, 0, 32),
        ("isic2020", 2502, 2, 0, 1877),
    ],
)
def test_real_datasets_have_their_known_counts(layout, images, classes, masks, groups):
    listing = layouts.read(layout, Folder(REAL / layout))
    first = listing.label_columns[0]
    assert len(listing.records) == images
    assert len({record.labels[first] for record in listing.records}) == classes
    assert listing.masks == masks
    assert len({record.group for record in listing.records} - {""}) == groups


def test_every_layout_may_stand_in_a_row():
    assert set(get_args(Layout)) == set(layouts.LAYOUTS)
