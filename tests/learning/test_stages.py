import csv

import numpy as np
import pytest
import tiny
import yaml

from oncovec.core import params, paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import read_json
from oncovec.data import embeddings
from oncovec.learning.history import HISTORY_COLUMNS
from stages import embed, train


@pytest.fixture
def folder(tmp_path_factory, tmp_path, monkeypatch):
    """A copy of a checkout with trained systems, which is the current folder."""
    copy = tiny.copied(tiny.trained(tmp_path_factory), tmp_path)
    monkeypatch.chdir(copy)
    return copy


def written(name):
    """Bytes of all that train and embed write of a system."""
    files = [*paths.model(name).iterdir(), *(path for path in paths.live(name).rglob("*") if path.is_file())]
    files += [paths.picture("augmentation", name), paths.embeddings(name)]
    return {str(file): file.read_bytes() for file in files}


def rewrite(file, changed):
    """Replace each row of a table by `changed(number, row)`."""
    with file.open(newline="", encoding="utf-8") as stream:
        rows = [changed(number, row) for number, row in enumerate(csv.DictReader(stream))]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def task(**row):
    """The params where the squares' task is another one, trained for an epoch."""
    content = tiny.settings()
    content["tasks"]["colour"] = {"dataset": "squares", "label": "label"} | row
    for system in content["systems"].values():
        system["epochs"] = 1
    paths.PARAMS.write_text(yaml.safe_dump(content), encoding="utf-8")
    return params.load()


@pytest.mark.parametrize("name", ["head", "nearest"])
def test_the_same_params_give_the_same_bytes(folder, name):
    before = written(name)
    for stage in (train, embed):
        stage.main(name, params.load())
    assert written(name) == before


def test_a_model_is_a_folder_of_weights_facts_and_history(folder):
    assert sorted(file.name for file in paths.model("head").iterdir()) == [
        "facts.json",
        "history.csv",
        "weights.safetensors",
    ]
    lines = paths.history("head").read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(HISTORY_COLUMNS) and len(lines) == 1 + 3
    assert 1 <= read_json(paths.model_facts("head"))["best_epoch"] <= 3


def test_embeddings_tell_the_weights_that_made_them(folder):
    for name in ("head", "nearest"):
        assert embeddings.read(paths.embeddings(name)).weights == read_json(paths.model_facts(name))["sha256"]


def test_few_shot_classes_are_embedded_and_not_learned(folder):
    rewrite(paths.index("squares"), lambda number, row: row if number % 5 else row | {"label": "blue"})
    for stage in (train, embed):
        stage.main("head", task(few_shot_classes=["blue"]))
    facts = read_json(paths.model_facts("head"))
    assert facts["classes"] == ["green", "red"] and facts["few_shot_classes"] == ["blue"]
    found = embeddings.read(paths.embeddings("head"))
    assert len(found.images) == 48 and found.head.shape == (48, 2)
    assert len(found.few_shot.images) == 12 and found.few_shot.classes == ("blue",)
    assert np.allclose(np.linalg.norm(found.few_shot.vectors, axis=1), 1, atol=1e-5)


def test_images_without_a_label_of_the_task_are_neither_trained_on_nor_embedded(folder):
    def with_shade(number, row):
        return {"image": row["image"], "shade": ["", "dark", "light"][number % 3]} | row

    rewrite(paths.index("squares"), with_shade)
    for stage in (train, embed):
        stage.main("nearest", task(label="shade"))
    found = embeddings.read(paths.embeddings("nearest"))
    assert len(found.images) == 40 and found.classes == ("dark", "light")


@pytest.mark.parametrize(
    ("elsewhere", "words"), [("red", "train has no image of red"), ("nothing", "val has no image")]
)
def test_a_class_without_a_training_image_and_an_empty_val_get_one_line(folder, elsewhere, words):
    rewrite(
        paths.split("squares"),
        lambda _, row: row | {"split": "val" if elsewhere in row["image"] else "train"},
    )
    with pytest.raises(OncovecError, match=words) as error:
        train.main("head", task())
    tiny.one_line(error)


def test_a_dataset_that_is_not_prepared_gets_one_line(folder):
    paths.images("squares").unlink()
    for stage in (train, embed):
        with pytest.raises(OncovecError) as error:
            stage.main("head", params.load())
        assert "preprocess@squares" in tiny.one_line(error)
