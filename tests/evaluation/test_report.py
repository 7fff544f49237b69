import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import embeddings

from oncovec.core import files, tables
from oncovec.evaluation import knn, predictions, report

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}


def cells(table):
    """Rows of a table."""
    return list(table.itertuples(index=False, name=None))


def judged(splits=("val", "test"), **options):
    content = embeddings(**options)
    gallery = knn.fit(content, [1, 5])
    return content, predictions.of_splits(content, gallery, splits)


def test_report_names_what_was_chosen_on_val_only():
    _, outputs = judged(head=True, **BINARY)
    rival = replace(outputs[0], model="thumbnail", thresholds=None)
    rows = cells(report.report([*outputs, rival], [], {"knn": 5, "thumbnail": 3}))
    chosen = [row for row in rows if row[4] in ("k", "threshold", "temperature")]
    assert [row[:5] for row in chosen] == [
        ("val", "knn", "all", "all", "k"),
        ("val", "knn", "all", "malignant", "threshold"),
        ("val", "knn", "all", "all", "temperature"),
        ("val", "head", "all", "malignant", "threshold"),
        ("val", "head", "all", "all", "temperature"),
        ("val", "thumbnail", "all", "all", "k"),
    ]
    normal = replace(judged(head=True)[0], normal=("cat",))
    outputs_of_normal = predictions.of_splits(normal, knn.fit(normal, [5], None, 0.9), ("val",))
    of_normal = cells(report.report(outputs_of_normal, [], {}))
    assert [row[:5] for row in of_normal if row[4].endswith("threshold")] == [
        ("val", "knn", "all", "cat", "normal_threshold"),
        ("val", "head", "all", "cat", "normal_threshold"),
    ]
    assert [row[5] for row in chosen if row[4] == "temperature"] == [
        each.temperature for each in outputs if each.split == "val"
    ]


def test_report_names_the_ood_limit_beside_k_of_the_systems_knn_alone():
    _, outputs = judged(head=True)
    outputs += [replace(each, model="thumbnail") for each in outputs if each.model == "knn"]
    rows = cells(report.report(outputs, [], {"knn": 5, "thumbnail": 1}, 0.25))
    chosen = [row for row in rows if row[4] in ("k", "ood_limit")]
    assert [row[:2] + row[3:6] for row in chosen] == [
        ("val", "knn", "all", "k", 5),
        ("val", "knn", "all", "ood_limit", 0.25),
        ("val", "thumbnail", "all", "k", 1),
    ]
    assert "ood_limit" not in [row[4] for row in cells(report.report(outputs, [], {"knn": 5}, np.inf))]


def test_report_has_a_row_a_score_and_those_of_the_systems_classes():
    _, outputs = judged()
    scored = [("val", "knn", "sex=female", "auroc", 0.5, 0.25, 0.75), ("val", "majority", "all", "images", 9)]
    rows = cells(report.report(outputs, [(*row, None, None)[:7] for row in scored], {}))
    assert rows[0] == ("val", "knn", "sex=female", "all", "auroc", 0.5, 0.25, 0.75)
    assert {len(row) for row in rows} == {len(report.REPORT_COLUMNS)}
    classes = [row for row in rows if row[3] != "all"]
    assert {row[1] for row in classes} == {"knn"} and {row[2] for row in classes} == {"all"}
    assert [row[3:6] for row in classes if row[0] == "test"] == predictions.per_class(outputs[1])


def test_headline_has_the_agreed_shape():
    _, outputs = judged(head=True, **BINARY)
    content = report.headline("phantom", outputs)
    assert list(content) == ["source", "n_val", "n_test", "val", "test"]
    assert content["n_test"] == 30 and list(content["test"]) == ["knn", "head"]
    every = ["accuracy", "balanced_accuracy", "f1_macro", "auroc", "average_precision", "sensitivity"]
    assert list(content["val"]["head"]) == [*every, "specificity"]
    assert json.loads(json.dumps(files.rounded(content)))


def test_headline_has_few_shot_classes_beside_the_models_where_there_are_some():
    _, outputs = judged()
    content = report.headline("phantom", outputs, {"val": {}, "test": {"recall_1": 0.5}})
    assert list(content["val"]) == ["knn"] and list(content["test"]) == ["knn", "few_shot"]
    assert content["test"]["few_shot"] == {"recall_1": 0.5}


def test_headline_leaves_out_what_was_not_judged_or_is_undefined():
    _, outputs = judged(splits=["val"], **BINARY)
    one_class = outputs[0].only(np.flatnonzero(outputs[0].labels == 0))
    content = report.headline("local", [one_class])
    assert list(content) == ["source", "n_val", "val"]
    assert list(content["val"]["knn"]) == ["accuracy", "balanced_accuracy", "f1_macro", "specificity"]


def test_accuracy_on_its_own_training_images_stands_under_a_name_that_says_so():
    _, outputs = judged()
    rows = cells(report.report(outputs, [], {}, own_images=0.875))
    assert rows[-1] == ("train", "knn", "own training images", "all", "accuracy", 0.875, None, None)
    assert "train" not in {row[0] for row in cells(report.report(outputs, [], {}))}


def test_predictions_are_sorted_and_name_every_probability():
    content, outputs = judged(head=True, **BINARY)
    table = report.predictions(content, outputs)
    columns, rows = list(table.columns), cells(table)
    assert columns == [
        *("image", "group", "split", "label", "predicted", "p_benign", "p_malignant"),
        *("head_p_benign", "head_p_malignant"),
    ]
    assert len(rows) == 60 and {len(row) for row in rows} == {9}
    assert [(row[2], row[0]) for row in rows] == sorted((row[2], row[0]) for row in rows)
    knn_test = next(each for each in outputs if (each.split, each.model) == ("test", "knn"))
    by_image = {row[0]: row for row in rows}
    for row, predicted in zip(knn_test.rows, knn_test.predicted, strict=True):
        assert by_image[str(content.images[row])][4] == content.classes[predicted]


def test_small_probabilities_rank_images_in_the_file_as_they_do_in_the_metrics(tmp_path):
    content, outputs = judged()
    small = [replace(each, probabilities=each.probabilities**9 * 1e-9) for each in outputs]
    tables.write(tmp_path / "predictions.csv", report.predictions(content, small))
    read = tables.read(tmp_path / "predictions.csv").set_index("image")
    for each in small:
        columns = read.loc[content.images[each.rows], [f"p_{name}" for name in content.classes]]
        assert np.array_equal(columns.astype(float), each.probabilities)


@pytest.mark.parametrize("number", [float("nan"), np.float32("nan"), np.float64("inf")])
def test_a_figure_that_is_no_number_is_never_written(tmp_path, number):
    _, outputs = judged()
    rows = cells(report.report(outputs, [("test", "knn", "all", "auroc", number, None, None)], {}))
    with pytest.raises(ValueError, match="not a finite number"):
        tables.write(tmp_path / "report.csv", tables.of(report.REPORT_COLUMNS, rows))
    assert not list(tmp_path.iterdir())
