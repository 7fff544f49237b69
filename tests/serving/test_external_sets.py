import shutil

import numpy as np
import pytest
import tiny
from PIL import Image

from oncovec.core import params
from oncovec.core.datasets import External
from oncovec.core.errors import OncovecError
from oncovec.serving import external, predict

SYSTEMS = ["nearest", "head"]


@pytest.fixture
def checkout(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tiny.trained(tmp_path_factory))


@pytest.fixture
def folder(tmp_path):
    """Squares that no system has seen, in folders of other names; one file is no image."""
    pixels, labels = tiny.squares(40, size=30, seed=5)
    for number, (square, label) in enumerate(zip(pixels, labels, strict=True)):
        file = tmp_path / "elsewhere" / ("Verte", "Rouge")[label] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(square).save(file)
    (tmp_path / "elsewhere/Rouge/99.png").write_text("no image")
    return tmp_path / "elsewhere"


LABELS = {"Verte": "green", "Rouge": "red"}


def row(folder, **changes):
    return External.model_validate(
        {"task": "colour", "dataset": "squares", "root": str(folder), "layout": "folders", "labels": LABELS}
        | changes
    )


def ask(found):
    return external.predict_set("far", found, SYSTEMS, params.load().near_duplicates)


def test_answers_are_those_of_predict_for_every_system(checkout, folder):
    asked = ask(row(folder))
    assert {name: count for name, count in asked.left_out.items() if count} == {"unreadable": 1}
    for system in SYSTEMS:
        own = asked.table[asked.table["system"] == system]
        predicted = predict.load(system).predict([folder / image for image in own["image"]])
        assert len(own) == 40
        for (_, answer), each in zip(own.iterrows(), predicted, strict=True):
            assert (answer["predicted"], answer["answered"] == "false") == (each.voted, each.ood)
            assert float(answer["p_red"]) == pytest.approx(each.probabilities["red"], abs=1e-5)
            assert answer["ood_score"] == pytest.approx(each.ood_score, rel=1e-3)


def test_images_of_train_and_val_are_left_out_and_those_of_test_are_not(checkout, folder):
    from oncovec.data import splitting

    table = splitting.of_task("squares", "label")
    for image in table["image"]:
        target = folder / {"red": "Rouge", "green": "Verte"}[image.split("/")[0]] / f"again-{image[-6:]}"
        shutil.copy(f"squares/{image}", target)
    asked = ask(row(folder))
    seen = int(table["split"].isin(["train", "val"]).sum())
    assert asked.left_out["near_duplicates"] == seen
    assert len(asked.table) == len(SYSTEMS) * (40 + len(table) - seen)


def test_exact_duplicates_count_once_and_not_at_all_if_their_labels_differ(checkout, folder):
    shutil.copy(folder / "Rouge/01.png", folder / "Rouge/again.png")
    shutil.copy(folder / "Rouge/03.png", folder / "Verte/03.png")
    asked = ask(row(folder))
    left_out = {name: count for name, count in asked.left_out.items() if count}
    assert left_out == {"unreadable": 1, "two_labels": 2, "duplicates": 1}
    assert len(asked.table) == len(SYSTEMS) * 39


def test_a_set_may_have_one_label(checkout, folder):
    shutil.rmtree(folder / "Verte")
    assert set(ask(row(folder, labels={"Rouge": "red"})).table["label"]) == {"Rouge"}


def test_a_class_that_two_labels_stand_for_is_refused(checkout, folder):
    shutil.copytree(folder / "Rouge", folder / "red")
    with pytest.raises(OncovecError, match="labels 'Rouge' and 'red' both stand for red"):
        ask(row(folder))


def test_copies_within_the_set_are_left_out_with_the_one_that_was_seen(checkout, folder):
    from oncovec.data import splitting

    table = splitting.of_task("squares", "label")
    first = table.loc[table["split"] == "train", "image"].iloc[0]
    for name in ("a.png", "b.png"):
        shutil.copy(f"squares/{first}", folder / "Rouge" / name)
    assert ask(row(folder)).left_out["near_duplicates"] == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "external.far: label 'Rouge' is no class of task colour; say under labels: .* green, red"),
        (
            LABELS | {"Rouge": "crimson"},
            "external.far.labels.Rouge: 'crimson' is no class; there are green, red",
        ),
        (LABELS | {"Bleu": "blue"}, "external.far.labels.Bleu: 'blue' is no class"),
    ],
)
def test_a_label_that_stands_for_no_class_is_one_line(checkout, folder, labels, message):
    with pytest.raises(OncovecError, match=message) as error:
        ask(row(folder, labels=labels))
    tiny.one_line(error)


def test_images_without_a_label_are_counted(checkout, folder):
    lines = ["image,label,group"]
    lines += [f"Rouge/{number:02d}.png,red,p" for number in range(1, 40, 2)]
    lines += [f"Verte/{number:02d}.png,{'green' if number < 20 else ''}," for number in range(0, 40, 2)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    asked = ask(row(folder, layout="csv", labels={}))
    assert asked.left_out["unlabelled"] == 10
    assert set(asked.table["group"]) == {"p", ""}


def test_a_set_without_any_label_is_refused(checkout, folder):
    (folder / "labels.csv").write_text("image,label\nRouge/01.png,\nRouge/03.png,\n")
    with pytest.raises(OncovecError, match="none of the 2 images has a label"):
        ask(row(folder, layout="csv", labels={}))


def test_a_set_of_images_that_were_all_seen_is_refused(checkout, folder):
    from oncovec.data import splitting

    table = splitting.of_task("squares", "label")
    seen = table.loc[table["split"] == "train", "image"]
    shutil.rmtree(folder)
    for image in seen:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(f"squares/{image}", folder / image)
    with pytest.raises(OncovecError, match="no image is left"):
        ask(row(folder, labels={}))


def test_near_duplicates_are_found_across_the_two_collections_alone():
    from oncovec.data.duplicates import candidates

    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(30, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = candidates.candidates(vectors, 3, known=20)
    assert (found[:, 0] < 20).all() and (found[:, 1] >= 20).all()
    similarity = vectors[20:] @ vectors[:20].T
    expected = {
        (int(one), 20 + number) for number, row in enumerate(similarity) for one in row.argsort()[-4:]
    }
    assert set(map(tuple, found.tolist())) == expected
    for known in (0, 30):
        assert not len(candidates.candidates(vectors, 3, known=known))
