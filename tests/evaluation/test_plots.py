import dataclasses
import json
import re

import numpy as np
import pytest
import yaml
from sklearn.metrics import auc
from synthetic import embeddings

from oncovec.core import palette, tables
from oncovec.evaluation import external, knn, overlay, plots, predictions, report
from oncovec.metrics import calibration

KINDS = overlay.COLUMNS | external.PLOTS

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}


def cells(table):
    """Columns and rows of a table."""
    return tuple(table.columns), list(table.itertuples(index=False, name=None))


def judged(**options):
    content = embeddings(**options)
    return content, predictions.of_splits(content, knn.fit(content, [5]), ["test"])


def test_confusion_counts_every_image_once_and_has_every_pair_of_classes():
    _, outputs = judged(noise=1.5)
    columns, rows = cells(plots.confusion(outputs[0]))
    assert columns == ("actual", "predicted", "images", "share")
    assert [row[:2] for row in rows] == [(a, b) for a in ("ant", "bee", "cat") for b in ("ant", "bee", "cat")]
    assert sum(images for *_, images, _ in rows) == 30
    right = sum(images for actual, predicted, images, _ in rows if actual == predicted)
    assert right / 30 == pytest.approx(outputs[0].metrics()["accuracy"])
    assert sum(share for actual, *_, share in rows if actual == "bee") == pytest.approx(1)


def test_confusion_of_a_class_without_images_has_no_shares():
    _, outputs = judged()
    only = outputs[0].only(np.flatnonzero(outputs[0].labels != 1))
    assert [row[3] for row in cells(plots.confusion(only))[1] if row[0] == "bee"] == [0, 0, 0]


def test_area_under_the_drawn_roc_is_the_auroc():
    _, outputs = judged(head=True, noise=1.5, **BINARY)
    _, rows = cells(plots.roc(outputs))
    assert {row[1] for row in rows} == {"malignant"}
    for output in outputs:
        curve = np.array([row[2:] for row in rows if row[0] == output.model])
        assert auc(*curve.T) == pytest.approx(output.metrics()["auroc"])


def test_every_class_of_a_multi_class_task_has_a_roc_that_ends_in_the_corner():
    _, outputs = judged(noise=1.5)
    _, rows = cells(plots.roc(outputs))
    for name in ("ant", "bee", "cat"):
        curve = [row[2:] for row in rows if row[1] == name]
        assert curve[0] == (0, 0) and curve[-1] == (1, 1) and curve == sorted(curve)


def test_area_under_the_steps_of_precision_and_recall_is_the_average_precision():
    _, outputs = judged(head=True, noise=1.5, **BINARY)
    _, rows = cells(plots.precision_recall(outputs))
    assert {row[1] for row in rows} == {"malignant"}
    for output in outputs:
        recall, precision = np.array([row[2:4] for row in rows if row[0] == output.model]).T
        area = -(np.diff(recall) * precision[:-1]).sum()
        assert area == pytest.approx(output.metrics()["average_precision"])


def test_precision_and_recall_of_every_class_start_at_its_prevalence():
    content, outputs = judged(noise=1.5, splits={"train": 60, "val": 30, "test": 31})
    _, rows = cells(plots.precision_recall(outputs))
    for number, name in enumerate(content.classes):
        curve = [row[2:] for row in rows if row[1] == name]
        share = (outputs[0].labels == number).mean()
        assert curve[0] == (1, share, share) and curve[-1] == (0, 1, share)
        assert [point[0] for point in curve] == sorted((point[0] for point in curve), reverse=True)


def test_long_curves_are_thinned():
    content = embeddings(head=True, noise=3, splits={"train": 10, "val": 4, "test": 3000}, **BINARY)
    outputs = predictions.of_splits(content, knn.fit(content, [3]), ["test"])[1:]
    assert 75 < len(plots.roc(outputs)) <= 100
    assert 75 < len(plots.precision_recall(outputs)) <= 100


def test_curves_of_classes_without_images_are_left_out():
    _, outputs = judged()
    only = dataclasses.replace(outputs[0], labels=np.zeros(30, int))
    assert plots.roc([only]).empty and plots.precision_recall([only]).empty


