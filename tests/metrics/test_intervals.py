import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from oncovec.metrics import classification, intervals
from oncovec.metrics.intervals import Interval
from oncovec.metrics.ranking import Ranking

HEADLINE = (
    *("accuracy", "balanced_accuracy", "f1_macro", "auroc", "average_precision"),
    *("sensitivity", "specificity"),
)
RARE = ("sensitivity_at_80_specificity", "sensitivity_at_95_specificity")


def answered(classes, count=60, seed=0, decimals=1):
    """Labels, probabilities with many ties, and what is predicted from them."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    probabilities = generator.dirichlet(np.ones(classes), count).round(decimals)
    positive = 1 if classes == 2 else None
    thresholds = None if positive is None else np.array([0.4, np.nan])
    return labels, probabilities, classification.predict(probabilities, thresholds), positive


def sampled(labels, probabilities, predicted, positive, weights):
    """What every replicate gives, by the library under test."""
    return intervals.replicated(labels, (probabilities, predicted), positive, weights)


def written_out(labels, probabilities, predicted, positive):
    """The metrics of the images themselves, by scikit-learn and from the ranking of the positive class."""
    found = classification.metrics(labels, probabilities, predicted, positive)
    if positive is not None:
        ranked = Ranking(probabilities[:, positive], labels == positive).of_images()
        found |= {name: ranked[name] for name in RARE if np.isfinite(ranked[name])}
    return found


@given(st.integers(2, 4), st.integers(0, 10**6), st.integers(0, 12))
def test_the_values_are_those_of_scikit_learn_also_where_classes_have_no_image(classes, seed, count):
    labels, probabilities, predicted, positive = answered(classes, count, seed)
    found = intervals.values_of(labels, (probabilities, predicted), positive)
    expected = written_out(labels, probabilities, predicted, positive)
    assert list(found) == list(expected)
    assert found == pytest.approx(expected)


@given(st.integers(2, 4), st.integers(0, 10**6), st.integers(2, 30))
def test_a_replicate_gives_what_the_images_written_out_again_give(classes, seed, count):
    labels, probabilities, predicted, positive = answered(classes, count, seed)
    weights = np.random.default_rng(seed + 1).integers(0, 4, (3, count))
    for classes_of in (labels, predicted):  # no class is missing
        weights[:, np.unique(classes_of, return_index=True)[1]] += 1
    found = sampled(labels, probabilities, predicted, positive, weights)
    for replicate, times in enumerate(weights):
        rows = np.repeat(np.arange(count), times)
        expected = written_out(labels[rows], probabilities[rows], predicted[rows], positive)
        defined = {name: value[replicate] for name, value in found.items() if np.isfinite(value[replicate])}
        assert defined == pytest.approx(expected)


def test_weights_mean_what_scikit_learn_means_by_them():
    labels, probabilities, predicted, positive = answered(2, 300)
    weights = np.random.default_rng(1).integers(0, 5, (4, 300))
    found = sampled(labels, probabilities, predicted, positive, weights)
    for replicate, weight in enumerate(weights):
        score = {"y_true": labels, "y_score": probabilities[:, 1], "sample_weight": weight}
        assert {name: found[name][replicate] for name in HEADLINE} == pytest.approx(
            {
                "accuracy": reference.accuracy_score(labels, predicted, sample_weight=weight),
                "balanced_accuracy": reference.balanced_accuracy_score(
                    labels, predicted, sample_weight=weight
                ),
                "f1_macro": reference.f1_score(labels, predicted, average="macro", sample_weight=weight),
                "auroc": reference.roc_auc_score(**score),
                "average_precision": reference.average_precision_score(**score),
                "sensitivity": reference.recall_score(labels, predicted, sample_weight=weight),
                "specificity": reference.recall_score(labels, predicted, pos_label=0, sample_weight=weight),
            }
        )


@pytest.mark.parametrize("classes", [2, 3])
def test_the_values_are_the_headline_metrics_and_lie_within_their_bounds(classes):
    labels, probabilities, predicted, positive = answered(classes, 200)
    weights = intervals.resample([f"p{i // 4}" for i in range(200)], 500, 0)
    found = intervals.with_intervals(labels, probabilities, predicted, positive, weights)
    headline = classification.metrics(labels, probabilities, predicted, positive)
    assert set(found) - set(headline) == (set(RARE) if classes == 2 else set())
    assert {name: found[name].value for name in headline} == pytest.approx(headline)
    assert all(found[name].low < found[name].value < found[name].high for name in headline)
    assert all(each.low <= each.value <= each.high for each in found.values())


def test_blocks_change_nothing(monkeypatch):
    arguments = answered(3)
    weights = intervals.resample(list(map(str, range(60))), 50, 0)
    whole = intervals.with_intervals(*arguments, weights)
    monkeypatch.setattr(intervals, "CELLS", 7 * 60)
    for name, interval in intervals.with_intervals(*arguments, weights).items():
        assert [interval.low, interval.high] == pytest.approx([whole[name].low, whole[name].high])


def test_a_replicate_draws_as_many_groups_as_there_are_and_never_a_part_of_one():
    groups = np.array(["a", "b", "b", "c", "c", "c"])
    weights = intervals.resample(groups, 200, 0)
    assert weights.shape == (200, 6)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert abs(weights[:, [0, 1, 3]].mean(axis=0) - 1).max() < 0.2


def test_the_order_of_the_images_changes_nothing():
    labels, probabilities, predicted, positive = answered(2)
    groups = np.array([f"p{i % 13}" for i in range(60)])
    order = np.random.default_rng(3).permutation(60)
    weights = intervals.resample(groups, 100, 5)
    assert (intervals.resample(groups[order], 100, 5) == weights[:, order]).all()
    assert (intervals.resample(groups, 100, 6) != weights).any()
    first = intervals.with_intervals(labels, probabilities, predicted, positive, weights)
    moved = (labels[order], probabilities[order], predicted[order], positive, weights[:, order])
    for name, interval in intervals.with_intervals(*moved).items():
        expected = (first[name].value, first[name].low, first[name].high)
        assert (interval.value, interval.low, interval.high) == pytest.approx(expected)


@pytest.mark.slow
def test_the_interval_covers_the_truth_and_one_that_ignores_groups_does_not():
    """Patients of 10 images whose accuracy varies about 0.8: the design effect is near 4."""
    generator, trials, patients, images = np.random.default_rng(0), 150, 40, 10
    groups = np.repeat([f"p{i}" for i in range(patients)], images)
    covered = {"patients": 0, "images": 0}
    for trial in range(trials):
        right = generator.random(patients * images) < np.repeat(generator.beta(1.6, 0.4, patients), images)
        labels = generator.integers(0, 2, patients * images)
        predicted = np.where(right, labels, 1 - labels)
        for unit, of in (("patients", groups), ("images", np.arange(patients * images).astype(str))):
            weights = intervals.resample(of, 200, trial)
            found = intervals.with_intervals(labels, np.eye(2)[predicted], predicted, None, weights)
            covered[unit] += found["accuracy"].low <= 0.8 <= found["accuracy"].high
    assert 0.88 <= covered["patients"] / trials <= 0.99
    assert covered["images"] / trials < 0.75


def test_a_paired_difference_is_tighter_than_two_intervals_split_by_split():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400)
    hard = generator.random(400) < 0.3
    first = np.where(hard, 1 - labels, labels)
    better = hard & (generator.random(400) < 0.2)
    second = np.where(better, labels, first)
    weights = intervals.resample([f"p{i // 2}" for i in range(400)], 500, 0)
    one, other = ((np.eye(2)[each], each) for each in (first, second))
    gain = intervals.difference(one, other, labels, 1, weights)["accuracy"]
    single = intervals.with_intervals(labels, *one, 1, weights)["accuracy"]
    assert gain.value == pytest.approx(better.mean())
    assert 0 < gain.low < gain.value < gain.high
    assert gain.high - gain.low < (single.high - single.low) / 1.5
    back = intervals.difference(other, one, labels, 1, weights)["accuracy"]
    assert (back.value, back.low, back.high) == pytest.approx((-gain.value, -gain.high, -gain.low))


def test_a_system_differs_from_itself_by_nothing():
    labels, probabilities, predicted, positive = answered(2)
    weights = intervals.resample(list(map(str, range(60))), 100, 0)
    found = intervals.difference(
        (probabilities, predicted), (probabilities, predicted), labels, positive, weights
    )
    assert len(found) == 9
    assert set(found.values()) == {Interval(0.0, 0.0, 0.0)}


def test_one_group_says_nothing_about_another():
    labels, probabilities, predicted, positive = answered(2)
    weights = intervals.resample(["only"] * 60, 100, 0)
    found = intervals.with_intervals(labels, probabilities, predicted, positive, weights)
    assert {(each.low, each.high) for each in found.values()} == {(0.0, 1.0)}
    other = (probabilities, 1 - predicted)
    gained = intervals.difference((probabilities, predicted), other, labels, positive, weights)
    assert {(each.low, each.high) for each in gained.values()} == {(-1.0, 1.0)}


def test_a_subset_that_is_one_group_of_many_says_nothing_either():
    labels, probabilities, predicted, positive = answered(2)
    weights = intervals.resample(["lone"] * 10 + [f"p{i}" for i in range(50)], 100, 0)[:, :10]
    found = intervals.with_intervals(labels[:10], probabilities[:10], predicted[:10], positive, weights)
    assert {(each.low, each.high) for each in found.values()} == {(0.0, 1.0)}


@pytest.mark.parametrize("only", [0, 1])
def test_what_one_class_alone_leaves_undefined_is_left_out(only):
    _, probabilities, predicted, positive = answered(2)
    labels = np.full(60, only)
    weights = intervals.resample(list(map(str, range(60))), 100, 0)
    found = intervals.with_intervals(labels, probabilities, predicted, positive, weights)
    assert set(found) == set(classification.metrics(labels, probabilities, predicted, positive))
    assert "auroc" not in found
    assert all(np.isfinite([each.low, each.high]).all() for each in found.values())


def test_replicates_without_the_one_positive_are_passed_over():
    _, probabilities, predicted, positive = answered(2)
    labels = np.zeros(60, np.int64)
    labels[7] = 1
    weights = intervals.resample(list(map(str, range(60))), 200, 0)
    assert (weights[:, 7] == 0).any()
    found = intervals.with_intervals(labels, probabilities, predicted, positive, weights)
    drawn = weights[weights[:, 7] > 0]
    expected = sampled(labels, probabilities, predicted, positive, drawn)
    bases = {"auroc": [30]}  # as if there were enough
    once, again = (
        intervals.bounded({"auroc": 0.5}, {"auroc": each["auroc"]}, bases, 0.0)
        for each in (sampled(labels, probabilities, predicted, positive, weights), expected)
    )
    assert once == again
    assert (found["auroc"].low, found["auroc"].high) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro", "auroc"])
def test_a_class_that_a_replicate_lacks_stays_in_the_mean_with_what_it_has_in_the_images(name):
    labels, probabilities, predicted, _ = answered(3)
    own = [value for kind, value in of_classes(labels, probabilities, predicted)[name].items() if kind == 2]
    without = (labels != 2).astype(np.int64)
    found = sampled(labels, probabilities, predicted, None, without[None])[name][0]
    rows = np.flatnonzero(without)
    others = of_classes(labels[rows], probabilities[rows], predicted[rows])[name]
    assert found == pytest.approx(np.mean([others[0], others[1], *own]))


def of_classes(labels, probabilities, predicted):
    """Recall, F1 and AUROC of each class, by scikit-learn."""
    classes = [0, 1, 2]
    recall, f1 = (
        score(labels, predicted, labels=classes, average=None, zero_division=0)
        for score in (reference.recall_score, reference.f1_score)
    )
    areas = {
        each: reference.roc_auc_score(labels == each, probabilities[:, each])
        for each in np.unique(labels).tolist()
    }
    return {"balanced_accuracy": dict(enumerate(recall)), "f1_macro": dict(enumerate(f1)), "auroc": areas}


@pytest.mark.parametrize("groups", [2, 3, 30, 300])
def test_groups_that_all_say_the_same_leave_room_for_others_that_do_not(groups):
    """Right in all of n groups: the exact bound of Clopper and Pearson for n of n."""
    labels = np.repeat([0, 1], groups)
    names = np.tile(np.arange(groups), 2).astype(str)
    weights = intervals.resample(names, 200, 0)
    found = intervals.with_intervals(labels, np.eye(2)[labels], labels, 1, weights)
    exact = stats.binomtest(groups, groups).proportion_ci(0.95)
    for each in found.values():
        assert (each.value, each.low, each.high) == pytest.approx((1.0, exact.low, exact.high))
    wrong = intervals.with_intervals(labels, np.eye(2)[1 - labels], 1 - labels, 1, weights)["accuracy"]
    assert (wrong.low, wrong.high) == pytest.approx((0.0, 1 - exact.low))


def test_a_class_from_one_group_has_a_recall_of_which_nothing_is_known():
    labels = np.array([1] * 8 + [0] * 80)
    groups = ["only"] * 8 + [f"p{number // 2}" for number in range(80)]
    predicted = labels.copy()
    predicted[::5] = 1 - predicted[::5]
    weights = intervals.resample(groups, 300, 0)
    found = intervals.with_intervals(labels, np.eye(2)[predicted], predicted, 1, weights)
    assert (found["sensitivity"].low, found["sensitivity"].high) == (0.0, 1.0)
    one, half = found["specificity"], found["balanced_accuracy"]
    assert 0.6 < one.low < one.high < 0.95
    assert half.low < 0.4 and half.high > 0.9


def test_a_class_from_few_groups_moves_its_own_part_of_a_mean_over_classes():
    bases, drawn = {"x": [2] + [40] * 9}, {"x": np.linspace(0.4, 0.6, 201)}
    found = intervals.bounded({"x": 0.5}, drawn, bases, 0.0)["x"]
    part = (1 - 0.025**0.5) / 10
    assert (found.low, found.high) == pytest.approx((0.405 * (1 - part), 0.595 + part * 0.405))


@pytest.mark.parametrize("least", [0.0, -1.0])
def test_enough_groups_that_differ_have_the_percentiles_of_the_replicates(least):
    drawn = {"x": np.random.default_rng(0).random(500)}
    found = intervals.bounded({"x": 0.5}, drawn, {"x": [intervals.FEW_GROUPS, 9]}, least)["x"]
    assert (found.low, found.high) == tuple(np.quantile(drawn["x"], [0.025, 0.975]))


def test_a_difference_that_is_the_same_in_every_group_may_be_another_in_others():
    labels = np.tile([0, 1], 10)
    weights = intervals.resample([str(number // 2) for number in range(20)], 100, 0)
    one, other = ((np.eye(2)[each], each) for each in (np.zeros(20, np.int64), labels))
    gain = intervals.difference(one, other, labels, 1, weights)["balanced_accuracy"]
    share = 1 - 0.025**0.1
    assert (gain.low, gain.value, gain.high) == pytest.approx((0.5 - 1.5 * share, 0.5, 0.5 + 0.5 * share))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_groups_are_counted_by_how_they_are_drawn(members):
    weights = intervals.resample([f"p{number}" for number in members], 100, 0)
    assert intervals.count_groups(weights) == len(set(members))


def test_the_fewest_groups_are_those_of_the_class_that_has_fewest():
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert intervals.fewest(labels, ["a", "b", "c", "a", "a", "b"]) == 2
    assert intervals.fewest(labels[:0], []) == 0


def test_few_groups_are_warned_of_until_they_suffice():
    assert intervals.warning(30) == ""
    assert "comes from 29 groups only: the intervals are too narrow" in intervals.warning(29)
    assert "comes from 1 image only: the intervals are widened" in intervals.warning(1, "image")


@pytest.mark.slow
def test_few_patients_of_a_class_are_no_reason_for_too_narrow_an_interval():
    """Patients of 5 images, 3 of the one class and 30 of the other; recalls vary about 0.5 and 0.8."""
    trials, covered, by_percentiles = 150, 0, 0
    groups = np.repeat(np.arange(33), 5).astype(str)
    labels = np.repeat([0] * 3 + [1] * 30, 5)
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        recall = np.concatenate([generator.beta(4, 4, 3), generator.beta(12, 3, 30)])
        right = generator.random(165) < np.repeat(recall, 5)
        predicted = np.where(right, labels, 1 - labels)
        predictions = np.eye(2)[predicted], predicted
        weights = intervals.resample(groups, 200, trial)
        found = intervals.with_intervals(labels, *predictions, 1, weights)["balanced_accuracy"]
        covered += found.low <= 0.65 <= found.high
        drawn = intervals.replicated(labels, predictions, 1, weights)["balanced_accuracy"]
        low, high = np.quantile(drawn, [0.025, 0.975])
        by_percentiles += low <= 0.65 <= high
    assert covered / trials >= 0.95 > 0.87 > by_percentiles / trials


def test_no_images_have_no_metrics():
    weights = intervals.resample([], 100, 0)
    nothing = np.zeros(0, np.int64)
    assert weights.shape == (100, 0)
    assert intervals.with_intervals(nothing, np.zeros((0, 2)), nothing, 1, weights) == {}
