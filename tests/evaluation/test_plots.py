import dataclasses
import json
import re

import numpy as np
import pytest
import yaml
from sklearn.metrics import auc
from synthetic import embeddings

from oncovec.core import files
from oncovec.evaluation import knn, plots, predictions, report
from oncovec.metrics import calibration

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}


def judged(**options):
    content = embeddings(**options)
    return content, predictions.judge(content, knn.fit(content, [5]), ["test"])


def test_confusion_has_one_sorted_row_an_image():
    _, judgements = judged(noise=1.5)
    columns, rows = plots.confusion(judgements[0])
    assert columns == ("actual", "predicted")
    assert rows == sorted(rows) and len(rows) == 30
    right = sum(actual == predicted for actual, predicted in rows)
    assert right / 30 == pytest.approx(judgements[0].metrics()["accuracy"])


def test_area_under_the_drawn_roc_is_the_auroc():
    _, judgements = judged(head=True, noise=1.5, **BINARY)
    _, rows = plots.roc(judgements)
    assert {row[1] for row in rows} == {"malignant"}
    for judgement in judgements:
        curve = np.array([row[2:] for row in rows if row[0] == judgement.model])
        assert auc(*curve.T) == pytest.approx(judgement.metrics()["auroc"])


def test_every_class_of_a_multi_class_task_has_a_roc_that_ends_in_the_corner():
    _, judgements = judged(noise=1.5)
    _, rows = plots.roc(judgements)
    for name in ("ant", "bee", "cat"):
        curve = [row[2:] for row in rows if row[1] == name]
        assert curve[0] == (0, 0) and curve[-1] == (1, 1) and curve == sorted(curve)


def test_precision_recall_runs_with_ascending_recall():
    _, judgements = judged(noise=1.5, **BINARY)
    recall = [row[2] for row in plots.precision_recall(judgements)[1]]
    assert recall == sorted(recall) and recall[-1] == 1


def test_long_curves_are_thinned():
    content = embeddings(head=True, noise=3, sides={"train": 10, "val": 4, "test": 3000}, **BINARY)
    judgements = predictions.judge(content, knn.fit(content, [3]), ["test"])[1:]
    for table in (plots.roc(judgements), plots.precision_recall(judgements)):
        assert 150 < len(table[1]) <= 200


def test_curves_of_classes_without_images_are_left_out():
    _, judgements = judged()
    only = dataclasses.replace(judgements[0], labels=np.zeros(30, int))
    assert plots.roc([only])[1] == [] == plots.precision_recall([only])[1]


def test_distributions_count_every_image_once():
    content, judgements = judged(noise=1.5)
    assert sum(row[2] for row in plots.class_distribution(content)[1]) == 120
    rows = plots.prediction_distribution(judgements[0])[1]
    assert sum(row[2] for row in rows if row[0] == "predicted") == 30
    rows = plots.probability(judgements[0])[1]
    assert sum(row[2] for row in rows) == 30 and len(rows) == 3 * plots.BINS


def test_probability_bins_hold_their_lower_edge():
    _, judgements = judged(**BINARY)
    positive = np.array([0.0, 0.1, 0.29999999999999993, 0.7, 1.0, 0.95])
    fixed = dataclasses.replace(
        judgements[0], labels=np.ones(6, int), probabilities=np.stack([1 - positive, positive], axis=1)
    )
    counts = {row[1]: row[2] for row in plots.probability(fixed)[1] if row[0] == "malignant"}
    assert {middle: n for middle, n in counts.items() if n} == {0.05: 1, 0.15: 1, 0.35: 1, 0.75: 1, 0.95: 2}


def test_reliability_counts_every_image_once_in_each_series_and_gives_the_error_back():
    content = embeddings(head=True, noise=1.5)
    judgements = predictions.judge(content, knn.fit(content, [5]), ["test"])
    columns, rows = plots.reliability(judgements)
    assert columns == ("series", "confidence", "accuracy", "images")
    assert list(dict.fromkeys(row[0] for row in rows)) == [
        "knn",
        "knn calibrated",
        "head",
        "head calibrated",
    ]
    for each in judgements:
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
    _, judgements = judged()
    rows = plots.reliability([dataclasses.replace(judgements[0], temperature=None)])[1]
    assert {row[0] for row in rows} == {"knn"}