ROWS = [
    ("val", "knn", "all", "all", "auroc", 0.9, 0.8, 1.0),
    ("test", "knn", "all", "all", "images", 30, None, None),
    ("test", "knn", "all", "all", "auroc", 0.7, 0.6, 0.8),
    ("test", "knn", "all", "all", "f1_macro", 0.7, 0.6, 0.8),
    ("test", "knn", "sex=male", "all", "images", 9, None, None),
    ("test", "knn", "sex=male", "all", "balanced_accuracy", 0.5, 0.4, 0.6),
    ("test", "knn", "per patient", "all", "images", 30, None, None),
    ("test", "knn", "per patient", "all", "units", 7, None, None),
    ("test", "knn", "per patient", "all", "auroc", 0.6, 0.1, 0.9),
    ("test", "knn", "few-shot n=1", "all", "recall_few_shot", 0.1, 0.0, 0.2),
    ("test", "head", "sex=male", "all", "auroc", 0.4, 0.3, 0.6),
    ("test", "majority", "all", "all", "auroc", 0.5, 0.5, 0.5),
    ("test", "knn", "all", "all", "auroc", 0.99, None, None),  # of a class that is called `all`
    ("train", "knn", "own training images", "all", "accuracy", 1.0, None, None),
]
REPORT = tables.of(report.REPORT_COLUMNS, ROWS)


def test_metrics_are_the_reports_metrics_of_all_images_of_the_last_split():
    columns, rows = cells(plots.metrics(REPORT, "test"))
    assert columns == ("model", "metric", "value", "low", "high")
    assert rows == [("knn", "auroc", 0.7, 0.6, 0.8), ("majority", "auroc", 0.5, 0.5, 0.5)]


def test_subgroups_are_knns_metrics_of_every_subset_with_its_number_of_images_or_units():
    columns, rows = cells(plots.subgroups(REPORT, "test"))
    assert columns == ("subset", "metric", "value", "low", "high", "images")
    assert rows == [
        ("all", "auroc", 0.7, 0.6, 0.8, 30),
        ("sex=male", "balanced_accuracy", 0.5, 0.4, 0.6, 9),
        ("per patient", "auroc", 0.6, 0.1, 0.9, 7),
    ]


def test_without_a_subset_there_are_no_subgroups():
    assert plots.subgroups(REPORT[REPORT["subset"] == "all"], "test").empty


def test_every_kind_but_the_history_has_a_table_with_its_columns():
    content, outputs = judged(head=True)
    found = plots.of_system(content, outputs, REPORT, [], 50, 0)
    assert [*found] == [kind for kind in overlay.COLUMNS if kind != "history"]
    for kind, table in found.items():
        assert tuple(table.columns) == overlay.COLUMNS[kind]


def test_reliability_counts_every_image_once_in_each_series_and_gives_the_error_back():
    content = embeddings(head=True, noise=1.5)
    outputs = predictions.of_splits(content, knn.fit(content, [5]), ["test"])
    columns, rows = cells(plots.reliability(outputs))
    assert columns == ("series", "confidence", "accuracy", "images")
    assert list(dict.fromkeys(row[0] for row in rows)) == [
        "knn",
        "knn calibrated",
        "head",
        "head calibrated",
    ]
    for each in outputs:
        tempered = calibration.calibrated(each.probabilities, each.temperature, each.model)
        for name, probabilities in ((each.model, each.probabilities), (f"{each.model} calibrated", tempered)):
            shown = np.array([row[1:] for row in rows if row[0] == name])
            confidence, accuracy, images = shown.T
            assert images.sum() == 30 and (np.diff(confidence) > 0).all() and images.min() > 0
            right = probabilities.argmax(axis=1) == each.labels
            assert (accuracy * images).sum() == pytest.approx(right.sum())
            gaps = calibration.gaps(each.labels, probabilities).mean(axis=0)
            assert (images * abs(accuracy - confidence)).sum() / 30 == pytest.approx(calibration.ece(gaps))


def test_reliability_of_a_model_without_a_temperature_has_one_series():
    _, outputs = judged()
    table = plots.reliability([dataclasses.replace(outputs[0], temperature=None)])
    assert set(table["series"]) == {"knn"}


def test_scatter_shows_all_images_by_both_methods_where_they_fit():
    columns, rows = cells(plots.scatter(embeddings(), ["train", "val", "test"], 2000, 0))
    assert columns == ("method", "x", "y", "label", "split")
    assert [row[0] for row in rows] == ["pca"] * 120 + ["tsne"] * 120


def test_scatter_thins_train_and_then_the_others_down_to_half():
    def shown(points):
        content = embeddings(splits={"train": 60, "val": 10, "test": 20})
        rows = cells(plots.scatter(content, ["train", "val", "test"], points, 0))[1]
        splits = [row[4] for row in rows if row[0] == "pca"]
        return {split: splits.count(split) for split in sorted(set(splits))}

    assert shown(70) == {"test": 20, "train": 40, "val": 10}
    assert shown(40)["train"] == 20 and sum(shown(40).values()) == 40


def test_scatter_leaves_out_the_splits_not_asked_for():
    _, rows = cells(plots.scatter(embeddings(), ["train", "val"], 2000, 0))
    assert {row[4] for row in rows} == {"train", "val"}


