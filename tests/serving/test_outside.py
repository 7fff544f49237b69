from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score
from synthetic import embeddings

from oncovec.evaluation import knn, predictions
from oncovec.metrics import classification, intervals
from oncovec.serving import outside
from oncovec.serving.named_files import Listed
from oncovec.serving.predict import Prediction

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}


def answered(gallery, vectors):
    """What a system predictions whose network gives these embeddings."""
    probabilities = gallery.probabilities(vectors)
    chosen = classification.predict(probabilities, gallery.thresholds)
    distances, rows = gallery.neighbours(vectors, 1)
    return [
        Prediction(
            f"{number}.png",
            "" if far else gallery.classes[best],
            float(row[best]),
            dict(zip(gallery.classes, map(float, row), strict=True)),
            ((str(gallery.images[near[0]]), gallery.classes[gallery.labels[near[0]]], float(distance[0])),),
            ood=bool(far),
        )
        for number, (row, best, near, distance, far) in enumerate(
            zip(probabilities, chosen, rows, distances, gallery.is_ood(vectors, chosen), strict=True)
        )
    ]


def asked(count=60, groups=True, **options):
    """A fitted gallery and its test split as images from elsewhere: listed, labels, predictions, output."""
    content = embeddings(noise=1.2, splits={"train": 60, "val": 40, "test": count}, **options)
    gallery = knn.fit(content, [5])
    rows = content.rows("test")
    images = [
        Listed(Path(f"{number}.png"), "", str(content.groups[row]) if groups else "")
        for number, row in enumerate(rows)
    ]
    labels = [content.classes[label] for label in content.labels[rows]]
    output = predictions.of_splits(content, gallery, ["test"])[0]
    return gallery, images, labels, answered(gallery, content.vectors[rows]), output


@pytest.mark.parametrize("task", [{}, BINARY])
@pytest.mark.parametrize("groups", [True, False])
def test_metrics_are_those_of_the_evaluation_with_the_intervals_of_groups_or_images(task, groups):
    gallery, images, labels, predictions, output = asked(groups=groups, **task)
    found = outside.evaluate(images, labels, predictions, gallery, 200, 3)
    names = [image.group for image in images] if groups else [str(image.path) for image in images]
    weights = intervals.resample(names, 200, 3)
    expected = intervals.with_intervals(
        output.labels, output.probabilities, output.predicted, output.positive_index, weights
    )
    assert found.values == expected
    assert ("sensitivity" in found.values) == bool(task)
    assert (found.unit, found.groups) == (("group", 30) if groups else ("image", 60))
    assert (found.images, found.unreadable, found.unlabelled) == (60, 0, 0)


@pytest.mark.parametrize("task", [{}, BINARY])
def test_recall_is_scikit_learns_and_has_its_images(task):
    gallery, images, labels, predictions, output = asked(**task)
    found = outside.evaluate(images, labels, predictions, gallery, 10, 0)
    expected = recall_score(output.labels, output.predicted, average=None)
    assert [recall for recall, _ in found.recall.values()] == pytest.approx(expected.tolist())
    assert list(found.recall) == list(gallery.classes)
    assert {name: count for name, (_, count) in found.recall.items()} == {
        name: labels.count(name) for name in gallery.classes
    }


def test_a_class_without_images_has_no_recall():
    gallery, images, labels, predictions, _ = asked()
    kept = [i for i, label in enumerate(labels) if label != "bee"]
    found = outside.evaluate(
        *([each[i] for i in kept] for each in (images, labels, predictions)), gallery, 10, 0
    )
    assert list(found.recall) == ["ant", "cat"]


def test_what_has_no_label_or_cannot_be_read_is_left_out_and_counted():
    gallery, images, labels, predictions, _ = asked()
    holes, broken = labels.copy(), predictions.copy()
    for i in (0, 1, 2):
        holes[i] = ""
    for i in (2, 30, 31, 32):
        broken[i] = Prediction(f"{i}.png", error="truncated")
    found = outside.evaluate(images, holes, broken, gallery, 50, 0)
    assert (found.images, found.unreadable, found.unlabelled) == (54, 4, 2)
    kept = [i for i in range(60) if i not in (0, 1, 2, 30, 31, 32)]
    alone = outside.evaluate(
        *([each[i] for i in kept] for each in (images, labels, predictions)), gallery, 50, 0
    )
    assert found == replace(alone, unreadable=4, unlabelled=2)


def test_an_image_named_twice_is_judged_once():
    gallery, images, labels, predictions, _ = asked()
    again = [replace(images[3], path=Path("x/../3.png")), images[7]]
    found = outside.evaluate(
        [*images, *again],
        [*labels, labels[3], labels[7]],
        [*predictions, predictions[3], predictions[7]],
        gallery,
        50,
        0,
    )
    assert found == replace(outside.evaluate(images, labels, predictions, gallery, 50, 0), repeated=2)
    assert "2 named before" in outside.as_text(found)


