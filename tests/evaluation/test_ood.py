import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf

from oncovec.evaluation.ood import Appearance


def drawn(count=200, width=5, classes=3, seed=0):
    """Features of some classes with correlated numbers of very different spread, and their labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    mixing = generator.normal(size=(width, width)) * 10.0 ** np.arange(-1, width - 1)[:, None]
    centres = generator.normal(size=(classes, width)) * 10
    return (centres[labels] + generator.normal(size=(count, width))) @ mixing, labels


def test_distances_are_mahalanobis_distances_as_scipy_computes_them():
    features, labels = drawn()
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    covariance = LedoitWolf(assume_centered=True).fit(features - means[labels]).covariance_
    expected = cdist(features, means, "mahalanobis", VI=np.linalg.inv(covariance))
    features = features.astype(np.float32)
    found = Appearance.fit(features, labels, 3).distances(features)
    assert found == pytest.approx(expected, rel=1e-2)


def test_images_of_a_class_are_nearer_than_those_between_the_classes():
    features, labels = drawn(2000)
    model = Appearance.fit(features[:1000], labels[:1000], 3)
    inside = model.distances(features[1000:])[np.arange(1000), labels[1000:]]
    between = model.distances((features[1000:-1] + features[1001:]) / 2).min(axis=1)
    assert np.quantile(inside, 0.97) < np.median(between)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_few_images_and_constant_features_give_finite_scores(count):
    features = np.ones((count, 8), np.float32)
    features[:, 0] = np.arange(count)
    model = Appearance.fit(features, np.arange(count) % 2, 2)
    moved = features + np.eye(8, dtype=np.float32)[3] * 100
    assert np.isfinite(model.distances(moved)).all()
    assert (model.distances(moved) > model.distances(features)).all()


def test_a_class_without_images_is_infinitely_far():
    features, labels = drawn(classes=2)
    found = Appearance.fit(features, labels * 2, 4).distances(features)
    assert np.isinf(found[:, [1, 3]]).all() and np.isfinite(found[:, [0, 2]]).all()
