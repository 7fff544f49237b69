import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from oncovec.core import files, rows, tables
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.evaluation import external

CLASSES = ("glioma", "pituitary", "none", "lung")
TUMOUR = {"tumour": ["glioma", "pituitary"]}


def table(lines, groups=None):
    """A table of answers of one system from (label, predicted, answered, score, probabilities, set)."""
    columns = [*external.COLUMNS, *(f"p_{name}" for name in CLASSES)]
    content = [
        (
            *("one", f"{number}.png", groups[number] if groups else "", label, predicted, answered, score),
            *each,
        )
        for number, (label, predicted, answered, score, each) in enumerate(
            (*line[:4], (line[5] if len(line) > 5 else line[1], *line[4])) for line in lines
        )
    ]
    return tables.of(columns, content)


LINES = [
    ("tumour", "glioma", "true", 1.0, (0.5, 0.2, 0.3, 0.0), "glioma|none"),
    ("tumour", "pituitary", "true", 2.0, (0.1, 0.6, 0.3, 0.0)),
    ("tumour", "lung", "true", 5.0, (0.1, 0.1, 0.2, 0.6)),
    ("tumour", "lung", "false", 9.0, (0.0, 0.0, 0.0, 1.0), ""),
    ("none", "none", "true", 3.0, (0.0, 0.1, 0.9, 0.0)),
    ("none", "glioma", "true", 4.0, (0.6, 0.0, 0.4, 0.0), "glioma|pituitary|none"),
]


