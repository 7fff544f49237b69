from dataclasses import replace

import numpy as np
import pytest
from synthetic import embeddings

from oncovec.evaluation import knn, predictions, scores, subsets
from oncovec.metrics import intervals

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}
NONE = subsets.Parts({}, {}, {})


def scored(content, parts=NONE, splits=("val", "test"), baselines=(), replicates=200, seed=0):
    outputs = predictions.of_splits(content, knn.fit(content, [5]), splits)
    rivals = [
        replace(each, model=name)
        for name, rival in dict(baselines).items()
        for each in predictions.of_splits(rival, knn.fit(rival, [5]), splits)
        if each.model == "knn"
    ]
    found, comparisons = scores.score(outputs, rivals, content.groups, parts, replicates, seed)
    rows = {row[:4]: row[4:] for row in found}
    assert len(rows) == len(found)
    return outputs, rows, comparisons


def metrics(each, groups, weights=None, seed=0):
    weights = intervals.resample(groups[each.rows], 200, seed) if weights is None else weights
    return intervals.with_intervals(
        each.labels, each.probabilities, each.predicted, each.positive_index, weights
    )


def figures_of(each, *args, **kwargs):
    """Of one output as `shown` gives them, from the bootstrap itself."""
    found = metrics(each, *args, **kwargs)
    return {name: (interval.value, interval.low, interval.high) for name, interval in found.items()}


def same(found, expected):
    assert list(found) == list(expected)
    return np.array(list(found.values())) == pytest.approx(np.array(list(expected.values())))


def shown(rows, split, model, subset):
    """Metrics of one place, without the counts."""
    place = {key[3]: value for key, value in rows.items() if key[:3] == (split, model, subset)}
    return {name: value for name, value in place.items() if value[1] is not None}


@pytest.mark.parametrize("options", [{"noise": 1.5}, {"noise": 1.5, "head": True, **BINARY}])
def test_every_split_and_model_has_its_metrics_with_the_intervals_of_the_bootstrap(options):
    content = embeddings(**options)
    outputs, rows, _ = scored(content)
    for each in outputs:
        assert rows[each.split, each.model, "all", "images"] == (30, None, None)
        assert rows[each.split, each.model, "all", "groups"] == (15, None, None)
        fewest = intervals.fewest(each.labels, content.groups[each.rows])
        assert rows[each.split, each.model, "all", "fewest_groups"] == (fewest, None, None)
        expected = figures_of(each, content.groups)
        found = shown(rows, each.split, each.model, "all")
        assert same({name: value for name, value in found.items() if name in expected}, expected)
        assert {name: expected[name][0] for name in each.metrics()} == pytest.approx(each.metrics())


