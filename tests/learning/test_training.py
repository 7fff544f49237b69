import dataclasses
import functools
import types
from typing import get_args

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import save

from oncovec.core.errors import OncovecError
from oncovec.core.recipes import METRIC_OBJECTIVES, Augmentation, Objective
from oncovec.learning import optimization, training
from oncovec.learning.history import HISTORY_COLUMNS

OBJECTIVES = get_args(Objective)
AUGMENT = Augmentation(flip_horizontal=0.5, rotation=20, brightness=0.2, noise=0.05)


@functools.cache
def run(data="squares", train=32, spoil=None, **config):
    """Train on squares or on noise: weights of the best epoch, history, number of the best epoch."""
    pixels, labels = tiny.squares() if data == "squares" else tiny.noise()
    config = tiny.config(**config)
    network, facts = tiny.network(**vars(config))
    if spoil:
        spoil(network)
    splits = tiny.splits_of(labels, train)
    accelerator = training.accelerator_for(config.precision)
    return training.train(config, network, tiny.images_of(pixels, facts), splits, accelerator)


def same(first, second):
    """Whether two states give the same file."""
    first, second = ({k: v.contiguous() for k, v in state.items()} for state in (first, second))
    return save(first) == save(second)


NOISE = {"data": "noise", "train": 40, "lr": 0.01, "epochs": 8}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_separable_task_is_learned_with_every_objective(objective):
    _, history, best = run(objective=objective, epochs=6)
    assert history[best - 1].val_balanced_accuracy == 1
    assert history[best - 1].val_accuracy == 1
    assert history[-1].train_loss < history[0].train_loss


@pytest.mark.parametrize("mining", ["semihard", "hard"])
def test_a_separable_task_is_learned_with_every_mining(mining):
    _, history, best = run(objective="triplet", mining=mining, epochs=6)
    assert history[best - 1].val_balanced_accuracy == 1


