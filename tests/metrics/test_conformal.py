import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from oncovec.metrics import conformal


def clusters(count, spread=0.6, classes=3, seed=0):
    """Points around the corners of a simplex, and the corner of each."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    return np.eye(classes)[labels] + generator.normal(size=(count, classes)) * spread, labels


def test_a_ratio_is_the_distance_to_the_nearest_of_a_class_over_that_to_the_nearest_other():
    known, labels = clusters(50)
    queries, _ = clusters(20, seed=1)
    distances = cdist(queries, known)
    found = conformal.ratios(known, labels, queries, 3)
    for label in range(3):
        expected = distances[:, labels == label].min(axis=1) / distances[:, labels != label].min(axis=1)
        assert found[:, label] == pytest.approx(expected)


def test_a_class_without_images_never_fits_and_equal_distances_give_1():
    known, labels = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 0.0]]), np.array([0, 2, 0])
    found = conformal.ratios(known, labels, np.array([[2.0, 0.0], [0.0, 0.0], [2.0, 1.0]]), 4)
    assert np.isinf(found[:, [1, 3]]).all()
    assert found[:, [0, 2]].tolist() == [[1, 1], [0, math.inf], [1, 1]]


@given(st.integers(1, 300), st.floats(0.01, 0.99))
def test_the_threshold_has_the_rank_that_the_promise_needs(count, coverage):
    ratios = np.random.default_rng(count).permutation(count).astype(float)
    found, rank = conformal.threshold(ratios, coverage), math.ceil((count + 1) * coverage)
    assert found == (rank - 1 if rank <= count else math.inf)


def test_of_new_images_the_promised_share_of_sets_holds_the_true_class():
    known, labels = clusters(300)
    held = []
    for seed in range(1, 101):
        queries, classes = clusters(200, seed=seed)
        found = conformal.ratios(known, labels, queries, 3)
        own = found[np.arange(200), classes]
        limit = conformal.threshold(own[:100], 0.9)
        sets = conformal.sets(found[100:], limit, found[100:].argmin(axis=1))
        held.append(sets[np.arange(100), classes[100:]].mean())
        assert 1 <= sets.sum(axis=1).mean() < 3
    assert 0.89 < np.mean(held) < 0.92


def test_a_set_holds_the_predicted_class_and_with_too_few_images_all_classes():
    found = np.array([[0.5, 3.0, 2.0], [4.0, 0.9, 5.0]])
    assert conformal.sets(found, 0.7, np.array([2, 1])).tolist() == [
        [True, False, True],
        [False, True, False],
    ]
    assert conformal.sets(found, conformal.threshold(np.zeros(18), 0.95), np.array([0, 1])).all()
    assert conformal.threshold(np.zeros(19), 0.95) == 0
