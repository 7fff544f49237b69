"""DICOM files from the raw folder to predictions: each step reads them alike, and none names a patient."""

import contextlib
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import yaml
from dicom_files import COMPRESSED, write

from oncovec.core import params, paths
from oncovec.core.datasets import External
from oncovec.data import groups, index, prepare, splitting, val_parts
from oncovec.data.audit import given, measure
from oncovec.data.tree import Folder
from oncovec.serving import cli, external, inputs, predict
from stages import embed, evaluate, preprocess, train

WINDOW = [-150, 250]
BROKEN = "green/cut"


def patient(number):
    """The PatientID of an image; three images in a row, of both classes, are of one patient."""
    return f"MRN{7310000 + number // 3}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout whose one dataset is of DICOM files, with one system trained; and all that was printed."""
    folder = tmp_path_factory.mktemp("checkout")
    values = np.random.default_rng(0).integers(-300, 100, (60, 20, 20))
    values[1::2] += 250  # red is brighter
    syntaxes = [*COMPRESSED.values()]
    for number, image in enumerate(values):
        path = folder / "squares" / tiny.CLASSES[number % 2] / f"1.2.{number}"
        file = {"RescaleIntercept": -1024, "RescaleSlope": 1, "WindowCenter": 0, "WindowWidth": 2000}
        stored = (image + 1024).astype(np.uint16)
        write(path, stored, bits=12, syntax=syntaxes[number % 4], PatientID=patient(number), **file)
    broken = write(folder / "squares" / BROKEN, values[0].astype(np.int16), PatientID=patient(0))
    broken.write_bytes(broken.read_bytes()[:-300])
    content = tiny.settings()
    content["datasets"]["squares"] |= {"group": "dicom", "window": WINDOW}
    content["systems"].pop("head")
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    shutil.copy(tiny.ROOT / "dvc.yaml", folder)
    before, told = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            run()
    finally:
        os.chdir(before)
    return folder, told.getvalue()


def run():
    """Run the stages as DVC does, without a look for near-duplicates: the squares are all alike."""
    content = params.load()
    preprocess.main("squares", content)
    table = index.read(paths.index("squares"))
    settings = params.Split(strategy="grouped", train=0.6, val=0.2, test=0.2, seed=0)
    data = splitting.labelled(table, groups.join(table), "squares")
    splits = splitting.assign(data, settings, "squares")
    splitting.write(data, splits, val_parts.halves(data, splits, "grouped", 0), "squares")
    for stage in (train, embed, evaluate):
        stage.main("nearest", content)
    files = sorted(Path("squares").rglob("*"))
    Path("audited").mkdir()
    for number, file in enumerate(file for file in files if file.is_file()):
        (target := Path("audited", ("train", "test")[number % 2])).mkdir(exist_ok=True)
        shutil.copy(file, target / f"{number}")
    for command in (
        ["predict", "--system", "nearest", "--format", "csv", "squares"],
        ["embed", "--system", "nearest", "squares", "-o", "out.npz"],
        ["audit", "audited", "-o", "audit"],
    ):
        with contextlib.suppress(SystemExit):
            cli.main(command)


@pytest.fixture
def here(checkout, monkeypatch):
    monkeypatch.chdir(checkout[0])


def test_prediction_reads_what_preparation_stored(here):
    table, stored = index.read(paths.index("squares")), prepare.open_prepared("squares")
    facts = predict.load("nearest").facts
    assert facts["window"] == WINDOW
    for image, expected in zip(table["image"], stored, strict=True):
        found = inputs.square(f"squares/{image}", facts["image_size"], facts["resize"], tuple(WINDOW))
        assert np.array_equal(found, expected)


def test_prediction_knows_every_image_of_training_again(here):
    table = pd.read_csv(paths.split("squares"))
    names = table["image"][table["split"] == "train"]
    found = predict.load("nearest").predict(f"squares/{name}" for name in names)
    assert all(each.trained_on for each in found)


def test_an_array_of_hu_is_predicted_as_its_file(here):
    values = np.random.default_rng(1).integers(-300, 300, (20, 20)).astype(np.int16)
    path = write("array.dcm", values, bits=16)
    ours = predict.load("nearest").embed([path, values])
    assert np.allclose(ours[0], ours[1])


def test_an_external_set_is_read_through_the_window_of_the_dataset_or_its_own(here, tmp_path):
    values = np.random.default_rng(2).integers(-300, 300, (6, 20, 20)).astype(np.int16)
    for number, image in enumerate(values):
        write(tmp_path / tiny.CLASSES[number % 2] / f"{number}", image, PatientID=patient(number))
    row = {"task": "colour", "dataset": "squares", "root": str(tmp_path), "layout": "folders"}
    near = params.load().near_duplicates

    def scores(**more):
        found = external.predict_set("far", External.model_validate(row | more), ["nearest"], near)
        return found.table["ood_score"].tolist()

    assert scores() == scores(window=WINDOW) != scores(window=[0, 3000])


def test_pipeline_prediction_and_audit_agree_on_what_cannot_be_read(here, checkout):
    unreadable = pd.read_csv(paths.prepared("squares") / "unreadable.csv")
    ((image, reason),) = unreadable.to_numpy().tolist()
    assert image == BROKEN
    assert "copy it again" in reason
    ((name, audited),) = measure.audit(given.read(Path("audited")), measure.settings()).unreadable
    assert audited == reason
    assert predict.load("nearest").predict(f"audited/{name}")[0].error == reason
    assert checkout[1].count(reason) == 3  # of predict, embed and audit


def test_no_patient_is_in_two_splits(here):
    table = pd.read_csv(paths.split("squares"))
    numbers = table["image"].str.extract(r"1\.2\.(\d+)$")[0].astype(int)
    splits = table["split"].groupby(numbers.map(patient)).nunique()
    assert (len(splits), set(splits)) == (20, {1})


def test_no_output_and_no_line_names_a_patient(checkout):
    folder, told = checkout
    outputs = [
        file
        for file in folder.rglob("*")
        if file.is_file() and file.relative_to(folder).parts[0] not in ("squares", "audited", "array.dcm")
    ]
    assert len(outputs) > 15
    content = [file.read_bytes() for file in outputs] + [told.encode()]
    content += [array.tobytes() for array in np.load(folder / "out.npz").values()]
    content += ["\n".join(map(str, outputs)).encode()]
    source = (folder / "squares" / BROKEN).read_bytes()
    for secret in (b"MRN73", b"Doe^Jane", b"19510203"):
        assert secret in source
        assert not any(secret in each for each in content)


def test_the_names_of_patients_are_the_same_on_every_run(here):
    table = index.read(paths.index("squares"))
    again = preprocess_again()
    assert again["group"].tolist() == table["group"].tolist()
    assert set(table["group"]) <= set(table["image"]) | {BROKEN}


def preprocess_again():
    from oncovec.data import layouts

    listing = layouts.read("folders", Folder(Path("squares")), None, "dicom")
    rows = [(record.image, record.group) for record in listing.records if record.image != BROKEN]
    return pd.DataFrame(rows, columns=["image", "group"])
