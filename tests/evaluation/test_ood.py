import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf

from oncovec.evaluation.ood import INSIDE, PRIOR, Centres


def drawn(count=200, width=5, classes=3, seed=0):
    """Features of some classes with correlated numbers of very different spread, and their labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    mixing = generator.normal(size=(width, width)) * 10.0 ** np.arange(-1, width - 1)[:, None]
    centres = generator.normal(size=(classes, width)) * 10
    return (centres[labels] + generator.normal(size=(count, width))) @ mixing, labels


def to_own(model, features, labels):
    """Distances of images to the centres of their classes, not relative to the radii."""
    return model.distances(features, labels) * model.radii[labels]


@pytest.mark.parametrize("whiten", [True, False])
def test_distances_are_those_that_scipy_computes(whiten):
    features, labels = drawn()
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    covariance = LedoitWolf(assume_centered=True).fit(features - means[labels]).covariance_
    how = {"metric": "mahalanobis", "VI": np.linalg.inv(covariance)} if whiten else {}
    expected = cdist(features, means, **how)
    model = Centres.fit(features.astype(np.float32), labels, 3, whiten)
    for label in range(3):
        found = to_own(model, features.astype(np.float32), np.full(len(features), label))
        assert found == pytest.approx(expected[:, label], rel=1e-2)


def test_the_radius_is_a_quantile_of_the_distances_to_the_mean_of_the_other_images():
    features, labels = drawn(30, classes=2)
    features[labels == 1] *= 7
    others = []
    for number, label in enumerate(labels):
        rest = (labels == label) & (np.arange(30) != number)
        others.append(np.linalg.norm(features[number] - features[rest].mean(axis=0)))
    others = np.array(others)
    own = np.array([np.quantile(others[labels == label], INSIDE) for label in range(2)])
    expected = (15 * own + PRIOR * own.mean()) / (15 + PRIOR)
    assert Centres.fit(features, labels, 2).radii == pytest.approx(expected)


@given(st.floats(0.1, 10))
def test_a_class_that_varies_more_has_larger_distances_only_in_absolute_terms(factor):
    generator = np.random.default_rng(0)
    near = generator.normal(size=(4000, 3))
    labels = np.arange(4000) // 2000
    features = np.where(labels[:, None] == 1, near * factor + 1000, near)
    relative = Centres.fit(features, labels, 2).distances(features, labels)
    assert np.median(relative[labels == 0]) == pytest.approx(np.median(relative[labels == 1]), rel=0.1)


def test_images_of_a_class_are_nearer_than_those_between_the_classes():
    features, labels = drawn(2000)
    model = Centres.fit(features[:1000], labels[:1000], 3, whiten=True)
    inside = model.distances(features[1000:], labels[1000:])
    middle = (features[1000:-1] + features[1001:]) / 2
    between = np.min([model.distances(middle, np.full(999, label)) for label in range(3)], axis=0)
    assert np.quantile(inside, 0.97) < np.median(between)


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("count", [2, 3, 10])
def test_few_images_and_constant_features_give_finite_scores(count, whiten):
    features = np.ones((count, 8), np.float32)
    features[:, 0] = np.arange(count)
    labels = np.arange(count) % 2
    model = Centres.fit(features, labels, 2, whiten)
    moved = features + np.eye(8, dtype=np.float32)[3] * 100
    assert np.isfinite(model.distances(moved, labels)).all()
    assert (model.distances(moved, labels) > model.distances(features, labels)).all()


def test_a_centre_has_distance_0_also_where_all_images_of_its_class_are_equal():
    features, labels = np.ones((6, 4)), np.array([0, 0, 0, 1, 1, 1])
    model = Centres.fit(features, labels, 2)
    assert model.distances(features, labels).tolist() == [0] * 6
    assert np.isinf(model.distances(features + 1, labels)).all()


def test_a_class_without_images_is_infinitely_far():
    features, labels = drawn(classes=2)
    model = Centres.fit(features, labels * 2, 4, whiten=True)
    for label, there in ((0, True), (1, False), (2, True), (3, False)):
        found = model.distances(features, np.full(len(features), label))
        assert np.isfinite(found).all() == there and np.isinf(found).any() != there