def test_any_class_of_a_label_is_right_and_refused_images_count_by_their_vote():
    found = external.metrics(external.predictions(table(LINES), TUMOUR))
    assert found["n"] == 6 and found["coverage"] == pytest.approx(5 / 6)
    assert found["accuracy"] == pytest.approx(3 / 6)
    assert found["balanced_accuracy"] == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert found["wrong_and_answered"] == pytest.approx(2 / 6)
    assert found["elsewhere_and_answered"] == pytest.approx(1 / 6)
    assert found["answered"]["accuracy"] == pytest.approx(3 / 5)
    assert found["answered"]["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["answered"]["set_coverage"] == pytest.approx(4 / 5)
    assert found["answered"]["set_size"] == pytest.approx((2 + 1 + 1 + 1 + 3) / 5)


def test_auroc_ranks_by_the_share_among_the_labels_and_all_other_classes_alike():
    # Shares of tumour among tumour and none; without any vote for either, half.
    shares, is_tumour = [0.7, 0.7, 0.5, 0.5, 0.1, 0.6], [1, 1, 1, 1, 0, 0]
    found = external.metrics(external.predictions(table(LINES), TUMOUR))
    assert found["auroc"] == pytest.approx(roc_auc_score(is_tumour, shares))


def test_a_label_without_images_is_no_error_elsewhere():
    named = TUMOUR | {"chest": ["lung"]}
    found = external.metrics(external.predictions(table(LINES), named))
    assert found["elsewhere_and_answered"] == 0 and found["wrong_and_answered"] == pytest.approx(2 / 6)
    assert found["auroc"] == external.metrics(external.predictions(table(LINES), TUMOUR))["auroc"]


def test_labels_that_are_classes_need_no_name_and_metrics_are_scikit_learns():
    generator = np.random.default_rng(0)
    lines = []
    for _ in range(80):
        votes = generator.dirichlet(np.ones(4))
        label = ("glioma", "none")[generator.integers(2)]
        lines.append((label, CLASSES[votes.argmax()], "true", float(generator.random()), votes))
    content = table(lines)
    found = external.metrics(external.predictions(content, {}))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(content["label"], content["predicted"])
    assert found["balanced_accuracy"] == pytest.approx(expected)
    shares = content["p_glioma"] / (content["p_glioma"] + content["p_none"])
    assert found["auroc"] == pytest.approx(roc_auc_score(content["label"] == "glioma", shares.astype(float)))
    of_sets = {"set_coverage": found["accuracy"], "set_size": 1}
    assert found["answered"] == {name: found[name] for name in external.METRICS} | of_sets


def test_images_whose_probability_is_rounded_to_1_are_ranked_by_what_is_left():
    left = [(1e-20, "glioma"), (1e-25, "glioma"), (1e-30, "none"), (0.0, "none")]
    lines = [(label, "none", "true", 0.1, (sick, 0.0, 1.0, 0.0)) for sick, label in left]
    assert external.metrics(external.predictions(table(lines), {}))["auroc"] == 1
    without = [(label, "lung", "true", 0.1, (0.0, 0.0, 0.0, 1.0)) for label in ("glioma", "none")]
    assert external.metrics(external.predictions(table(without), {}))["auroc"] == 0.5


def test_undefined_metrics_are_left_out():
    only = external.metrics(external.predictions(table(LINES[:3]), TUMOUR))
    assert "auroc" not in only and only["accuracy"] == pytest.approx(2 / 3)
    refused = external.metrics(external.predictions(table(LINES[3:4]), TUMOUR))
    assert refused["coverage"] == 0 and refused["answered"] == {} and refused["wrong_and_answered"] == 0


def test_intervals_contain_their_values_and_are_wider_with_groups():
    lines = LINES * 10
    single = external.with_intervals(external.predictions(table(lines), TUMOUR), 300, 0)
    grouped = [f"p{number // 12}" for number in range(len(lines))]
    whole = external.with_intervals(external.predictions(table(lines, grouped), TUMOUR), 300, 0)
    values = external.metrics(external.predictions(table(lines), TUMOUR))
    assert set(single) == {*external.SHARES, *external.METRICS}
    for name, each in single.items():
        assert each.value == pytest.approx(values[name])
        assert 0 <= each.low <= each.value <= each.high <= 1
        # Ten equal patients: their replicates are equal, which a bootstrap of images does not show.
        assert whole[name].value == pytest.approx(each.value)
    assert whole["coverage"].low < single["coverage"].low


def sets(**labels):
    """The table of sets with one set, as check writes it."""
    named = [("far", "brain", label, each) for label, classes in labels.items() for each in classes]
    return tables.of(rows.SET_COLUMNS, named or [("far", "brain", "", "")])


def test_tables_read_from_files_give_the_same_answers(tmp_path):
    path = tmp_path / "far.csv"
    content = pd.concat([table(LINES), table(LINES).assign(system="two")])
    tables.write(path, content)
    found = external.read({"far": path}, sets(**TUMOUR), "brain")
    assert list(found) == [("one", "far"), ("two", "far")]
    assert external.metrics(found["two", "far"]) == external.metrics(
        external.predictions(table(LINES), TUMOUR)
    )
    assert external.read({"far": path}, sets(**TUMOUR), "other") == {}


def test_a_damaged_table_is_one_line_that_says_what_to_run(tmp_path):
    path = tmp_path / "far.csv"
    tables.write(path, table([("tumour", "glioma", "true", "much", (0.5, 0.2, 0.3, 0.0))]))
    with pytest.raises(OncovecError, match=r"far\.csv: damaged .*external@far"):
        external.read({"far": path}, sets(**TUMOUR), "brain")


def test_plots_have_every_set_and_the_whole_curve_and_no_rows_without_a_set():
    found = external.plotted({("one", "far"): external.predictions(table(LINES * 40), TUMOUR)}, 100, 0)
    assert set(found) == set(external.PLOTS)
    bars, curve = found["external"], found["risk_coverage"]
    assert bars["metric"].tolist() == list(external.PLOTTED)
    assert list(curve.columns) == ["system", *external.PLOTS["risk_coverage"]]
    assert len(curve) <= external.CURVE_POINTS and curve["coverage"].iloc[-1] == 1
    assert math.isclose(curve["risk"].iloc[-1], 0.5)
    assert all(not len(each) for each in external.plotted({}, 100, 0).values())


def test_what_is_known_of_a_system_on_other_collections_is_told_a_line_per_set(tmp_path):
    folder = tmp_path / "metrics/external"
    folder.mkdir(parents=True)
    one = {"n": 80, "coverage": 0.9, "wrong_and_answered": 0.25}
    for name, source in (("hospital", "local"), ("drawn", "phantom")):
        files.write_json(
            folder / f"{name}.json", {"source": source, "systems": {"one": one, "two": {"n": 0}}}
        )
    assert external.told(CheckoutParts("one", tmp_path)) == [
        "one on 80 drawn images of another collection (drawn): answered 0.90 of them, 0.25 of all wrongly",
        "one on 80 images of another collection (hospital): answered 0.90 of them, 0.25 of all wrongly",
    ]
    for name in ("two", "three"):
        assert external.told(CheckoutParts(name, tmp_path)) == [
            f"{name} has not been tried on images of another collection"
        ]


@pytest.mark.parametrize(
    "content", ["", "<<<<<<< HEAD\n{}\n", "{}", '{"source": "local", "systems": []}', "[]"]
)
def test_damaged_metrics_of_a_set_are_one_line(tmp_path, content):
    (tmp_path / "metrics/external").mkdir(parents=True)
    (tmp_path / "metrics/external/far.json").write_text(content)
    with pytest.raises(
        OncovecError, match=r"^\S+far\.json: damaged \(.*\); write it again \(`dvc repro`"
    ) as error:
        external.told(CheckoutParts("one", tmp_path))
    assert "\n" not in str(error.value)
