import dataclasses
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.neighbors import KNeighborsClassifier
from synthetic import embeddings

from oncovec.core.errors import OncovecError
from oncovec.evaluation import knn, predictions, scores, subsets
from oncovec.metrics import classification

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}


def thresholds(value, positive):
    """The thresholds of a binary task."""
    found = np.full(2, np.nan)
    found[1 - positive] = value
    return found


def judged(splits=("val", "test"), **options):
    content = embeddings(**options)
    gallery = knn.fit(content, [1, 5])
    return content, predictions.of_splits(content, gallery, splits)


def drawn(n_classes, count=200, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, count)
    probabilities = generator.dirichlet(np.ones(n_classes), count)
    probabilities[np.arange(count), labels] += 0.3
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def test_multi_class_metrics_are_those_of_scikit_learn():
    labels, probabilities = drawn(4)
    predicted = classification.predict(probabilities)
    assert classification.metrics(labels, probabilities, predicted, None) == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
            "f1_macro": reference.f1_score(labels, predicted, average="macro"),
            "auroc": reference.roc_auc_score(labels, probabilities, multi_class="ovr"),
        }
    )


@pytest.mark.parametrize("positive", [0, 1])
def test_binary_metrics_are_those_of_scikit_learn(positive):
    labels, probabilities = drawn(2)
    predicted = classification.predict(probabilities, thresholds(0.35, positive))
    mine, score = labels == positive, probabilities[:, positive]
    assert classification.metrics(labels, probabilities, predicted, positive) == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
            "f1_macro": reference.f1_score(labels, predicted, average="macro"),
            "auroc": reference.roc_auc_score(mine, score),
            "average_precision": reference.average_precision_score(mine, score),
            "sensitivity": reference.recall_score(labels, predicted, pos_label=positive),
            "specificity": reference.recall_score(labels, predicted, pos_label=1 - positive),
        }
    )


def test_a_hand_made_binary_case_has_the_metrics_worked_out_by_hand():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    probability = np.array([0.9, 0.6, 0.2, 0.7, 0.3, 0.1, 0.1, 0.1])
    probabilities = np.stack([1 - probability, probability], axis=1)
    metrics = classification.metrics(
        labels, probabilities, classification.predict(probabilities, thresholds(0.5, 1)), 1
    )
    assert metrics["accuracy"] == 6 / 8
    assert metrics["sensitivity"] == pytest.approx(2 / 3)
    assert metrics["specificity"] == pytest.approx(4 / 5)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert metrics["f1_macro"] == pytest.approx((4 / 6 + 8 / 10) / 2)
    assert metrics["auroc"] == pytest.approx((5 + 4 + 3) / 15)
    assert metrics["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_undefined_metrics_are_left_out_and_nothing_warns():
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        only_negative = classification.metrics(np.array([0, 0]), probabilities, np.array([1, 0]), 1)
        only_positive = classification.metrics(np.array([1, 1]), probabilities, np.array([1, 0]), 1)
        empty = classification.metrics(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, int), 1)
    assert not {"auroc", "average_precision", "sensitivity"} & only_negative.keys()
    only_positive = classification.metrics(np.array([1, 1]), np.array([[0.2, 0.8]] * 2), np.array([1, 0]), 1)
    assert only_positive["sensitivity"] == 0.5
    assert not {"auroc", "average_precision", "specificity"} & only_positive.keys()
    assert only_negative["specificity"] == 0.5
    assert not {"auroc", "specificity"} & only_positive.keys()
    assert empty == {}


def test_auroc_is_averaged_over_the_classes_that_have_images():
    labels, probabilities = drawn(3)
    absent = np.column_stack([probabilities, np.zeros(len(labels))])
    metrics = classification.metrics(labels, absent, absent.argmax(axis=1), None)
    assert metrics["auroc"] == pytest.approx(
        reference.roc_auc_score(labels, probabilities, multi_class="ovr")
    )


def test_predictions_at_the_threshold_are_positive():
    probabilities = np.array([[0.4, 0.6], [0.7, 0.3], [0.71, 0.29]])
    assert classification.predict(probabilities, thresholds(0.3, 1)).tolist() == [1, 1, 0]
    assert classification.predict(probabilities, thresholds(0.7, 0)).tolist() == [1, 0, 0]
    assert classification.predict(probabilities).tolist() == [1, 0, 0]
    assert classification.predict(probabilities[:0], thresholds(0.3, 1)).tolist() == []


def test_a_normal_class_is_predicted_only_below_its_threshold_of_disease():
    # Columns: two normal classes, two with disease.
    probabilities = np.array(
        [
            [0.7, 0.1, 0.1, 0.1],
            [0.7, 0.0, 0.2, 0.1],
            [0.1, 0.7, 0.1, 0.1],
            [0.0, 0.0, 0.5, 0.5],
            [1.0, 0, 0, 0],
        ]
    )
    below = np.array([0.25, 0.2, np.nan, np.nan])
    # The probability of disease against the likeliest normal class is 2/9, 3/10, 2/9, 1 and 0.
    assert classification.predict(probabilities, below).tolist() == [0, 2, 2, 2, 0]
    # Together the classes with disease are likelier than the normal one, though each is less likely.
    split = np.array([[0.4, 0.0, 0.25, 0.35]])
    assert classification.predict(split, np.array([0.5, 0.5, np.nan, np.nan])).tolist() == [3]
    assert classification.predict(split).tolist() == [0]


