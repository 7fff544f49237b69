import json
from dataclasses import replace

from synthetic import embeddings

from oncovec.core import files, tables
from oncovec.evaluation import knn, predictions, report, scores, subsets

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}
NONE = subsets.Parts({}, {}, {})


def judged(sides=("val", "test"), **options):
    content = embeddings(**options)
    gallery = knn.fit(content, [1, 5])
    return content, predictions.judge(content, gallery, sides)


def test_report_names_what_was_chosen_on_val_only():
    _, judgements = judged(head=True, **BINARY)
    rival = replace(judgements[0], model="thumbnail", threshold=None)
    rows = report.report_rows([*judgements, rival], [], {"knn": 5, "thumbnail": 3})
    chosen = [row for row in rows if row[4] in ("k", "threshold", "temperature")]
    assert [row[:5] for row in chosen] == [
        ("val", "knn", "all", "all", "k"),
        ("val", "knn", "all", "malignant", "threshold"),
        ("val", "knn", "all", "all", "temperature"),
        ("val", "head", "all", "malignant", "threshold"),
        ("val", "head", "all", "all", "temperature"),
        ("val", "thumbnail", "all", "all", "k"),
    ]
    assert [row[5] for row in chosen if row[4] == "temperature"] == [
        each.temperature for each in judgements if each.side == "val"
    ]


def test_report_names_what_is_far_beside_k_of_the_systems_knn_alone():
    _, judgements = judged(head=True)
    judgements += [replace(each, model="thumbnail") for each in judgements if each.model == "knn"]
    rows = report.report_rows(judgements, [], {"knn": 5, "thumbnail": 1}, 0.25)
    chosen = [row for row in rows if row[4] in ("k", "far")]
    assert [row[:2] + row[4:6] for row in chosen] == [
        ("val", "knn", "k", 5),
        ("val", "knn", "far", 0.25),
        ("val", "thumbnail", "k", 1),
    ]
    assert "far" not in {row[4] for row in report.report_rows(judgements, [], {"knn": 5})}


def test_report_has_a_row_a_score_and_those_of_the_systems_classes():
    _, judgements = judged()
    scored = [("val", "knn", "sex=female", "auroc", 0.5, 0.25, 0.75), ("val", "majority", "all", "images", 9)]
    rows = report.report_rows(judgements, [(*row, None, None)[:7] for row in scored], {})
    assert rows[0] == ("val", "knn", "sex=female", "all", "auroc", 0.5, 0.25, 0.75)
    assert {len(row) for row in rows} == {len(report.REPORT_COLUMNS)}
    classes = [row for row in rows if row[3] != "all"]
    assert {row[1] for row in classes} == {"knn"} and {row[2] for row in classes} == {"all"}
    assert [row[3:6] for row in classes if row[0] == "test"] == predictions.per_class(judgements[1])


def test_headline_has_the_agreed_shape():
    _, judgements = judged(head=True, **BINARY)
    content = report.headline("phantom", judgements, 0.9)
    assert list(content) == ["source", "n_val", "n_test", "val", "test", "train"]
    assert content["n_test"] == 30 and list(content["test"]) == ["knn", "head"]
    assert "specificity" in content["val"]["head"]
    assert content["train"] == {"knn_on_its_own_training_images": {"accuracy": 0.9}}
    assert json.loads(json.dumps(files.rounded(content)))


def test_headline_has_unseen_classes_beside_the_models_where_there_are_some():
    _, judgements = judged()
    content = report.headline("phantom", judgements, 0.9, {"val": {}, "test": {"recall_1": 0.5}})
    assert list(content["val"]) == ["knn"] and list(content["test"]) == ["knn", "unseen"]
    assert content["test"]["unseen"] == {"recall_1": 0.5}


def test_headline_leaves_out_what_was_not_judged():
    _, judgements = judged(sides=["val"])
    content = report.headline("local", judgements, 1.0)
    assert list(content) == ["source", "n_val", "val", "train"]
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


