from dataclasses import replace

import pytest
from synthetic import embeddings

from oncovec.core import files, tables
from oncovec.evaluation import knn, predictions, report, scores, subsets, summary

NONE = subsets.Parts({}, {}, {})

EMPTY = tables.of(report.REPORT_COLUMNS, [])


def written(folder, splits, rival, **options):
    """A system's metrics and report as they are read back; `rival` draws what plays its baseline."""
    content = embeddings(**options)
    outputs = predictions.of_splits(content, knn.fit(content, [5]), splits)
    other = replace(embeddings(**rival), labels=content.labels)
    baselines = [
        replace(each, model="rival") for each in predictions.of_splits(other, knn.fit(other, [5]), splits)
    ]
    found, _ = scores.score(outputs, baselines, content.groups, NONE, 100, 0)
    path = folder / "report.csv"
    tables.write(path, report.report(outputs, found, {"knn": 5}))
    return report.headline("phantom", outputs), tables.read(path)


def test_it_says_whether_knn_beats_the_best_baseline(tmp_path):
    won, lost = (written(tmp_path, ["val", "test"], {"noise": noise}, noise=1.2) for noise in (9, 0.3))
    assert summary.summarise(*won)["beats_baseline"] is True
    found = summary.summarise(*lost)
    assert found["beats_baseline"] is False
    assert found["baseline"] == {"name": "rival", "balanced_accuracy": 1.0}
    assert found["balanced_accuracy"] == lost[0]["test"]["knn"]["balanced_accuracy"]


def test_it_is_about_val_where_test_was_left_out():
    block = {"knn": {"accuracy": 0.1, "balanced_accuracy": 0.6, "auroc": 0.7}}
    metrics = {"balanced_accuracy": 0.6, "auroc": 0.7}
    assert summary.summarise({"val": {}, "test": block}, EMPTY) == metrics
    assert summary.summarise({"val": block}, EMPTY) == metrics | {"split": "val"}


def test_a_class_called_all_is_not_taken_for_all_classes(tmp_path):
    options = {"noise": 2.5, "classes": ("all", "bee", "cat")}
    result, rows = written(tmp_path, ["test"], options | {"noise": 3}, **options)
    shown = summary.of_all_images(rows, "test").loc[("knn", "auroc")]
    assert float(shown["value"]) == round(result["test"]["knn"]["auroc"], files.DIGITS)


@pytest.mark.parametrize(("noise", "verb"), [(9, "beats"), (0.3, "is not shown to beat")])
def test_in_words_it_says_what_was_judged_and_with_what_result(tmp_path, noise, verb):
    result, rows = written(tmp_path, ["val", "test"], {"noise": noise}, noise=1.2)
    judged, told = summary.in_words("zoo", result, rows)
    assert judged.startswith("task zoo  ·  30 test images in 15 groups  ·  phantoms: ")
    assert f"KNN (k = 5): balanced accuracy {result['test']['knn']['balanced_accuracy']:.3f} (" in told
    assert f"{verb} the best baseline, rival (" in told
