import csv
import io
import json
from dataclasses import replace

import pytest

from oncovec.serving import formats
from oncovec.serving.predict import Prediction

CLASSES = ["benign", "melanoma"]
GOOD = Prediction(
    'a, "b"/ä.png',
    "melanoma",
    0.75,
    {"benign": 0.25, "melanoma": 0.75},
    (("train/1.png", "melanoma", 0.1), ("train/2.png", "benign", 1 / 3)),
    prediction_set=("benign", "melanoma"),
)
SHORT = Prediction("c.png", "benign", 1.0, {"benign": 1.0, "melanoma": 0.0}, GOOD.neighbours)
STRANGE = replace(SHORT, predicted="", ood=True)
BAD = Prediction("damaged.png", error="truncated")


def rows(text):
    return list(csv.reader(io.StringIO(text)))


HEADER = [
    "path",
    "predicted",
    "probability",
    "p_benign",
    "p_melanoma",
    "neighbour_1",
    "distance_1",
    "neighbour_2",
    "distance_2",
    "prediction_set",
    "ood",
    "error",
]


@pytest.mark.parametrize("given", [[GOOD], [BAD, GOOD], [GOOD, BAD, SHORT]])
def test_csv_has_exactly_the_promised_columns_in_their_order(given):
    found = rows(formats.as_csv(given, CLASSES))
    assert found[0] == HEADER
    assert all(len(row) == len(HEADER) for row in found)


def test_csv_reads_back_as_the_answers():
    text = formats.as_csv([GOOD, BAD], CLASSES)
    first, second = csv.DictReader(io.StringIO(text))
    assert first["path"] == GOOD.path
    assert first["predicted"] == "melanoma"
    assert (float(first["probability"]), float(first["p_benign"])) == (0.75, 0.25)
    assert (first["neighbour_2"], float(first["distance_2"])) == ("train/2.png", 0.333333)
    assert (first["ood"], first["error"]) == ("false", "")
    assert first["prediction_set"] == "benign|melanoma"
    assert second["path"] == "damaged.png"
    assert second["error"] == "truncated"
    assert not any(second[name] for name in HEADER[1:-1])


@pytest.mark.parametrize("given", [[BAD], [BAD, BAD], []])
def test_csv_of_nothing_but_failures_keeps_the_columns_of_an_answer(given):
    header, *found = rows(formats.as_csv(given, CLASSES))
    assert header == [
        "path",
        "predicted",
        "probability",
        "p_benign",
        "p_melanoma",
        "prediction_set",
        "ood",
        "error",
    ]
    assert [row[-1] for row in found] == ["truncated"] * len(given)


def test_csv_names_the_true_class_after_the_path_where_it_is_known():
    header, first, second = rows(formats.as_csv([GOOD, BAD], CLASSES, ["benign", "melanoma"]))
    assert header == ["path", "label", *HEADER[1:]]
    assert (first[1], second[1]) == ("benign", "melanoma")


def test_json_parses_into_the_answers():
    first, second = json.loads(formats.as_json([GOOD, BAD], CLASSES))
    assert first == {
        "path": GOOD.path,
        "predicted": "melanoma",
        "probability": 0.75,
        "probabilities": {"benign": 0.25, "melanoma": 0.75},
        "neighbours": [
            {"image": "train/1.png", "label": "melanoma", "distance": 0.1},
            {"image": "train/2.png", "label": "benign", "distance": 0.333333},
        ],
        "prediction_set": ["benign", "melanoma"],
        "ood": False,
    }
    assert second == {"path": "damaged.png", "error": "truncated"}


def test_json_names_the_true_class_where_it_is_known():
    found = json.loads(formats.as_json([GOOD, BAD], CLASSES, ["benign", "melanoma"]))
    assert [item["label"] for item in found] == ["benign", "melanoma"]


@pytest.mark.parametrize("labels", [None, ["benign", "melanoma", "benign"]])
def test_table_is_aligned(labels):
    text = formats.as_table([GOOD, BAD, SHORT], CLASSES, labels)
    head, *lines = [line for line in text.splitlines() if not line.startswith("    ")][:4]
    columns = ["predicted", "probability", *(["true"] if labels else [])]
    assert head.split()[0] == "path"
    for column in columns:
        start = head.index(column)
        for line in lines:
            assert line[start - 2 : start] == "  "
            assert line[start] != " "


def test_table_shows_each_answer_and_each_reason():
    text = formats.as_table([GOOD, BAD], CLASSES)
    assert "melanoma   0.750\n    may be benign or melanoma\n    0.100  melanoma  " in text
    assert text.splitlines()[1] == formats.NEIGHBOURS
    assert text.count("\n    ") == 2 + len(GOOD.neighbours)
    assert "error: truncated" in text


def test_table_says_which_class_has_more_votes_than_the_one_at_the_operating_point():
    below = replace(
        GOOD, predicted="melanoma", probability=0.25, probabilities={"benign": 0.75, "melanoma": 0.25}
    )
    line = "    benign has more votes; the operating point decides"
    assert line in formats.as_table([below], ["benign", "melanoma"]).splitlines()
    assert line not in formats.as_table(
        [GOOD, replace(below, predicted="", ood=True)], ["benign", "melanoma"]
    )


def test_a_path_with_a_line_break_stays_on_its_line():
    odd = Prediction("fol\nder/x\r.png", error="its name has a line break")
    assert "fol\\nder/x\\r.png" in formats.as_table([odd], CLASSES).splitlines()[1]


def test_table_counts_images_that_were_most_likely_trained_on():
    seen = replace(GOOD, neighbours=(("train/1.png", "melanoma", 1e-6), *GOOD.neighbours[1:]))
    lines = formats.as_table([seen, GOOD, BAD], CLASSES).splitlines()
    assert lines[-1] == "1 of 3 images have the embedding of a training image"
    assert "embedding of" not in formats.as_table([GOOD, BAD], CLASSES)


def test_table_counts_what_is_right_where_the_truth_is_known():
    lines = formats.as_table([GOOD, BAD, SHORT], CLASSES, ["benign", "melanoma", "benign"]).splitlines()
    assert "benign (wrong)" in lines[2]
    assert [line.split()[-3:] for line in lines if "damaged.png" in line] == [
        ["error:", "truncated", "melanoma"]
    ]
    assert lines[-1] == "1 of 2 right", "what cannot be read is neither right nor wrong"


def test_an_image_without_a_label_is_not_counted():
    lines = formats.as_table([GOOD, SHORT, SHORT], CLASSES, ["melanoma", "", ""]).splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("c.png")] == ["-", "-"]
    assert lines[-1] == "1 of 1 right"


def test_an_image_out_of_distribution_gets_no_class_in_any_format():
    table = formats.as_table([STRANGE, GOOD], CLASSES, ["melanoma", "melanoma"]).splitlines()
    assert "unlike the training images (out of distribution)" in table[2]
    assert not {"1.000", "wrong", "benign"} & set(table[2].split())
    assert table[-1] == "1 of 2 right, 1 unlike the training images (out of distribution)"
    first = next(csv.DictReader(io.StringIO(formats.as_csv([STRANGE], CLASSES))))
    assert (first["predicted"], first["ood"], first["p_benign"]) == ("", "true", "1.0")
    item = json.loads(formats.as_json([STRANGE], CLASSES))[0]
    assert (item["predicted"], item["ood"], item["probabilities"]["benign"]) == ("", True, 1.0)


def test_every_format_of_the_command_line_is_here():
    assert set(formats.FORMATS) == {"table", "csv", "json"}
