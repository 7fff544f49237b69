import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncovec.core.datasets import Columns, Dataset
from oncovec.data.layouts.multi_cancer import CLASSES
from oncovec.evaluation import predictions, subsets
from oncovec.metrics import classification

FACTS = {"width": "8", "height": "8", "mode": "RGB", "sha256": "0"}


def cancers():
    """An index as that of multi_cancer: one image of each class, twice."""
    return [
        {"image": f"{name}/{number}", "class": name, "organ": organ, "malignancy": kind, "group": "", **FACTS}
        for name, (organ, kind) in CLASSES.items()
        for number in range(2)
    ]


def found(rows, label, **options):
    names = sorted({row[label] for row in rows})
    labels = np.array([names.index(row[label]) for row in rows])
    return subsets.find(pd.DataFrame(rows), np.array([row["image"] for row in rows]), labels, **options)


@pytest.mark.parametrize(
    ("label", "further"),
    [("malignancy", ["organ"]), ("organ", ["malignancy"]), ("class", ["organ", "malignancy"])],
)
def test_a_label_is_looked_at_within_the_others_that_do_not_decide_it(label, further):
    assert list(found(cancers(), label).labels) == further


def people(**columns):
    """An index of images with facts about people; each column is a list of cells."""
    count = len(next(iter(columns.values())))
    cells = [{name: values[row] for name, values in columns.items()} for row in range(count)]
    base = {"label": "ab", "group": [""] * count}
    return [
        {"image": f"{row:02d}", "label": base["label"][row % 2], "group": base["group"][row], **FACTS, **cell}
        for row, cell in enumerate(cells)
    ]


def test_people_are_parted_by_sex_site_and_bands_of_ages():
    parts = found(
        people(sex=["f", "m", "", " f "], age=["0", "39.5", "", "85"], site=["x", "", "x", "y"]), "label"
    )
    assert {name: values.tolist() for name, values in parts.subgroups.items()} == {
        "sex": ["f", "m", "", "f"],
        "age": ["0-19", "20-39", "", "80+"],
        "site": ["x", "", "x", "y"],
    }
    assert parts.labels == {}


def test_a_fact_that_is_known_of_nobody_or_differs_for_everybody_parts_nothing():
    many = 2 * subsets.MOST_VALUES
    rows = people(sex=[""] * many, site=[f"room {number}" for number in range(many)], scanner=["a"] * many)
    assert found(rows, "label").subgroups == {}


@pytest.mark.parametrize(
    "cell", ["45 years", "45y", "045Y", "45.0", "45,5", " 45 Yrs. ", "540 months", "540M"]
)
def test_the_unit_of_an_age_is_understood(cell):
    assert subsets.band(cell) == "40-59"


@pytest.mark.parametrize(
    "cell", ["", "unknown", "-1", "nan", "40-59", "45 kg", "45M", "60F", "45 m", "1.2.3", "."]
)
def test_what_is_no_age_falls_into_no_band(cell):
    assert subsets.band(cell) == ""


@given(st.floats(0, 130))
def test_every_age_falls_into_the_band_that_holds_it(years):
    low, _, high = subsets.band(str(years)).rstrip("+").partition("-")
    assert int(low) <= years < int(high or 130) + 1


def test_units_are_the_named_group_and_the_lesion_where_any_is_known():
    rows = people(group=["p1", "p1", ""], lesion=["l1", "", "l2"])
    assert list(found(rows, "label", unit="patient").units) == ["lesion", "patient"]
    assert found(rows, "label", unit="lesion").units["lesion"].tolist() == ["p1", "p1", ""]
    assert found(people(lesion=["", ""]), "label").units == {}


def test_images_are_taken_in_the_order_of_the_task_not_of_the_index():
    rows = people(sex=["f", "m", "x"])
    parts = subsets.find(pd.DataFrame(rows), np.array(["02", "00"]), np.array([0, 1]))
    assert parts.subgroups["sex"].tolist() == ["x", "f"]