def test_per_class_metrics_and_averages_are_those_of_scikit_learn():
    _, outputs = judged(noise=1.5)
    output = outputs[0]
    expected = reference.classification_report(
        output.labels,
        output.predicted,
        target_names=output.classes,
        output_dict=True,
        zero_division=0,
    )
    spelled = {"f1": "f1-score"}
    rows = predictions.per_class(output)
    assert {name for name, _, _ in rows} == {"ant", "bee", "cat", "macro", "weighted"}
    for name, metric, value in rows:
        if metric != "auroc":
            entry = expected[name if name in output.classes else f"{name} avg"]
            assert value == pytest.approx(entry[spelled.get(metric, metric)]), (name, metric)


def test_a_gallery_of_other_classes_is_refused():
    gallery = knn.fit(embeddings(), [3])
    with pytest.raises(OncovecError, match=r"classes.*dvc repro"):
        predictions.of_splits(dataclasses.replace(embeddings(), classes=("a", "b", "c")), gallery, ["val"])


def test_a_gallery_of_embeddings_by_other_weights_is_refused():
    content = embeddings()
    retrained = dataclasses.replace(content, weights=64 * "6")
    with pytest.raises(OncovecError, match=r"zoo: the gallery was fitted .* other weights; run `dvc repro`$"):
        predictions.of_splits(retrained, knn.fit(content, [3]), ["val"])


def test_a_part_of_a_judgement_is_that_about_its_images():
    content, outputs = judged(noise=1.5)
    part = outputs[0].only(np.array([7, 2]))
    assert content.images[part.rows].tolist() == content.images[content.rows("val")][[7, 2]].tolist()
    assert part.labels.tolist() == outputs[0].labels[[7, 2]].tolist()
    assert part.metrics()["accuracy"] == np.mean(part.labels == outputs[0].predicted[[7, 2]])


def own_images(content, **options):
    return predictions.on_its_own_training_images(knn.fit(content, [1]), 0, **options)


def test_knn_on_its_own_images_is_scikit_learns_fitted_and_scored_on_the_same_images():
    content = embeddings(noise=2.5)
    train = content.rows("train")
    classifier = KNeighborsClassifier(5).fit(content.vectors[train], content.labels[train])
    expected = classifier.score(content.vectors[train], content.labels[train])
    assert own_images(content) == pytest.approx(expected)
    assert expected < 1


def test_an_image_is_among_its_own_neighbours():
    assert own_images(embeddings(noise=2.5), k=1) == 1
    alone = embeddings(noise=2.5, splits={"train": 2, "val": 3, "test": 0})
    assert own_images(alone) == 0.5  # two neighbours of two classes: the first class wins


def test_of_many_own_images_some_are_asked_about_and_always_the_same():
    content = embeddings(noise=2.5)
    few = [own_images(content, most=7) for _ in range(2)]
    assert few[0] == few[1] and (few[0] * 7) == pytest.approx(round(few[0] * 7))


def all_benign(constant, splits=("test",), **options):
    """Judgements by a model that calls everything benign: the ranking is `constant` or it is not."""
    content = embeddings(noise=1.0, **BINARY, **options)
    found = []
    for each in predictions.of_splits(content, knn.fit(content, [5]), splits):
        if constant:
            each = dataclasses.replace(each, probabilities=np.tile([0.95, 0.05], (len(each.rows), 1)))
        found.append(dataclasses.replace(each, predicted=np.zeros(len(each.rows), np.int64)))
    return content, found


def rare_positives(each, kept=3):
    """Leave a few of the positives, so that calling everything benign is right nine times of ten."""
    positives = np.flatnonzero(each.labels == 1)
    return each.only(np.sort(np.concatenate([np.flatnonzero(each.labels == 0), positives[:kept]])))


def test_a_model_that_calls_everything_benign_cannot_be_taken_for_a_good_one():
    content, (each,) = all_benign(constant=True, splits=["test"])
    each = rare_positives(each, kept=2)
    found, _ = scores.score([each], [], content.groups, subsets.Parts({}, {}, {}), 200, 0)
    metrics = {metric: value for *_, metric, value, _, _ in found}
    assert metrics["accuracy"] > 0.85
    assert metrics["balanced_accuracy"] == metrics["auroc"] == 0.5
    assert (
        metrics["sensitivity"]
        == metrics["sensitivity_at_80_specificity"]
        == metrics["sensitivity_at_95_specificity"]
        == 0
    )
    assert ("malignant", "recall", 0.0) in predictions.per_class(each)
    assert (
        predictions.never_predicted(each)
        == "KNN never predicts on test: malignant (all 2 missed), of 17 images"
    )


def test_a_threshold_that_is_too_high_is_told_from_a_ranking_that_knows_nothing():
    content, (each,) = all_benign(constant=False, splits=["test"])
    found, _ = scores.score([each], [], content.groups, subsets.Parts({}, {}, {}), 200, 0)
    metrics = {metric: value for *_, metric, value, _, _ in found}
    assert metrics["sensitivity"] == 0 and metrics["sensitivity_at_80_specificity"] > 0.5
    assert predictions.never_predicted(each)


def test_no_class_is_named_that_is_predicted_or_has_no_image():
    content = embeddings(head=True)
    knn_judged, head = predictions.of_splits(content, knn.fit(content, [5]), ["test"])
    assert predictions.never_predicted(knn_judged) is None
    no_bees = head.only(np.flatnonzero(head.labels != 1))
    predicted = np.where(no_bees.predicted == 2, 1, no_bees.predicted)
    line = predictions.never_predicted(dataclasses.replace(no_bees, predicted=predicted))
    assert line == "head never predicts on test: cat (all 10 missed), of 20 images"
    all_ants = dataclasses.replace(no_bees, predicted=np.zeros(20, np.int64), labels=np.zeros(20, np.int64))
    assert predictions.never_predicted(all_ants) is None
