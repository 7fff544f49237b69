from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from synthetic import embeddings

from oncovec import evaluation, intervals, knn, rare, scores, subsets

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}
AT_80, AT_95 = "sensitivity_at_80_specificity", "sensitivity_at_95_specificity"


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
    found = rare.sensitivities(is_positive, probability)
    assert found == {AT_80: slow(is_positive, probability, 80), AT_95: slow(is_positive, probability, 95)}


def test_sensitivity_is_a_point_of_scikit_learns_roc_curve():
    generator = np.random.default_rng(0)
    is_positive = generator.random(400) < 0.3
    probability = (generator.normal(size=400) + is_positive).round(1)
    false, true, _ = roc_curve(is_positive, probability, drop_intermediate=False)
    found = rare.sensitivities(is_positive, probability)
    assert found == pytest.approx({AT_80: true[false <= 0.2].max(), AT_95: true[false <= 0.05].max()})
    assert 0 < found[AT_95] < found[AT_80] < 1


def test_a_share_of_the_negatives_that_is_just_kept_is_kept():
    # One of five negatives is above the positives: 80 % are kept, though 1 - 0.8 < 1 / 5 in floats.
    is_positive = np.array([False, True, True, False, False, False, False])
    probability = np.array([0.9, 0.8, 0.8, 0.8, 0.1, 0.1, 0.1])
    assert rare.sensitivities(is_positive, probability) == {AT_80: 0, AT_95: 0}
    probability[3] = 0.7
    assert rare.sensitivities(is_positive, probability) == {AT_80: 1, AT_95: 0}


def test_images_of_one_class_have_none():
    for only in (True, False):
        assert rare.sensitivities(np.full(4, only), np.array([0.1, 0.2, 0.2, 0.9])) == {}
    assert rare.sensitivities(np.zeros(0, bool), np.zeros(0)) == {}


def test_a_replicate_without_negatives_or_positives_has_none():
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    weights = np.array([[2, 1, 0], [0, 0, 3], [1, 0, 1]])
    found = intervals.replicated(np.array([1, 1, 0]), (probabilities, np.array([1, 0, 0])), 1, weights)
    assert np.isnan(found[AT_80][:2]).all() and found[AT_80][2] == 1


def judged(constant, sides=("test",), **options):
    """Judgements by a model that calls everything benign: the ranking is `constant` or it is not."""
    content = embeddings(noise=1.0, **BINARY, **options)
    found = []
    for each in evaluation.judge(content, knn.fit(content, [5]), sides):
        if constant:
            each = replace(each, probabilities=np.tile([0.95, 0.05], (len(each.rows), 1)))
        found.append(replace(each, predicted=np.zeros(len(each.rows), np.int64)))
    return content, found


def rare_positives(each, kept=3):
    """Leave a few of the positives, so that calling everything benign is right nine times of ten."""
    positives = np.flatnonzero(each.labels == 1)
    return each.only(np.sort(np.concatenate([np.flatnonzero(each.labels == 0), positives[:kept]])))


def test_a_model_that_calls_everything_benign_cannot_be_taken_for_a_good_one():
    content, (each,) = judged(constant=True, sides=["test"])
    each = rare_positives(each, kept=2)
    found, _ = scores.score([each], [], content.groups, subsets.Parts({}, {}, {}), 200, 0)
    figures = {metric: value for *_, metric, value, _, _ in found}
    assert figures["accuracy"] > 0.85
    assert figures["balanced_accuracy"] == figures["auroc"] == 0.5
    assert figures["sensitivity"] == figures[AT_80] == figures[AT_95] == 0
    assert ("malignant", "recall", 0.0) in evaluation.per_class(each)
    assert rare.never_predicted(each) == "KNN never predicts on test: malignant (all 2 missed), of 17 images"


def test_a_threshold_that_is_too_high_is_told_from_a_ranking_that_knows_nothing():
    content, (each,) = judged(constant=False, sides=["test"])
    found, _ = scores.score([each], [], content.groups, subsets.Parts({}, {}, {}), 200, 0)
    figures = {metric: value for *_, metric, value, _, _ in found}
    assert figures["sensitivity"] == 0 and figures[AT_80] > 0.5
    assert rare.never_predicted(each)


def test_no_class_is_named_that_is_predicted_or_has_no_image():
    content = embeddings(head=True)
    knn_judged, head = evaluation.judge(content, knn.fit(content, [5]), ["test"])
    assert rare.never_predicted(knn_judged) is None
    no_bees = head.only(np.flatnonzero(head.labels != 1))
    answers = np.where(no_bees.predicted == 2, 1, no_bees.predicted)
    line = rare.never_predicted(replace(no_bees, predicted=answers))
    assert line == "head never predicts on test: cat (all 10 missed), of 20 images"
    all_ants = replace(no_bees, predicted=np.zeros(20, np.int64), labels=np.zeros(20, np.int64))
    assert rare.never_predicted(all_ants) is None


def test_the_stage_says_which_class_is_never_predicted_on_the_last_side(
    tmp_path_factory, monkeypatch, capsys
):
    import tiny

    from oncovec import params, paths
    from oncovec.files import read_json
    from stages import evaluate

    monkeypatch.chdir(tiny.copied(tiny.trained(tmp_path_factory), tmp_path_factory.mktemp("judged")))
    gallery = knn.load(paths.gallery("head"))
    knn.save(replace(gallery, threshold=1.1), paths.gallery("head"))
    capsys.readouterr()
    evaluate.main("head", params.load())
    lines = [line for line in capsys.readouterr().out.splitlines() if " never predicts " in line]
    result = read_json(paths.system_metrics("head"))
    assert len(lines) == 1
    assert lines[0].startswith("evaluate@head: KNN never predicts on test: red (all ")
    assert lines[0].endswith(f", of {result['n_test']} images")
    assert result["test"]["knn"]["sensitivity"] == 0