@pytest.mark.parametrize(
    ("layout", "columns", "unit"),
    [
        ("isic2020", {}, "patient"),
        ("pcam", {}, "slide"),
        ("csv", {}, "group"),
        ("csv", {"columns": Columns(group="case")}, "case"),
        ("csv", {"columns": Columns(group=None)}, "group"),
        ("folders", {}, "group"),
    ],
)
def test_a_unit_is_named_for_what_the_dataset_groups(layout, columns, unit):
    row = Dataset(layout=layout, root="r", image_size=16, **columns)
    assert subsets.unit_of(row) == unit


def output(labels, positive_probability, threshold=0.5):
    positive = np.array(positive_probability, float)
    probabilities = np.stack([1 - positive, positive], axis=1)
    return predictions.PredictionOutput(
        split="test",
        model="knn",
        classes=("benign", "melanoma"),
        rows=np.arange(10, 10 + len(labels)),
        labels=np.array(labels),
        probabilities=probabilities,
        predicted=classification.predict(probabilities, np.array([threshold, np.nan])),
        positive_index=1,
        thresholds=np.array([threshold, np.nan]),
    )


def test_a_unit_is_positive_if_any_of_its_images_is_and_as_likely_so_as_the_likeliest_of_them():
    images = output([1, 0, 0, 0, 1, 0], [0.2, 0.9, 0.4, 0.2, 0.1, 0.9])
    units = np.array(["b", "b", "a", "a", "c", ""])
    whole, first, left_out = subsets.whole(images, units)
    assert first.tolist() == [2, 0, 4] and left_out == 0
    assert whole.labels.tolist() == [0, 1, 1] and whole.rows.tolist() == [12, 10, 14]
    assert whole.probabilities[:, 1] == pytest.approx([0.4, 0.9, 0.1])
    assert whole.probabilities.sum(axis=1) == pytest.approx([1, 1, 1])
    assert whole.predicted.tolist() == [0, 1, 0]


def test_units_keep_the_threshold_of_images():
    strict = dataclasses.replace(output([1, 1], [0.5, 0.2]), thresholds=np.array([0.6, np.nan]))
    assert subsets.whole(strict, np.array(["a", "a"]))[0].predicted.tolist() == [0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_a_unit_is_predicted_positive_if_and_only_if_one_of_its_images_is(rows):
    names, labels, probabilities = zip(*rows, strict=True)
    units = np.array([f"u{name}" for name in names])
    images = output(list(labels), list(probabilities))
    whole, first, left_out = subsets.whole(images, units)
    assert left_out == 0 and units[first].tolist() == sorted(set(units.tolist()))
    for unit, label, predicted in zip(units[first], whole.labels, whole.predicted, strict=True):
        assert label == images.labels[units == unit].max()
        assert predicted == images.predicted[units == unit].max()


def several(labels, probabilities):
    """A output of three classes."""
    classes, table = ("a", "b", "c"), np.array(probabilities)
    predicted = table.argmax(axis=1)
    return dataclasses.replace(
        output(labels, [0.5] * len(labels)),
        classes=classes,
        probabilities=table,
        predicted=predicted,
        positive_index=None,
        thresholds=None,
    )


def test_of_more_classes_a_unit_has_the_mean_of_its_images_and_two_labels_leave_it_out():
    images = several([2, 2, 0, 1], [[0.6, 0, 0.4], [0, 0, 1], [1, 0, 0], [0, 1, 0]])
    whole, first, left_out = subsets.whole(images, np.array(["a", "a", "b", "b"]))
    assert first.tolist() == [0] and whole.labels.tolist() == [2] and left_out == 1
    assert whole.probabilities[0] == pytest.approx([0.3, 0, 0.7])
    assert whole.predicted.tolist() == [2]


def test_where_every_unit_has_two_labels_none_is_left():
    whole, first, left_out = subsets.whole(several([2, 0], np.eye(3)[[2, 0]]), np.array(["a", "a"]))
    assert len(first) == 0 and whole.metrics() == {} and left_out == 1


def test_units_of_one_image_are_judged_as_images_are():
    generator = np.random.default_rng(0)
    images = output(generator.integers(0, 2, 40), generator.random(40), 0.3)
    whole, _, _ = subsets.whole(images, np.array([f"u{number:02d}" for number in range(40)]))
    assert whole.metrics() == images.metrics()