def test_scatter_shows_all_images_by_both_methods_where_they_fit():
    columns, rows = plots.scatter(embeddings(), ["train", "val", "test"], 2000, 0)
    assert columns == ("method", "x", "y", "label", "side")
    assert [row[0] for row in rows] == ["pca"] * 120 + ["tsne"] * 120


def test_scatter_thins_train_and_then_the_others_down_to_half():
    def shown(points):
        content = embeddings(sides={"train": 60, "val": 10, "test": 20})
        rows = plots.scatter(content, ["train", "val", "test"], points, 0)[1]
        sides = [row[4] for row in rows if row[0] == "pca"]
        return {side: sides.count(side) for side in sorted(set(sides))}

    assert shown(70) == {"test": 20, "train": 40, "val": 10}
    assert shown(40)["train"] == 20 and sum(shown(40).values()) == 40


def test_scatter_leaves_out_the_sides_not_asked_for():
    _, rows = plots.scatter(embeddings(), ["train", "val"], 2000, 0)
    assert {row[4] for row in rows} == {"train", "val"}


def test_pca_is_fitted_on_train_alone():
    content = embeddings()
    moved = content.vectors.copy()
    moved[content.rows("test")] *= -5

    def train_points(each):
        rows = plots.scatter(each, ["train", "val", "test"], 2000, 0)[1]
        return [row for row in rows if row[0] == "pca" and row[4] == "train"]

    assert train_points(content) == train_points(dataclasses.replace(content, vectors=moved))


@pytest.mark.parametrize("count", [2, 5, 9])
def test_scatter_of_few_images_is_finite(count):
    content = embeddings(sides={"train": count, "val": 0, "test": 0})
    _, rows = plots.scatter(content, ["train", "val", "test"], 100, 0)
    assert np.isfinite([row[1:3] for row in rows]).all()


def test_scatter_of_collapsed_embeddings_leaves_out_tsne():
    content = embeddings()
    content.vectors[:] = content.vectors[0]
    _, rows = plots.scatter(content, ["train", "val"], 100, 0)
    assert {row[0] for row in rows} == {"pca"}
    assert {row[1:3] for row in rows} == {(0.0, 0.0)}


def test_two_runs_write_the_same_bytes(tmp_path):
    content = embeddings()
    for name in ("a.csv", "b.csv"):
        files.write_csv(tmp_path / name, *plots.scatter(content, ["train", "val", "test"], 80, 3))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.fixture(scope="module")
def templates(repository):
    """Every template that dvc.yaml names, and the x and y that it is drawn with."""
    rows = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    drawn = {each["template"]: each for row in rows if isinstance(row, dict) for each in row.values()}
    folder = repository / ".dvc" / "plots"
    own = {name: folder / f"{name}.json" for name in drawn if name != "confusion"}  # that one is DVC's
    assert set(own.values()) == set(folder.glob("*.json"))
    return {name: (json.loads(path.read_text(encoding="utf-8")), drawn[name]) for name, path in own.items()}


def fields(content):
    """Names of columns that a template reads, and of those that it computes."""
    if isinstance(content, list):
        return [found for each in content for found in fields(each)]
    if not isinstance(content, dict):
        return re.findall(r"datum\.(\w+)|datum\['(\w+)'\]", content) if isinstance(content, str) else []
    own = [(content[key], "") for key in ("field",) if key in content]
    return own + [found for each in content.values() for found in fields(each)]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("intervals", report.SUMMARY_COLUMNS),
        ("subsets", report.REPORT_COLUMNS),
        ("reliability", ("series", "confidence", "accuracy", "images")),
        ("few_examples", plots.unseen([])[0]),
    ],
)
def test_a_template_reads_columns_that_are_there(templates, name, columns):
    template, drawn = templates[name]
    text = json.dumps(template).replace("<DVC_METRIC_X>", drawn["x"]).replace("<DVC_METRIC_Y>", drawn["y"])
    computed = set(re.findall(r'"as": "(\w+)"', text))
    read = {one or other for one, other in fields(json.loads(text))}
    assert {*columns, "rev"} & {"low", "high", "value", "confidence", "accuracy", "images"} <= read | computed
    assert read <= {*columns, *computed, "rev"}


def test_revisions_stand_side_by_side(templates):
    # Beside a sorted column, Vega-Lite fills a grid of unsorted rows in the wrong order.
    for name, (template, _) in templates.items():
        facet = template.get("facet", {})
        assert facet.get("row", {}).get("field") != "rev", name
