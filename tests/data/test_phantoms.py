"""Phantoms: the same bytes from the same seed, the published layouts, and the defects that were meant."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oncovec.core.errors import OncovecError
from oncovec.data.phantoms import LAYOUTS, SHARE, draw, lymph_node
from oncovec.data.phantoms.canvas import generator, stain
from oncovec.data.phantoms.folders import BRAIN, BREAST, GROUPS, LUNG, MULTI_CANCER, RARE
from oncovec.data.phantoms.tables import ISIC_COLUMNS, PCAM

IMAGES, SIZE = 10, 32
"""Images of a class of relative frequency 1, and their side in px."""


def total(dataset: str, each: int = IMAGES) -> int:
    """The argument `images` for which a class of relative frequency 1 gets `each`."""
    return round(each / SHARE[dataset])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms")
    for dataset in LAYOUTS:
        draw(dataset, root / dataset, total(dataset), SIZE, seed=0)
    return root


def content(folder: Path) -> dict[str, str]:
    """Digest of every file by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def images(folder: Path) -> list[Path]:
    """Every image file, masks left out."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".jpg", ".jpeg", ".png", ".tif"} and "_mask" not in path.name
    ]


def decodes(path: Path) -> bool:
    """Whether Pillow reads the whole file."""
    try:
        with Image.open(path) as picture:
            picture.load()
    except OSError:
        return False
    return True


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_the_same_seed_gives_the_same_bytes(drawn: Path, tmp_path: Path, dataset: str) -> None:
    draw(dataset, tmp_path / dataset, total(dataset), SIZE, seed=0)
    assert content(tmp_path / dataset) == content(drawn / dataset)


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_another_seed_gives_other_images(drawn: Path, tmp_path: Path, dataset: str) -> None:
    draw(dataset, tmp_path / dataset, total(dataset), SIZE, seed=1)
    first, second = (
        {path.read_bytes() for path in images(root / dataset) if decodes(path)} for root in (drawn, tmp_path)
    )
    assert second and not first & second


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_two_files_of_each_dataset_do_not_decode(drawn: Path, dataset: str) -> None:
    assert sum(not decodes(path) for path in images(drawn / dataset)) == 2


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_each_dataset_has_byte_copies_but_few(drawn: Path, dataset: str) -> None:
    digests = Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in images(drawn / dataset))
    surplus = sum(count - 1 for count in digests.values())
    assert 1 <= surplus <= 0.1 * len(images(drawn / dataset))


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_one_image_a_class_is_enough(tmp_path: Path, dataset: str) -> None:
    draw(dataset, tmp_path, 1, 16, seed=0)
    assert sum(decodes(path) for path in images(tmp_path)) >= 2


def test_an_image_does_not_depend_on_how_many_there_are(drawn: Path, tmp_path: Path) -> None:
    draw("multi_cancer", tmp_path, total("multi_cancer", IMAGES - 2), SIZE, seed=0)
    first = "Oral Cancer/oral_scc/oral_scc_0001.jpg"
    fewer, more = (root / MULTI_CANCER / first for root in (tmp_path, drawn / "multi_cancer"))
    assert fewer.read_bytes() == more.read_bytes()


def test_multi_organ_has_the_three_published_layouts(drawn: Path) -> None:
    folder = drawn / "multi_organ"
    for kind in ("glioma", "meningioma", "notumor", "pituitary"):
        for side, prefix in (("Training", "Tr-"), ("Testing", "Te-")):
            names = [path.name for path in (folder / BRAIN / side / kind).iterdir()]
            assert names and all(name.startswith(prefix + kind[:2]) for name in names)
    for kind in ("benign", "malignant", "normal"):
        assert (folder / BREAST / kind / f"{kind} (1).png").is_file()
        assert (folder / BREAST / kind / f"{kind} (1)_mask.png").is_file()
    for kind in ("Bengin", "Malignant", "Normal"):
        assert (folder / LUNG / f"{kind} cases" / f"{kind} case (1).jpg").is_file()


def test_masks_show_a_mass_unless_the_breast_is_normal(drawn: Path) -> None:
    for path in sorted((drawn / "multi_organ" / BREAST).rglob("*_mask.png")):
        with Image.open(path) as mask:
            assert np.asarray(mask).any() == (path.parent.name != "normal")


def test_one_ultrasound_picture_lies_in_two_classes(drawn: Path) -> None:
    classes: dict[str, set[str]] = {}
    for path in images(drawn / "multi_organ"):
        classes.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), set()).add(path.parent.name)
    assert [kinds for kinds in classes.values() if len(kinds) > 1] == [{"benign", "malignant"}]


def test_multi_cancer_has_26_classes_in_eight_folders(drawn: Path) -> None:
    root = drawn / "multi_cancer" / MULTI_CANCER
    assert sorted(folder.name for folder in root.iterdir()) == sorted(GROUPS)
    classes = [folder for group in root.iterdir() for folder in group.iterdir()]
    assert len(classes) == 26
    for folder in classes:
        assert all(path.name.startswith(f"{folder.name}_") for path in folder.iterdir())
        assert sum(decodes(path) for path in folder.iterdir()) >= RARE * IMAGES


def test_pcam_tables_list_every_training_patch_once(drawn: Path) -> None:
    folder = drawn / "pcam" / PCAM
    labels, slides = rows(folder / "train_labels.csv"), rows(folder / "patch_id_wsi_full.csv")
    files = sorted(path.stem for path in (folder / "train").iterdir())
    assert [row["id"] for row in labels] == [row["id"] for row in slides] == files
    assert all(len(name) == 40 for name in files)
    assert Counter(row["label"] for row in labels)["1"] >= IMAGES
    assert max(Counter(row["wsi"] for row in slides).values()) > 1
    assert any((folder / "test").iterdir())


def test_pcam_label_changes_the_centre_third_and_nothing_else() -> None:
    centre = np.zeros((96, 96), bool)
    centre[32:64, 32:64] = True
    for number in range(10):
        slide = stain(generator(0, "slide", number))
        normal, tumour = (lymph_node.draw(generator(0, number), slide, t, 96) for t in (False, True))
        changed = (normal != tumour).any(axis=2)
        assert not changed[~centre].any()
        assert changed[centre].mean() > 0.1


def test_isic_table_lists_every_image_once_with_the_published_columns(drawn: Path) -> None:
    folder = drawn / "isic2020"
    table = rows(folder / "ISIC_2020_Training_GroundTruth.csv")
    assert tuple(table[0]) == ISIC_COLUMNS
    assert [row["image_name"] for row in table] == sorted(path.stem for path in (folder / "train").iterdir())
    for row in table:
        assert (row["target"], row["benign_malignant"]) in {("0", "benign"), ("1", "malignant")}
        assert (row["diagnosis"] == "melanoma") == (row["target"] == "1")


def test_isic_patients_have_several_images_of_one_sex_and_age(tmp_path: Path) -> None:
    draw("isic2020", tmp_path, 40, 16, seed=0)
    table = rows(tmp_path / "ISIC_2020_Training_GroundTruth.csv")
    patients: dict[str, list[dict[str, str]]] = {}
    for row in table:
        patients.setdefault(row["patient_id"], []).append(row)
    assert 2 < len(table) / len(patients) < 4.5
    assert all(len({(row["sex"], row["age_approx"]) for row in each}) == 1 for each in patients.values())
    for column in ("sex", "age_approx", "anatom_site_general_challenge"):
        assert 0 < np.mean([not row[column] for row in table]) < 0.2
    assert 0.15 < np.mean([row["target"] == "1" for row in table]) < 0.25


def test_isic_duplicates_are_byte_copies(drawn: Path) -> None:
    folder = drawn / "isic2020"
    pairs = rows(folder / "ISIC_2020_Training_Duplicates.csv")
    assert pairs
    for pair in pairs:
        first, second = (folder / "train" / f"{pair[f'image_name_{n}']}.jpg" for n in (1, 2))
        assert first.read_bytes() == second.read_bytes()


def test_an_unknown_dataset_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(OncovecError, match=r"^downloads\.mine: only brain_elsewhere, .*can be drawn$"):
        draw("mine", tmp_path, 3, 32, seed=0)