def test_a_subset_has_the_metrics_of_its_images_and_their_columns_of_the_replicates():
    content = embeddings(noise=1.5, **BINARY)
    organ = np.array(["lung", "skin", "", "eye"])[np.arange(len(content.labels)) // 2 % 4]
    outputs, rows, _ = scored(content, subsets.Parts({}, {"organ": organ}, {}))
    for each in outputs:
        weights = intervals.resample(content.groups[each.rows], 200, 0)
        for name in ("lung", "skin", "eye"):
            inside = np.flatnonzero(organ[each.rows] == name)
            expected = figures_of(each.only(inside), content.groups, weights[:, inside])
            assert same(shown(rows, each.split, "knn", f"organ={name}"), expected)
            assert rows[each.split, "knn", f"organ={name}", "images"][0] == len(inside)
    assert {key[2] for key in rows} == {"all", "organ=lung", "organ=skin", "organ=eye"}


def test_what_a_subset_leaves_undefined_is_left_out():
    content = embeddings(**BINARY)
    only = np.where(content.labels == 1, "sick", "well")
    _, rows, _ = scored(content, subsets.Parts({}, {"kind": only}, {}))
    assert "auroc" not in shown(rows, "test", "knn", "kind=sick")
    assert "sensitivity" in shown(rows, "test", "knn", "kind=sick")
    assert "sensitivity" not in shown(rows, "test", "knn", "kind=well")


def organs(content):
    """Three organs; the last one has positives alone."""
    turns = np.arange(len(content.labels)) // 2 % 3
    return np.where((content.labels == 1) & (turns == 2), "brain", np.array(["lung", "skin", "skin"])[turns])


def test_the_mean_over_organs_is_that_of_organs_with_both_classes():
    content = embeddings(noise=1.5, **BINARY)
    _, rows, _ = scored(content, subsets.Parts({"organ": organs(content)}, {}, {}))
    for split in ("val", "test"):
        assert (split, "knn", "organ=brain", "sensitivity") in rows
        for name, (value, low, high) in shown(rows, split, "knn", "mean over organ").items():
            parts = [rows[split, "knn", f"organ={organ}", name][0] for organ in ("lung", "skin")]
            assert value == pytest.approx(np.mean(parts))
            assert low <= value <= high
        counts = [rows[split, "knn", f"organ={organ}", "images"][0] for organ in ("lung", "skin")]
        assert rows[split, "knn", "mean over organ", "images"][0] == sum(counts)


def test_the_mean_s_interval_is_that_of_the_means_of_the_replicates():
    content = embeddings(noise=1.2, **BINARY)
    organ = organs(content)
    (each,), rows, _ = scored(content, subsets.Parts({"organ": organ}, {}, {}), ["test"])
    weights = intervals.resample(content.groups[each.rows], 200, 0)
    inside = [np.flatnonzero(organ[each.rows] == name) for name in ("lung", "skin")]
    means = []
    for replicate in weights:
        accuracies = []
        for places in inside:
            drawn = np.repeat(places, replicate[places])
            if len(drawn):
                accuracies.append(np.mean(each.labels[drawn] == each.predicted[drawn]))
        means.append(np.mean(accuracies))
    low, high = np.quantile(means, [0.025, 0.975])
    assert rows["test", "knn", "mean over organ", "accuracy"][1:] == pytest.approx((low, high))


def test_an_organ_that_gives_the_label_away_shows_in_the_difference_of_all_and_within():
    content = embeddings(noise=0.1, **BINARY)
    both = np.arange(len(content.labels)) // 2 % 5 == 0  # of the only organ with both classes
    organ = np.where(both, "skin", np.where(content.labels == 1, "brain", "blood"))
    blind = content.vectors.copy()
    blind[both] = np.eye(20, dtype=np.float32)[10]  # in which the embedding sees nothing
    parts = subsets.Parts({"organ": organ}, {}, {})
    _, rows, _ = scored(replace(content, vectors=blind), parts, ["test"])
    assert rows["test", "knn", "all", "balanced_accuracy"][0] > 0.85
    assert rows["test", "knn", "mean over organ", "balanced_accuracy"][0] == 0.5


def test_units_have_their_own_metrics_and_the_replicates_of_their_groups():
    content = embeddings(noise=2.5, **BINARY)
    patients = np.array([f"p{number // 4}{label}" for number, label in enumerate(content.labels)])
    patients[content.rows("test")[:1]] = ""
    groups = np.array([f"g{number // 4}" for number in range(len(patients))])
    content = replace(content, groups=groups)
    (each,), rows, _ = scored(content, subsets.Parts({}, {}, {"patient": patients}), ["test"])
    whole, first, _ = subsets.whole(each, patients[each.rows])
    weights = intervals.resample(groups[each.rows], 200, 0)[:, first]
    assert same(shown(rows, "test", "knn", "per patient"), figures_of(whole, groups, weights))
    counts = {name: rows["test", "knn", "per patient", name][0] for name in ("units", "images", "groups")}
    assert counts == {"units": len(set(patients[each.rows].tolist()) - {""}), "images": 29, "groups": 8}


@pytest.mark.parametrize(("mixed", "shown_at_all"), [(5, True), (6, False)])
def test_units_are_left_out_with_all_their_metrics_once_most_of_them_have_two_labels(mixed, shown_at_all):
    content = embeddings()
    units = np.array([f"u{number}" for number in range(len(content.labels))])
    test = content.rows("test")
    for number in range(mixed):  # two images of different classes; 5 other units have one image each
        units[test[2 * number : 2 * number + 2]] = f"m{number}"
    units[test[2 * mixed + 5 :]] = ""
    _, rows, _ = scored(content, subsets.Parts({}, {}, {"lesion": units}), ["test"])
    place = ("test", "knn", "per lesion")
    found = {key[3]: value[0] for key, value in rows.items() if key[:3] == place}
    assert bool(found) is shown_at_all
    if found:
        assert (found["units"], found["units_left_out"], found["images"]) == (5, 5, 5)


def test_no_unit_of_a_binary_task_is_left_out():
    content = embeddings(**BINARY)
    pairs = np.array([f"p{number // 2}" for number in range(len(content.labels))])
    _, rows, _ = scored(content, subsets.Parts({}, {}, {"patient": pairs}), ["test"])
    place = ("test", "knn", "per patient")
    assert [rows[*place, name][0] for name in ("units", "units_left_out", "images")] == [15, 0, 30]


def test_a_unit_that_is_known_of_no_image_of_a_split_has_no_rows_there():
    content = embeddings(**BINARY)
    known = np.where(content.splits == "val", content.images, "")
    _, rows, _ = scored(content, subsets.Parts({}, {}, {"lesion": known}))
    assert {key[0] for key in rows if key[2] == "per lesion"} == {"val"}


def test_a_system_is_compared_with_the_best_baseline_of_the_split_image_by_image():
    content = embeddings(noise=1.5)
    rivals = {"weak": embeddings(noise=9), "strong": embeddings(noise=1.2, seed=3)}
    outputs, rows, comparisons = scored(content, baselines=rivals)
    assert [(each.split, each.model, each.baseline) for each in comparisons] == [
        ("val", "knn", "strong"),
        ("test", "knn", "strong"),
    ]
    rival = predictions.of_splits(rivals["strong"], knn.fit(rivals["strong"], [5]), ["test"])[0]
    each = outputs[-1]
    expected = intervals.difference(
        (rival.probabilities, rival.predicted),
        (each.probabilities, each.predicted),
        each.labels,
        None,
        intervals.resample(content.groups[each.rows], 200, 0),
    )
    for metric in ("balanced_accuracy", "auroc"):
        found, paired = rows["test", "knn", "all", f"{metric}_over_strong"], expected[metric]
        assert found == pytest.approx((paired.value, paired.low, paired.high))


@pytest.mark.parametrize(("noise", "beats"), [(9, True), (1.1, False), (0.1, False)])
def test_only_a_difference_that_is_surely_above_nothing_beats(noise, beats):
    content = embeddings(noise=1.1)
    _, rows, (found,) = scored(content, splits=["test"], baselines={"rival": embeddings(noise=noise, seed=4)})
    assert found.beats is beats
    assert rows["test", "knn", "all", "beats_baseline"] == (int(beats), None, None)
    assert ("beats rival" if beats else "is not shown to beat rival") in str(found)


def test_a_system_that_is_better_by_chance_does_not_beat():
    over = intervals.Interval(0.1, -0.02, 0.2)
    found = scores.BaselineComparison("test", "knn", "thumbnail", 0.5, 0.4, over)
    assert not found.beats
    assert str(found) == (
        "KNN is not shown to beat thumbnail on test: balanced accuracy 0.500 against 0.400, "
        "difference +0.100 (-0.020 to +0.200)"
    )


def test_baselines_have_rows_of_their_own_within_labels_but_not_of_people():
    content = embeddings(noise=1.5, **BINARY)
    sexes = np.array(["f", "m"])[np.arange(len(content.labels)) // 2 % 2]
    parts = subsets.Parts({"organ": organs(content)}, {"sex": sexes}, {})
    _, rows, _ = scored(content, parts, baselines={"thumbnail": embeddings(noise=3, seed=2, **BINARY)})
    assert shown(rows, "test", "thumbnail", "all") and shown(rows, "test", "thumbnail", "mean over organ")
    assert not shown(rows, "test", "thumbnail", "sex=f") and shown(rows, "test", "knn", "sex=f")
    assert not [key for key in rows if key[1] == "thumbnail" and "_over_" in key[3]]


def test_a_split_without_images_has_no_metrics():
    content = embeddings(splits={"train": 20, "val": 0, "test": 9})
    _, rows, comparisons = scored(content, baselines={"rival": content})
    assert {key[3]: value[0] for key, value in rows.items() if key[0] == "val"} == {
        "images": 0,
        "groups": 0,
        "fewest_groups": 0,
    }
    assert [each.split for each in comparisons] == ["test"]


def test_the_same_images_in_another_order_have_the_same_scores():
    content = embeddings(noise=1.5, **BINARY)
    order = np.random.default_rng(1).permutation(len(content.labels))
    fields = ("images", "splits", "groups", "labels", "vectors")
    turned = replace(content, **{name: getattr(content, name)[order] for name in fields})
    outputs = predictions.of_splits(content, knn.fit(content, [5]), ["test"])
    place = {image: number for number, image in enumerate(turned.images.tolist())}
    moved = np.argsort([place[image] for image in content.images[outputs[0].rows].tolist()])
    other = replace(outputs[0].only(moved), rows=turned.rows("test"))
    one, _ = scores.score(outputs, [], content.groups, NONE, 100, 0)
    two, _ = scores.score([other], [], turned.groups, NONE, 100, 0)
    assert [row[:4] for row in one] == [row[:4] for row in two]
    for a, b in zip(one, two, strict=True):
        assert a[4:] == pytest.approx(b[4:])


def test_refused_images_and_prediction_sets_are_counted_on_every_split_with_intervals_of_groups():
    content = embeddings(noise=0.4, splits={"train": 60, "val": 600, "test": 40})
    # Every fourth test image, with its group of two, is turned away from all classes.
    away = content.rows("test").reshape(-1, 2)[::4].ravel()
    content.vectors[away] = -content.vectors[away]
    gallery = knn.fit(content, [5], coverage=0.99)
    outputs = predictions.of_splits(content, gallery, ["val", "test"])
    rows = scores.answers(outputs, gallery, content, 300, 7)
    assert [row[:4] for row in rows] == [
        (split, "knn", "all", name)
        for split in ("val", "test")
        for name in ("ood_share", "set_coverage", "set_size")
    ]
    test, found = content.rows("test"), {row[3]: row[4:] for row in rows[3:]}
    predicted = outputs[1].predicted
    ood = gallery.is_ood(content.vectors[test], predicted)
    sets = gallery.prediction_sets(content.vectors[test], predicted)
    weights = intervals.resample(content.groups[test], 300, 7)
    drawn = [np.average(ood, weights=row) for row in weights]
    value, low, high = found["ood_share"]
    assert value == ood.mean() >= len(away) / 40
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    held = sets[np.arange(len(test)), content.labels[test]]
    assert (found["set_coverage"][0], found["set_size"][0]) == (held.mean(), sets.sum(axis=1).mean())
    assert rows[1][4] >= 0.95, "the promise for the images on which it was calibrated"


def test_a_split_without_images_has_no_answers():
    content = embeddings(splits={"train": 20, "val": 9, "test": 0})
    gallery = knn.fit(content, [1])
    outputs = predictions.of_splits(content, gallery, ["val", "test"])
    assert {row[0] for row in scores.answers(outputs, gallery, content, 100, 0)} == {"val"}