def written(folder, sides, rivals, **options):
    """A system's metrics and report as summary reads them; `rivals` are models that play its baselines."""
    content, judgements = judged(sides=sides, **options)
    found, _ = scores.score(judgements, rivals(content, judgements), content.groups, NONE, 100, 0)
    path = folder / "report.csv"
    files.write_csv(path, report.REPORT_COLUMNS, report.report_rows(judgements, found, {"knn": 5}))
    return report.headline("phantom", judgements, 1.0), tables.read_table(path)


def renamed(content, judgements, **options):
    """The answers of other embeddings of the same images, named as a baseline."""
    rival = replace(embeddings(**options), labels=content.labels)
    sides = dict.fromkeys(each.side for each in judgements)
    return [replace(each, model="rival") for each in predictions.judge(rival, knn.fit(rival, [5]), sides)]


def test_summary_says_whether_knn_beats_the_best_baseline(tmp_path):
    def far(content, judgements):
        return renamed(content, judgements, noise=9)

    def near(content, judgements):
        return renamed(content, judgements, noise=0.3)

    results, reports = {}, {}
    for name, rivals in (("wins", far), ("loses", near)):
        results[name], reports[name] = written(tmp_path, ["val", "test"], rivals, noise=1.2)
    summary = report.summarise(results, reports, ["wins", "loses"])
    assert summary["wins"]["beats_trivial"] is True and summary["loses"]["beats_trivial"] is False
    assert summary["loses"]["trivial"] == {"name": "rival", "balanced_accuracy": 1.0}
    assert summary["loses"]["balanced_accuracy"] == results["loses"]["test"]["knn"]["balanced_accuracy"]


def test_summary_keeps_the_order_of_rows_and_leaves_out_what_is_gone():
    def block(value):
        return {"knn": {"accuracy": 0.1, "balanced_accuracy": value, "auroc": value}}

    results = {
        "a": {"val": block(0.5), "test": block(0.6), "train": {"knn_on_its_own_training_images": {}}},
        "b": {"val": block(0.7)},
        "gone": {"val": block(0.9), "test": block(0.9)},
    }
    summary = report.summarise(results, {system: [] for system in results}, ["b", "new", "a"])
    assert list(summary) == ["b", "a"]
    assert summary["a"] == {"balanced_accuracy": 0.6, "auroc": 0.6}
    assert summary["b"] == {"balanced_accuracy": 0.7, "auroc": 0.7, "side": "val"}


def test_summary_rows_are_the_reports_figures_of_the_last_side(tmp_path):
    def rivals(content, judgements):
        return renamed(content, judgements, noise=3)

    result, rows = written(tmp_path, ["val", "test"], rivals, head=True, noise=1.5)
    found = report.summary_rows({"zoo": result}, {"zoo": rows}, ["zoo", "new"])
    assert {len(row) for row in found} == {len(report.SUMMARY_COLUMNS)}
    assert [row[:4] for row in found] == [
        ("zoo", series, model, metric)
        for metric in report.HEADLINE
        for series, model in (("knn", "knn"), ("head", "head"), ("best trivial", "rival"))
    ]
    for _, _, model, metric, value, low, high in found:
        assert low <= value <= high
        if model != "rival":
            assert value == round(result["test"][model][metric], files.DIGITS)


def test_a_class_called_all_is_not_taken_for_all_classes(tmp_path):
    def rivals(content, judgements):
        return renamed(content, judgements, noise=3, classes=("all", "bee", "cat"))

    result, rows = written(tmp_path, ["test"], rivals, noise=2.5, classes=("all", "bee", "cat"))
    shown = {row[3]: row[4] for row in report.summary_rows({"zoo": result}, {"zoo": rows}, ["zoo"])[::2]}
    assert shown["auroc"] == round(result["test"]["knn"]["auroc"], files.DIGITS)
