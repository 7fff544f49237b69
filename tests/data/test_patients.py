import numpy as np
import pytest
from dicom_files import PATIENT, write

from oncovec.core.datasets import Columns
from oncovec.data import layouts, patients
from oncovec.data.layouts.scan import scan
from oncovec.data.tree import Folder

VALUES = np.arange(64, dtype=np.uint16).reshape(8, 8)


@pytest.fixture
def hospital(tmp_path, picture):
    """Files of three patients and of none in class folders, in an order that is not that of their numbers."""
    of = {"cat/2.dcm": "900", "cat/IM1": "17 ", "dog/1.2.840.7": "900", "dog/5.IMA": "17", "dog/6": "3"}
    for path, patient in of.items():
        write(tmp_path / path, VALUES, PatientID=patient)
    write(tmp_path / "cat/nobody", VALUES, PatientID="")
    picture(tmp_path / "dog/7.png")
    (tmp_path / "dog/notes").write_text("no image")
    write(tmp_path / "dog/DICOMDIR", VALUES)
    return Folder(tmp_path)


GROUPS = {
    "cat/2.dcm": "cat/2.dcm",
    "cat/IM1": "cat/IM1",
    "cat/nobody": "",
    "dog/1.2.840.7": "cat/2.dcm",
    "dog/5.IMA": "cat/IM1",
    "dog/6": "dog/6",
    "dog/7.png": "",
}


def test_a_patient_is_named_after_the_first_image(hospital):
    assert patients.names(hospital, GROUPS) == GROUPS


def test_a_damaged_file_has_no_patient(tmp_path):
    path = write(tmp_path / "a", VALUES, PatientID=PATIENT)
    path.write_bytes(path.read_bytes()[:150])
    assert patients.names(Folder(tmp_path), ["a", "none"]) == {"a": "", "none": ""}


def test_dicom_files_are_images_by_their_first_bytes_and_a_dicomdir_is_none(hospital):
    found = scan(*hospital.walk(), hospital)
    assert found.images == sorted(GROUPS)
    assert found.others == {"without suffix": 2}


def test_numbers_in_the_names_of_dicom_files_are_no_suffixes(tmp_path):
    for name in ("1.2.84", "1.2.85", "1.2.85_mask"):
        write(tmp_path / name, VALUES)
    found = scan(*Folder(tmp_path).walk(), Folder(tmp_path))
    assert (found.images, found.masks) == (["1.2.84", "1.2.85"], ["1.2.85_mask"])


def test_group_dicom_keeps_the_files_of_a_patient_together(hospital):
    listing = layouts.read("folders", hospital, None, "dicom")
    assert {record.image: record.group for record in listing.records} == GROUPS
    assert listing.missing_values == {"group": 2}
    assert listing.notes[-1] == "5 images are of 3 patients by their PatientID, 2 have none"


def test_without_it_no_patient_is_known(hospital):
    assert not any(record.group for record in layouts.read("folders", hospital).records)


def test_in_a_csv_it_takes_the_place_of_the_column_of_groups(hospital):
    rows = [f"{image},{image[:3]},g" for image in GROUPS]
    (hospital.root / "labels.csv").write_text("\n".join(["image,label,group", *rows]))
    listing = layouts.read("csv", hospital, Columns(), "dicom")
    assert {record.image: record.group for record in listing.records} == GROUPS
    assert any("left out" in note and note.endswith(": group") for note in listing.notes)


def test_a_csv_finds_dicom_files_without_their_folders(hospital):
    (hospital.root / "labels.csv").write_text("image,label\nIM1,x\n1.2.840.7,y\n2,y\n")
    images = [record.image for record in layouts.read("csv", hospital).records]
    assert images == ["cat/2.dcm", "cat/IM1", "dog/1.2.840.7"]
