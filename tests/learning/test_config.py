import pytest
import tiny

from oncovec.core.errors import OncovecError
from oncovec.core.params import Params
from oncovec.core.recipes import METRIC_OBJECTIVES, Augmentation
from oncovec.learning.config import classes_of, resolve

LABELS = ["red", "green", "", "red"]
PREPARED = {"source": "local", "images": 60, "image_size": 16, "resize": "keep"}


def params_with(sections=None, system="nearest", **row):
    content = tiny.settings()
    for section, changes in (sections or {}).items():
        content[section] |= changes
    content["systems"][system] |= row
    return Params.model_validate(content)


def resolved(name, prepared=(), sections=None, **row):
    return resolve(params_with(sections, name, **row), name, LABELS, PREPARED | dict(prepared))


def test_a_row_takes_what_it_does_not_say_from_its_base():
    shared = {
        "model": {"weights": "imagenet", "margin": 0.7, "mining": "hard", "embedding_dim": 9},
        "train": {"seed": 3, "patience": 8, "precision": "fp32", "threads": 1},
    }
    found = resolved("nearest", sections=shared)
    assert (found.weights, found.margin, found.mining, found.embedding_dim) == ("imagenet", 0.7, "hard", 9)
    assert (found.seed, found.patience, found.precision, found.threads) == (3, 8, "fp32", 1)


def test_a_row_may_say_otherwise():
    shared = {
        "model": {"weights": "imagenet", "mining": "hard", "embedding_dim": 9},
        "train": {"patience": 8},
    }
    own = {
        "weights": "own.pth",
        "weights_sha256": "0" * 64,
        "mining": "semihard",
        "embedding_dim": 4,
        "patience": 2,
    }
    found = resolved("nearest", sections=shared, **own)
    assert {key: getattr(found, key) for key in own} == own


def test_the_margin_of_a_base_reaches_no_other_base():
    margins = {
        name: resolved(name, sections={"model": {"margin": 0.5}}).margin for name in ("nearest", "head")
    }
    assert margins == {"nearest": 0.5, "head": None}


def test_a_cosine_schedule_runs_to_its_end():
    assert resolved("head", sections={"train": {"patience": 8}}, schedule="cosine").patience is None


@pytest.mark.parametrize("objective", ["cross_entropy", "binary_cross_entropy"])
def test_a_classifier_knows_no_margin(objective):
    found = resolved("head", objective=objective)
    assert found.margin is found.mining is found.embedding_dim is None
    assert found.classifies


@pytest.mark.parametrize("objective", METRIC_OBJECTIVES)
def test_metric_learning_does_not_classify(objective):
    found = resolved("nearest", objective=objective)
    assert not found.classifies
    assert found.margin == tiny.settings()["model"]["margin"]


def test_augmentation_is_merged_key_by_key():
    shared = {"classifier": {"augment": {"noise": 0.3, "rotation": 5.0}}}
    own = resolved("head", sections=shared, augment={"rotation": 9.0})
    assert own.augment == Augmentation(noise=0.3, rotation=9.0)


def test_augment_none_turns_all_of_it_off():
    shared = {"classifier": {"augment": {"noise": 0.3}}}
    assert resolved("head", sections=shared, augment="none").augment == Augmentation()


def test_a_row_s_augmentation_may_stand_over_a_base_without_any():
    own = resolved("head", sections={"classifier": {"augment": "none"}}, augment={"rotation": 9.0})
    assert own.augment == Augmentation(rotation=9.0)


@pytest.mark.parametrize(
    ("row", "every", "cap", "expected"),
    [
        (10, None, None, 10),
        (10, 3, None, 3),
        (10, 30, None, 30),
        (10, None, 4, 4),
        (10, 30, 4, 30),
        (2, None, 4, 2),
    ],
)
def test_epochs_are_everyones_or_else_the_rows_own_up_to_a_phantoms_cap(row, every, cap, expected):
    prepared = {} if cap is None else {"epochs": cap}
    found = resolved("head", prepared, sections={"train": {"epochs": every}}, epochs=row)
    assert found.epochs == expected


@pytest.mark.parametrize(("row", "cap", "expected"), [(32, None, 32), (32, 8, 8), (4, 8, 4)])
def test_batches_are_as_large_as_the_row_says_up_to_a_phantoms_cap(row, cap, expected):
    prepared = {} if cap is None else {"batch_size": cap}
    assert resolved("head", prepared, batch_size=row).batch_size == expected


def test_classes_and_sizes_come_from_the_data():
    found = resolved("head", {"image_size": 48, "resize": "squash", "source": "phantom"})
    assert (found.classes, found.positive) == (("green", "red"), "red")
    assert (found.image_size, found.resize, found.source) == (48, "squash", "phantom")


def test_an_unknown_row_is_refused_with_those_that_there_are():
    with pytest.raises(OncovecError) as error:
        resolve(params_with(), "other", LABELS, PREPARED)
    assert "there are nearest, head" in tiny.one_line(error)


def task(**changes):
    return params_with({"tasks": {"colour": {"dataset": "squares", "label": "label", **changes}}}).tasks[
        "colour"
    ]


def test_classes_are_those_of_the_images_without_the_few_shot_ones():
    found = classes_of("colour", task(few_shot_classes=["blue"]), ["red", "blue", "", "green", "red"])
    assert found == ("green", "red")


@pytest.mark.parametrize(
    ("changes", "labels", "words"),
    [
        ({"positive": "blue"}, ["red", "green"], "positive = 'blue': needs two classes, this one among them"),
        ({"positive": "red"}, ["red", "green", "blue"], "there are blue, green, red"),
        ({"few_shot_classes": ["bleu"]}, ["red", "green"], "no image of bleu; there are green, red"),
        ({"few_shot_classes": ["red"]}, ["red", "green"], "green to train on without red; it needs two"),
        ({"normal": ["bleu"]}, ["red", "green"], "normal: no image of bleu; there are green, red"),
        ({"normal": ["red"]}, ["red", "green"], "name the other one as positive"),
        (
            {"normal": ["red", "green"], "few_shot_classes": ["blue"]},
            ["red", "green", "blue"],
            "normal: no class with disease is left",
        ),
        ({}, ["red"], "red to train on; it needs two classes"),
        ({}, [""], "nothing to train on"),
    ],
)
def test_a_task_that_cannot_be_trained_is_refused_in_one_line(changes, labels, words):
    with pytest.raises(OncovecError) as error:
        classes_of("colour", task(**changes), labels)
    assert words in tiny.one_line(error) and "tasks.colour" in str(error.value)