def test_images_of_the_gallery_are_counted_and_told():
    gallery, images, labels, predictions, _ = asked()
    assert "too good" not in outside.as_text(outside.evaluate(images, labels, predictions, gallery, 50, 0))
    trained = answered(gallery, gallery.embeddings[:2])
    found = outside.evaluate(images, labels, [*trained, *predictions[2:]], gallery, 50, 0)
    assert found.trained_on == 2
    assert "2 of 60 images lie on a training image" in outside.as_text(found)


def test_images_out_of_distribution_count_by_their_vote_and_are_counted():
    gallery, images, labels, predictions, output = asked()
    plain = outside.evaluate(images, labels, predictions, gallery, 50, 0)
    strict = [replace(each, predicted="", ood=True) if i % 3 else each for i, each in enumerate(predictions)]
    found = outside.evaluate(images, labels, strict, gallery, 50, 0)
    assert found.values == plain.values and found.recall == plain.recall
    assert found.values["balanced_accuracy"].value == pytest.approx(
        balanced_accuracy_score(output.labels, output.predicted)
    )
    assert found.ood == sum(prediction.ood for prediction in strict) >= 40
    assert found.refused == found.ood / 60 > plain.refused


def test_the_operating_point_decides_where_the_task_is_binary():
    gallery, images, labels, predictions, _ = asked(**BINARY)
    all_positive = outside.evaluate(
        images, labels, predictions, replace(gallery, thresholds=np.array([0.0, np.nan])), 10, 0
    )
    assert {name: recall for name, (recall, _) in all_positive.recall.items()} == {
        "benign": 0,
        "malignant": 1,
    }
    none = outside.evaluate(
        images, labels, predictions, replace(gallery, thresholds=np.array([1.1, np.nan])), 10, 0
    )
    assert none.values["sensitivity"].value == 0 and none.values["specificity"].value == 1


def test_images_without_a_group_are_groups_of_their_own_whatever_groups_are_called():
    gallery, images, labels, predictions, _ = asked(count=6)
    named = [replace(image, group="") for image in images]
    named[0] = replace(named[0], group="1.png")
    named[2] = replace(named[2], group="1.png")
    found = outside.evaluate(named, labels, predictions, gallery, 10, 0)
    assert (found.unit, found.groups) == ("group", 5)
    twice = outside.evaluate([images[0]] * 6, labels, predictions, gallery, 10, 0)
    assert twice.groups == 1
    assert {(each.low, each.high) for each in twice.values.values()} == {(0.0, 1.0)}


def test_the_text_has_a_line_a_figure_and_says_what_was_drawn():
    gallery, images, labels, predictions, _ = asked(**BINARY)
    predictions[0] = replace(predictions[0], error="truncated")
    found = outside.evaluate(images, [*labels[:-1], ""], predictions, gallery, 100, 0)
    first, head, *lines, few = outside.as_text(found).splitlines()
    assert first == "images judged: 58; left out: 1 that could not be read, 1 without a label"
    assert head.strip() == "value   95 % interval, by 30 groups"
    names = [*found.values, "recall of benign", "recall of malignant", "refused"]
    assert [line.split("  ")[0] for line in lines] == names
    auroc = found.values["auroc"]
    row = next(line for line in lines if line.startswith("auroc "))
    assert row.split() == f"auroc {auroc.value:.4f} {auroc.low:.4f} to {auroc.high:.4f}".split()
    assert few == intervals.warning(29)
    assert lines[-1].endswith(
        f"  {found.ood} of 58 images are unlike the training images (out of distribution); "
        "above they count with their class"
    )


def test_few_groups_are_warned_of():
    gallery, images, labels, predictions, _ = asked(count=58)
    found = outside.evaluate(images, labels, predictions, gallery, 10, 0)
    assert outside.as_text(found).splitlines()[-1] == intervals.warning(found.fewest_groups)
    gallery, images, labels, predictions, _ = asked(count=180)
    assert "too narrow" not in outside.as_text(outside.evaluate(images, labels, predictions, gallery, 10, 0))


def test_nothing_to_judge_is_one_line():
    gallery, images, _, predictions, _ = asked(count=3)
    found = outside.evaluate(images, ["", "", ""], predictions, gallery, 10, 0)
    assert outside.as_text(found) == "images judged: 0; left out: 0 that could not be read, 3 without a label"
    assert (found.values, found.recall, found.refused) == ({}, {}, 0.0)
