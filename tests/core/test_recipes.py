import pytest
import tiny

from oncovec.core.errors import OncovecError
from oncovec.core.params import Augmentation, Params
from oncovec.core.recipes import resolve

SPLIT = {"classes": ["green", "red"], "positive": "red"}
PREPARED = {"source": "local", "images": 60, "image_size": 16, "resize": "keep"}


def resolved(name, prepared=(), sections=None, **row):
    content = tiny.knobs()
    for section, changes in (sections or {}).items():
        content[section] |= changes
    content["systems"][name] |= row
    return resolve(Params.model_validate(content), name, SPLIT, PREPARED | dict(prepared))


def test_a_row_takes_what_it_does_not_say_from_the_shared_knobs():
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
    own = {"weights": "own.pth", "mining": "semihard", "embedding_dim": 4, "patience": 2}
    found = resolved("nearest", sections=shared, **own)
    assert {key: getattr(found, key) for key in own} == own


def test_a_cosine_schedule_runs_to_its_end():
    assert resolved("head", sections={"train": {"patience": 8}}, schedule="cosine").patience is None


@pytest.mark.parametrize("objective", ["cross_entropy", "binary_cross_entropy"])
def test_a_classifier_knows_no_margin(objective):
    found = resolved("head", objective=objective)
    assert found.margin is found.mining is found.embedding_dim is None
    assert found.classifies


@pytest.mark.parametrize("objective", ["triplet", "contrastive"])
def test_metric_learning_does_not_classify(objective):
    found = resolved("nearest", objective=objective)
    assert not found.classifies
    assert found.margin == tiny.knobs()["model"]["margin"]


def test_an_augment_of_its_own_replaces_the_shared_one_whole():
    shared = {"augment": {"noise": 0.3, "rotation": 5.0}}
    own = resolved("head", sections=shared, augment={"rotation": 9.0})
    assert own.augment == Augmentation(rotation=9.0)
    assert resolved("head", sections=shared, augment={}).augment == Augmentation()
    inherited = resolved("head", sections=shared, augment=None, reads_augment="augment")
    assert (inherited.augment.noise, inherited.augment.rotation) == (0.3, 5.0)


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


def test_classes_and_sizes_come_from_the_data():
    found = resolved("head", {"image_size": 48, "resize": "squash", "source": "phantom"})
    assert (found.classes, found.positive) == (("green", "red"), "red")
    assert (found.image_size, found.resize, found.source) == (48, "squash", "phantom")


def test_an_unknown_row_is_refused_with_those_that_there_are():
    with pytest.raises(OncovecError) as error:
        resolve(Params.model_validate(tiny.knobs()), "other", SPLIT, PREPARED)
    assert "there are nearest, head" in tiny.one_line(error)
