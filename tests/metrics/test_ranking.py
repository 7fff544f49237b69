import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from oncovec.metrics import intervals

AT_80, AT_95 = "sensitivity_at_80_specificity", "sensitivity_at_95_specificity"


def sensitivities(is_positive, probability):
    """The sensitivities that a report has of these images."""
    labels, probabilities = is_positive.astype(np.int64), np.column_stack([1 - probability, probability])
    found = intervals.values_of(labels, (probabilities, labels), 1)
    return {name: value for name, value in found.items() if name in (AT_80, AT_95)}


def slow(is_positive, probability, percent):
    """Every way to put a threshold between, above and below the images, one after another."""
    best = 0.0
    for threshold in [*probability.tolist(), 2.0]:
        claimed = probability >= threshold
        if (~claimed[~is_positive]).sum() * 100 >= percent * (~is_positive).sum():
            best = max(best, claimed[is_positive].mean())
    return best


@given(st.integers(2, 50), st.integers(1, 30), st.integers(0, 10**6))
def test_sensitivity_is_the_best_of_all_thresholds_that_keep_the_specificity(count, levels, seed):
    generator = np.random.default_rng(seed)
    is_positive = generator.random(count) < 0.4
    is_positive[:2] = True, False
    probability = generator.integers(0, levels + 1, count) / levels
    found = sensitivities(is_positive, probability)
    assert found == {AT_80: slow(is_positive, probability, 80), AT_95: slow(is_positive, probability, 95)}


def test_sensitivity_is_a_point_of_scikit_learns_roc_curve():
    generator = np.random.default_rng(0)
    is_positive = generator.random(400) < 0.3
    probability = (generator.normal(size=400) + is_positive).round(1)
    false, true, _ = roc_curve(is_positive, probability, drop_intermediate=False)
    found = sensitivities(is_positive, probability)
    assert found == pytest.approx({AT_80: true[false <= 0.2].max(), AT_95: true[false <= 0.05].max()})
    assert 0 < found[AT_95] < found[AT_80] < 1


def test_a_share_of_the_negatives_that_is_just_kept_is_kept():
    # One of five negatives is above the positives: 80 % are kept, though 1 - 0.8 < 1 / 5 in floats.
    is_positive = np.array([False, True, True, False, False, False, False])
    probability = np.array([0.9, 0.8, 0.8, 0.8, 0.1, 0.1, 0.1])
    assert sensitivities(is_positive, probability) == {AT_80: 0, AT_95: 0}
    probability[3] = 0.7
    assert sensitivities(is_positive, probability) == {AT_80: 1, AT_95: 0}


def test_images_of_one_class_have_none():
    for only in (True, False):
        assert sensitivities(np.full(4, only), np.array([0.1, 0.2, 0.2, 0.9])) == {}
    assert sensitivities(np.zeros(0, bool), np.zeros(0)) == {}


def test_a_replicate_without_negatives_or_positives_has_none():
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    weights = np.array([[2, 1, 0], [0, 0, 3], [1, 0, 1]])
    found = intervals.replicated(np.array([1, 1, 0]), (probabilities, np.array([1, 0, 0])), 1, weights)
    assert np.isnan(found[AT_80][:2]).all() and found[AT_80][2] == 1