def test_pca_is_fitted_on_train_alone():
    content = embeddings()
    moved = content.vectors.copy()
    moved[content.rows("test")] *= -5

    def train_points(each):
        rows = cells(plots.scatter(each, ["train", "val", "test"], 2000, 0))[1]
        return [row for row in rows if row[0] == "pca" and row[4] == "train"]

    assert train_points(content) == train_points(dataclasses.replace(content, vectors=moved))


@pytest.mark.parametrize("count", [2, 5, 9])
def test_scatter_of_few_images_is_finite(count):
    content = embeddings(splits={"train": count, "val": 0, "test": 0})
    _, rows = cells(plots.scatter(content, ["train", "val", "test"], 100, 0))
    assert np.isfinite([row[1:3] for row in rows]).all()


def test_scatter_of_collapsed_embeddings_leaves_out_tsne():
    content = embeddings()
    content.vectors[:] = content.vectors[0]
    _, rows = cells(plots.scatter(content, ["train", "val"], 100, 0))
    assert {row[0] for row in rows} == {"pca"}
    assert {row[1:3] for row in rows} == {(0.0, 0.0)}


def test_two_runs_write_the_same_bytes(tmp_path):
    content = embeddings()
    for name in ("a.csv", "b.csv"):
        tables.write(tmp_path / name, plots.scatter(content, ["train", "val", "test"], 80, 3))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.fixture(scope="module")
def templates(repository):
    """Every template that dvc.yaml names, by its kind, with x and y put in."""
    entries = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    drawn = {name: row for each in entries if isinstance(each, dict) for name, row in each.items()}
    assert list(drawn) == [f"plots/{kind}" for kind in KINDS]
    folder = repository / ".dvc" / "plots"
    assert {f"{row['template']}.json" for row in drawn.values()} == {path.name for path in folder.iterdir()}
    found = {}
    for name, row in drawn.items():
        text = (folder / f"{row['template']}.json").read_text(encoding="utf-8")
        for axis in ("x", "y"):
            anchor = f"<DVC_METRIC_{axis.upper()}>"
            assert anchor in text
            text = text.replace(anchor, row[axis])
        found[name.removeprefix("plots/")] = json.loads(text)
    return found


def test_every_kind_is_an_output_of_report(repository):
    stages = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outputs = [name for out in stages["report"]["outs"] for name in out]
    assert set(outputs) == {f"plots/{kind}" for kind in (*KINDS, "overview")}


def parts(content):
    """Every object in a template."""
    if isinstance(content, list):
        return [found for each in content for found in parts(each)]
    if not isinstance(content, dict):
        return []
    return [content, *(found for each in content.values() for found in parts(each))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_reads_columns_that_are_there(templates, kind):
    text = json.dumps(templates[kind])
    computed = set(re.findall(r'"as": "(\w+)"', text))
    computed |= {
        name for found in re.findall(r'"as": \[([^]]*)\]', text) for name in re.findall(r"\w+", found)
    }
    read = {each["field"] for each in parts(templates[kind]) if "field" in each}
    read |= set(re.findall(r"datum\.(\w+)", text))
    assert read <= {"system", "rev", *KINDS[kind], *computed}


@pytest.mark.parametrize("kind", KINDS)
def test_systems_and_revisions_are_never_told_apart_by_one_channel(templates, kind):
    channels = {"color", "strokeDash", "row", "column", "yOffset", "facet", "shape"}
    used = {
        (channel, each[channel].get("field"))
        for each in parts(templates[kind])
        for channel in channels & each.keys()
        if isinstance(each[channel], dict)
    }
    by_system = {channel for channel, field in used if field in ("system", "projection")}
    by_revision = {channel for channel, field in used if field == "rev"}
    assert by_system and by_revision and not by_system & by_revision
    assert ("color", "rev") not in used


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_has_the_colours_of_the_palette(templates, kind):
    colours = {"system": list(palette.COLOURS), "label": list(palette.OF_CLASSES)}
    of_fields = [
        (each["field"], each["scale"])
        for part in parts(templates[kind])
        for channel, each in part.items()
        if channel in ("color", "fill", "stroke") and isinstance(each, dict) and each.get("type") == "nominal"
    ]
    assert of_fields or kind == "confusion"
    for field, scale in of_fields:
        assert scale == {"range": colours[field]}


def test_a_grid_of_panels_has_sorted_rows_beside_its_revisions(templates):
    # Beside a column in the order of the data, Vega-Lite fills a grid of unsorted rows in the wrong order.
    for kind, template in templates.items():
        for each in parts(template):
            if "row" in each:
                assert each["column"] == {"field": "rev", "title": None, "sort": []}, kind
                assert each["row"]["field"] != "rev" and each["row"].get("sort", "ascending"), kind