AVERAGED = {"ema": 0.8, "schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.1}


def test_the_average_of_the_weights_is_what_is_validated_and_kept():
    state, history, best = run(epochs=6, backbone_lr=0.002, **AVERAGED)
    assert history[best - 1].val_balanced_accuracy == 1
    assert not same(state, run(epochs=6, backbone_lr=0.002, **AVERAGED | {"ema": 0.0})[0])
    assert state.keys() == run(epochs=2)[0].keys()


@pytest.mark.parametrize("changes", [{}, {"balanced": True, "augment": AUGMENT, "dropout": 0.3}, AVERAGED])
@pytest.mark.parametrize("objective", ["triplet", "cross_entropy"])
def test_the_same_seed_gives_the_same_bytes(objective, changes):
    config = {"objective": objective, "epochs": 2} | changes
    first = run(**config)
    run.cache_clear()
    torch.manual_seed(99)
    np.random.seed(99)
    second = run(**config)
    assert same(first[0], second[0])
    assert first[1:] == second[1:]


def test_another_seed_gives_other_weights():
    assert not same(run(epochs=2)[0], run(epochs=2, seed=1)[0])


def test_the_weights_of_the_best_epoch_are_returned():
    state, history, best = run(**NOISE)
    assert 1 <= best < len(history), "the case should have its best epoch before the last"
    assert same(state, run(**NOISE | {"epochs": best})[0])
    values = [(row.val_auroc, -row.val_loss) for row in history]
    assert values.index(max(values)) == best - 1
    assert best != 1 + int(np.argmax([row.val_balanced_accuracy for row in history]))


def test_of_more_than_two_classes_the_best_epoch_has_the_best_balanced_accuracy():
    _, history, best = run(objective="cross_entropy", classes=("a", "b", "c"), epochs=4)
    assert {row.val_auroc for row in history} == {None}
    values = [(row.val_balanced_accuracy, -row.val_loss) for row in history]
    assert values.index(max(values)) == best - 1


def test_training_stops_when_no_epoch_was_better_for_as_long_as_the_patience():
    _, history, best = run(**NOISE | {"epochs": 40, "patience": 3})
    assert len(history) == best + 3 < 40


def test_without_patience_every_epoch_is_trained():
    _, history, _ = run(**NOISE)
    assert [row.epoch for row in history] == list(range(1, 9))


def test_the_history_has_its_columns_and_finite_metrics():
    assert HISTORY_COLUMNS == (
        "epoch",
        "train_loss",
        "val_loss",
        "train_accuracy",
        "val_accuracy",
        "val_balanced_accuracy",
        "val_auroc",
        "positive_distance",
        "negative_distance",
    )
    for objective in OBJECTIVES:
        for row in run(objective=objective, epochs=6)[1]:
            values = [value for value in dataclasses.astuple(row) if value is not None]
            assert np.isfinite(values).all()
            assert len(values) == (9 if objective in METRIC_OBJECTIVES else 7)


class OneOf(types.SimpleNamespace):
    """An accelerator of one of several processes, which trains alone."""

    def __init__(self, processes, process):
        super().__init__(num_processes=processes, process_index=process)
        self.alone = training.accelerator_for("fp32")

    def __getattr__(self, name):
        return getattr(self.alone, name)


@pytest.mark.parametrize(("train", "batch_size"), [(40, 4), (40, 16), (33, 16), (9, 4)])
@pytest.mark.parametrize(("processes", "process"), [(1, 0), (2, 1), (4, 0), (4, 3)])
def test_the_last_step_of_a_training_is_the_last_of_its_schedule(
    train, batch_size, processes, process, monkeypatch
):
    laid_out, lay_out = [], optimization.schedule

    def schedule(*given):
        laid_out.append(lay_out(*given))
        return laid_out[0]

    monkeypatch.setattr(optimization, "schedule", schedule)
    pixels, labels = tiny.squares(train + 6)
    config = tiny.config(schedule="cosine", epochs=2, batch_size=batch_size)
    network, facts = tiny.network(**dict(config))
    splits = tiny.splits_of(labels, train)
    training.train(config, network, tiny.images_of(pixels, facts), splits, OneOf(processes, process))
    steps, share = laid_out[0].last_epoch, laid_out[0].lr_lambdas[0]
    assert share(steps - 1) > 1e-3 and share(steps) == pytest.approx(0, abs=1e-12)


def test_a_frozen_backbone_leaves_training_as_it_came():
    network, facts = tiny.network(backbone="resnet10t", input_size=32, image_size=32)
    network.freeze()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    pixels, labels = tiny.squares(24, size=32)
    config = tiny.config(epochs=1)
    accelerator = training.accelerator_for("fp32")
    splits = tiny.splits_of(labels, 16)
    state, _, _ = training.train(config, network, tiny.images_of(pixels, facts), splits, accelerator)
    for key, value in state.items():
        assert torch.equal(value, before[key]) == key.startswith("backbone."), key


def test_returned_weights_are_finite_and_on_the_cpu():
    for value in run(epochs=2)[0].values():
        assert value.device.type == "cpu"
        assert value.isfinite().all()


def test_a_collapse_is_told(capsys):
    run(objective="triplet", spoil=collapse, epochs=1)
    assert "all embeddings are nearly one point" in capsys.readouterr().out


def collapse(network):
    torch.nn.init.zeros_(network.output.weight)


def blow_up(network):
    for layer in (*network.hidden, network.output):
        torch.nn.init.normal_(layer.weight, std=1e38)


DIVERGING = [{"objective": name} for name in OBJECTIVES]
DIVERGING += [
    {"objective": name, "mining": mining} for name in METRIC_OBJECTIVES for mining in ("semihard", "hard")
]


@pytest.mark.parametrize("config", DIVERGING, ids=lambda config: " ".join(config.values()))
def test_a_loss_that_is_not_finite_stops_training_in_one_line(config):
    with pytest.raises(OncovecError, match="diverged") as error:
        run(spoil=blow_up, **config)
    assert "tiny" in tiny.one_line(error)
