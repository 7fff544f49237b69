from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss
from synthetic import embeddings

from oncovec.evaluation import knn, predictions, scores, subsets
from oncovec.metrics import calibration, intervals

NONE = subsets.Parts({}, {}, {})
SEEDS = st.integers(0, 10**6)


def overconfident(factor, count=4000, classes=3, seed=0):
    """Labels drawn from softmax(logits), and the probabilities softmax(factor * logits)."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(count, classes))
    drawn = softmax(logits, axis=1).cumsum(axis=1) < generator.random((count, 1))
    return drawn.sum(axis=1).clip(0, classes - 1), softmax(factor * logits, axis=1)


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_the_temperature_undoes_a_factor_of_the_logits(factor):
    labels, probabilities = overconfident(factor, 20000)
    assert calibration.temperature(probabilities, labels, "head") == pytest.approx(factor, rel=0.05)


@given(SEEDS, st.integers(1, 40), st.integers(2, 4))
def test_the_temperature_has_the_least_negative_log_likelihood_on_val(seed, count, classes):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(classes), count)
    labels = generator.integers(0, classes, count)

    def loss(log_temperature):
        scaled = np.log(np.clip(probabilities, calibration.LEAST, 1)) / np.exp(log_temperature)
        return -log_softmax(scaled, axis=1)[np.arange(count), labels].mean()

    bounds = np.log(calibration.TEMPERATURES)
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).fun
    chosen = calibration.temperature(probabilities, labels, "head")
    assert bounds[0] <= np.log(chosen) <= bounds[1]
    assert loss(np.log(chosen)) <= min(best, loss(bounds[0]), loss(bounds[1])) + 1e-7


def test_votes_that_hold_zeros_are_calibrated_to_how_often_they_are_right():
    labels = np.arange(200) % 2
    votes = np.eye(2)[np.where(np.arange(200) < 40, 1 - labels, labels)]  # one in five is wrong
    chosen = calibration.temperature(votes, labels, "knn")
    tempered = calibration.calibrated(votes, chosen, "knn")
    assert tempered.max(axis=1) == pytest.approx(0.8)
    assert calibration.losses(labels, tempered).mean() < calibration.losses(labels, votes).mean()


def test_what_is_always_right_or_always_wrong_has_the_temperature_of_a_bound():
    labels, wrong = np.arange(10) % 2, 1 - np.arange(10) % 2
    probabilities = np.where(np.eye(2)[labels] == 1, 0.6, 0.4)
    assert calibration.temperature(probabilities, labels, "head") == calibration.TEMPERATURES[0]
    assert calibration.temperature(probabilities, wrong, "head") == calibration.TEMPERATURES[1]


def test_what_tells_nothing_has_the_temperature_1():
    assert calibration.temperature(np.zeros((0, 3)), np.zeros(0, int), "knn") == 1
    assert calibration.temperature(np.full((7, 3), 1 / 3), np.arange(7) % 3, "head") == 1


@given(SEEDS, st.floats(0.1, 10), st.sampled_from(["knn", "head"]))
def test_calibrated_probabilities_are_powers_that_sum_to_1_in_the_same_order(seed, chosen, model):
    probabilities = np.random.default_rng(seed).multinomial(5, [0.5, 0.3, 0.2], 20) / 5
    found = calibration.calibrated(probabilities, chosen, model)
    added = np.clip((probabilities + calibration.SMOOTHING[model]), calibration.LEAST, None)
    powers = added ** (1 / chosen)
    assert found == pytest.approx(powers / powers.sum(axis=1, keepdims=True), rel=1e-5)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (np.argmax(found, axis=1) == np.argmax(probabilities, axis=1)).all()
    assert np.isfinite(np.log(found)).all()


def test_the_loss_is_scikit_learns():
    labels, probabilities = overconfident(8, 300)
    probabilities = probabilities.astype(np.float32)
    assert probabilities.min() < calibration.LEAST
    expected = log_loss(labels, probabilities)  # which clips 32-bit floats at the same number
    assert calibration.losses(labels, probabilities).mean() == pytest.approx(expected, rel=1e-5)
    assert calibration.losses(np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx([15.942], abs=1e-3)


def slow_ece(labels, probabilities):
    """Bin by bin, as the papers write it."""
    total = 0.0
    for index in range(15):
        confidence = probabilities.max(axis=1)
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            right = probabilities.argmax(axis=1)[inside] == labels[inside]
            total += inside.mean() * abs(right.mean() - confidence[inside].mean())
    return total


@given(SEEDS, st.integers(1, 60), st.integers(2, 4))
def test_the_calibration_error_is_that_of_the_bins_in_every_replicate(seed, count, classes):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    probabilities = generator.dirichlet(np.ones(classes), count)
    gaps = calibration.gaps(labels, probabilities)
    assert calibration.ece(gaps.mean(axis=0)) == pytest.approx(slow_ece(labels, probabilities))
    weights = generator.integers(0, 4, (3, count))
    weights[:, 0] += 1
    drawn = calibration.ece(intervals.averages(gaps, weights))
    for replicate, times in enumerate(weights):
        rows = np.repeat(np.arange(count), times)
        assert drawn[replicate] == pytest.approx(slow_ece(labels[rows], probabilities[rows]))


def test_a_bin_holds_its_upper_edge():
    confidence = np.array([0.5, 8 / 15, 0.6, 0.6 + 1e-12, 0.61, 1.0])
    bins = calibration.binned(np.zeros(6, int), np.stack([confidence, 1 - confidence], axis=1))[2]
    assert bins.tolist() == [7, 7, 8, 8, 9, 14]


def scored(labels, probabilities, chosen, model="head", replicates=300):
    """The calibration rows of one model, each image a group of its own."""
    classes = tuple(map(str, range(probabilities.shape[1])))
    rows = np.arange(len(labels))
    predicted = probabilities.argmax(axis=1)
    each = predictions.PredictionOutput(
        "test", model, classes, rows, labels, probabilities, predicted, None, None, chosen
    )
    found, _ = scores.score([each], [], rows.astype(str), NONE, replicates, 0)
    return {row[3]: row[4:] for row in found if row[3].startswith(("ece", "nll"))}


def test_the_report_says_what_the_temperature_mended():
    labels, probabilities = overconfident(3)
    chosen = calibration.temperature(probabilities[:2000], labels[:2000], "head")
    found = scored(labels[2000:], probabilities[2000:], chosen)
    assert list(found) == ["ece", "nll", "ece_calibrated", "nll_calibrated"]
    assert found["ece"][1] > 0.1 > found["ece_calibrated"][2]
    assert found["nll"][1] > found["nll_calibrated"][2]
    for value, low, high in found.values():
        assert 0 <= low < high
        assert value == pytest.approx((low + high) / 2, abs=0.1)
    same = scored(labels[2000:], probabilities[2000:], 1.0)
    assert same["ece"] == pytest.approx(same["ece_calibrated"])
    assert same["nll"] == pytest.approx(same["nll_calibrated"])


def test_the_interval_of_the_loss_is_the_bootstraps():
    labels, probabilities = overconfident(3, 50)
    weights = intervals.resample(np.arange(50).astype(str), 300, 0)
    each = calibration.losses(labels, probabilities)
    means = [np.repeat(each, times).mean() for times in weights]
    value, low, high = scored(labels, probabilities, 2.0)["nll"]
    assert (value, low, high) == pytest.approx((each.mean(), *np.quantile(means, [0.025, 0.975])))


@pytest.mark.slow
def test_the_interval_of_the_error_covers_the_truth_and_percentiles_do_not():
    truth = slow_ece(*overconfident(1.5, 200_000, seed=99))
    covered = {"interval": 0, "percentiles": 0}
    for seed in range(60):
        labels, probabilities = overconfident(1.5, 150, seed=seed)
        _, low, high = scored(labels, probabilities, 1.0, replicates=200)["ece"]
        covered["interval"] += low <= truth <= high
        weights = intervals.resample(np.arange(150).astype(str), 200, 0)
        drawn = calibration.ece(intervals.averages(calibration.gaps(labels, probabilities), weights))
        low, high = np.quantile(drawn, intervals.TAILS)
        covered["percentiles"] += low <= truth <= high
    assert covered["interval"] > 51 and covered["percentiles"] < 36


def test_one_group_says_nothing_about_another():
    content = embeddings(head=True, noise=1.5)
    outputs = predictions.of_splits(content, knn.fit(content, [5]), ["test"])
    alone = np.full(len(content.groups), "only")
    found, _ = scores.score(outputs, [], alone, NONE, 100, 0)
    bounds = {row[3]: row[5:] for row in found}
    assert bounds["ece"] == (0, 1)
    assert bounds["nll"] == pytest.approx((0, -np.log(calibration.LEAST)))


def test_a_split_without_images_and_a_baseline_have_no_calibration():
    content = embeddings(splits={"train": 20, "val": 0, "test": 9})
    outputs = predictions.of_splits(content, knn.fit(content, [5]), ["val", "test"])
    found, _ = scores.score(outputs[:1], [], content.groups, NONE, 100, 0)
    assert [row[3] for row in found] == ["images", "groups", "fewest_groups"]
    rival = [replace(each, model="thumbnail") for each in outputs]
    found, _ = scores.score(outputs, rival, content.groups, NONE, 100, 0)
    assert {row[1] for row in found if row[3] == "ece"} == {"knn"}
