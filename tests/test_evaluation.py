import dataclasses
import json
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference
from synthetic import embeddings

from oncovec import evaluation, files, knn, report
from oncovec.errors import OncovecError

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}


def judged(sides=("val", "test"), **options):
    content = embeddings(**options)
    gallery = knn.fit(content, [1, 5])
    return content, evaluation.judge(content, gallery, sides)


def drawn(n_classes, count=200, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, count)
    probabilities = generator.dirichlet(np.ones(n_classes), count)
    probabilities[np.arange(count), labels] += 0.3
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def test_multi_class_figures_are_those_of_scikit_learn():
    labels, probabilities = drawn(4)
    predicted = evaluation.predict(probabilities, None, None)
    assert evaluation.metrics(labels, probabilities, predicted, None) == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
            "f1_macro": reference.f1_score(labels, predicted, average="macro"),
            "auroc": reference.roc_auc_score(labels, probabilities, multi_class="ovr"),
        }
    )


@pytest.mark.parametrize("positive", [0, 1])
def test_binary_figures_are_those_of_scikit_learn(positive):
    labels, probabilities = drawn(2)
    predicted = evaluation.predict(probabilities, 0.35, positive)
    mine, score = labels == positive, probabilities[:, positive]
    assert evaluation.metrics(labels, probabilities, predicted, positive) == pytest.approx(
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


def test_a_hand_made_binary_case_has_the_figures_worked_out_by_hand():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    probability = np.array([0.9, 0.6, 0.2, 0.7, 0.3, 0.1, 0.1, 0.1])
    probabilities = np.stack([1 - probability, probability], axis=1)
    figures = evaluation.metrics(labels, probabilities, evaluation.predict(probabilities, 0.5, 1), 1)
    assert figures["accuracy"] == 6 / 8
    assert figures["sensitivity"] == pytest.approx(2 / 3)
    assert figures["specificity"] == pytest.approx(4 / 5)
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert figures["f1_macro"] == pytest.approx((4 / 6 + 8 / 10) / 2)
    assert figures["auroc"] == pytest.approx((5 + 4 + 3) / 15)
    assert figures["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_undefined_figures_are_left_out_and_nothing_warns():
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        only_negative = evaluation.metrics(np.array([0, 0]), probabilities, np.array([1, 0]), 1)
        only_positive = evaluation.metrics(np.array([1, 1]), probabilities, np.array([1, 0]), 1)
        empty = evaluation.metrics(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, int), 1)
    assert not {"auroc", "average_precision", "sensitivity"} & only_negative.keys()
    assert only_negative["specificity"] == 0.5
    assert not {"auroc", "specificity"} & only_positive.keys()
    assert empty == {}


def test_auroc_is_averaged_over_the_classes_that_have_images():
    labels, probabilities = drawn(3)
    absent = np.column_stack([probabilities, np.zeros(len(labels))])
    figures = evaluation.metrics(labels, absent, absent.argmax(axis=1), None)
    assert figures["auroc"] == pytest.approx(
        reference.roc_auc_score(labels, probabilities, multi_class="ovr")
    )


def test_predictions_at_the_threshold_are_positive():
    probabilities = np.array([[0.4, 0.6], [0.7, 0.3], [0.71, 0.29]])
    assert evaluation.predict(probabilities, 0.3, 1).tolist() == [1, 1, 0]
    assert evaluation.predict(probabilities, 0.7, 0).tolist() == [1, 0, 0]
    assert evaluation.predict(probabilities, None, None).tolist() == [1, 0, 0]


def test_per_class_figures_and_averages_are_those_of_scikit_learn():
    _, judgements = judged(noise=1.5)
    judgement = judgements[0]
    expected = reference.classification_report(
        judgement.labels,
        judgement.predicted,
        target_names=judgement.classes,
        output_dict=True,
        zero_division=0,
    )
    spelled = {"f1": "f1-score"}
    rows = evaluation.per_class(judgement)
    assert {name for name, _, _ in rows} == {"ant", "bee", "cat", "macro", "weighted"}
    for name, metric, value in rows:
        if metric != "auroc":
            entry = expected[name if name in judgement.classes else f"{name} avg"]
            assert value == pytest.approx(entry[spelled.get(metric, metric)]), (name, metric)


def test_report_names_k_and_the_thresholds_on_val_only():
    _, judgements = judged(head=True, **BINARY)
    rows = [row for row in report.report_rows(judgements, 5) if row[3] in ("k", "threshold")]
    assert [row[:4] for row in rows] == [
        ("val", "knn", "all", "k"),
        ("val", "knn", "malignant", "threshold"),
        ("val", "head", "malignant", "threshold"),
    ]


def test_headline_has_the_agreed_shape():
    _, judgements = judged(head=True, **BINARY)
    content = report.headline("phantom", judgements)
    assert list(content) == ["source", "n_val", "n_test", "val", "test"]
    assert content["n_test"] == 30 and list(content["test"]) == ["knn", "head"]
    assert "specificity" in content["val"]["head"]
    assert json.loads(json.dumps(files.rounded(content)))


def test_headline_leaves_out_what_was_not_judged():
    _, judgements = judged(sides=["val"])
    content = report.headline("local", judgements)
    assert list(content) == ["source", "n_val", "val"]
    assert list(content["val"]) == ["knn"]


def test_predictions_are_sorted_and_name_every_probability():
    content, judgements = judged(head=True, **BINARY)
    columns, rows = report.predictions(content, judgements)
    assert columns == [
        *("image", "group", "side", "label", "predicted", "p_benign", "p_malignant"),
        *("head_p_benign", "head_p_malignant"),
    ]
    assert len(rows) == 60 and {len(row) for row in rows} == {9}
    assert [(row[2], row[0]) for row in rows] == sorted((row[2], row[0]) for row in rows)
    knn_test = next(each for each in judgements if (each.side, each.model) == ("test", "knn"))
    by_image = {row[0]: row for row in rows}
    for row, predicted in zip(knn_test.rows, knn_test.predicted, strict=True):
        assert by_image[str(content.images[row])][4] == content.classes[predicted]


def test_a_gallery_of_other_classes_is_refused():
    gallery = knn.fit(embeddings(), [3])
    with pytest.raises(OncovecError, match=r"classes.*dvc repro"):
        evaluation.judge(dataclasses.replace(embeddings(), classes=("a", "b", "c")), gallery, ["val"])


def test_summary_keeps_the_order_of_rows_and_leaves_out_what_is_gone():
    def block(value):
        return {"knn": {"accuracy": 0.1, "balanced_accuracy": value, "auroc": value}}

    results = {
        "a": {"val": block(0.5), "test": block(0.6)},
        "b": {"val": block(0.7)},
        "gone": {"val": block(0.9), "test": block(0.9)},
    }
    summary = report.summarise(results, ["b", "new", "a"])
    assert list(summary) == ["b", "a"]
    assert summary["a"] == {"balanced_accuracy": 0.6, "auroc": 0.6}
    assert summary["b"] == {"balanced_accuracy": 0.7, "auroc": 0.7, "side": "val"}
