import dataclasses

import numpy as np
import pytest
from synthetic import embeddings, kept_out

from oncovec.evaluation import few_shot, knn, plots
from oncovec.metrics import intervals
from oncovec.metrics.neighbours import vote

CLASSES = ("ant", "bee", "cat", "dog", "eel")
SPLITS = {"train": 150, "val": 25, "test": 50}
NEW = ("bee", "dog")
SEEN, UNSEEN = "balanced_accuracy_seen_only", "balanced_accuracy_few_shot_only"


def content_of(names=NEW, splits=SPLITS, noise=1.0):
    return kept_out(embeddings(CLASSES, splits=splits, noise=noise), names)


def recognised(content, k=7, splits=("val", "test"), replicates=100, seed=0):
    """Every metric found, by split, rule, number of examples and name."""
    found = few_shot.recognise(content, knn.fit(content, [k]), splits, replicates, seed)
    assert len({(each.split, each.rule, each.examples, each.metric) for each in found}) == len(found)
    return {(each.split, each.rule, each.examples, each.metric): each.found for each in found}


def named(content, split, rule, examples, k, only=False):
    """What one draw predicts for each image of a split, by a loop: (class, class named)."""
    old, new = content, content.few_shot
    labelled = [] if only else [(old.classes[old.labels[row]], old.vectors[row]) for row in old.rows("train")]
    labelled += [(new.classes[new.labels[row]], new.vectors[row]) for row in examples]
    found = []
    for each in (new,) if only else (old, new):
        for row in each.rows(split):
            query, votes = each.vectors[row].astype(np.float64), dict.fromkeys(CLASSES, 0.0)
            near = sorted(
                (np.linalg.norm(query - other.astype(np.float64)), name) for name, other in labelled
            )
            if rule == "knn":
                deviation = near[:k][-1][0] / 3
                for distance, name in near[:k]:
                    votes[name] += np.exp(-((distance / deviation) ** 2) / 2)
            else:
                for name in {name for name, _ in labelled}:
                    mean = np.mean(
                        [other for its, other in labelled if its == name], axis=0, dtype=np.float64
                    )
                    votes[name] = 9 - np.linalg.norm(query - mean / np.linalg.norm(mean))
            found.append((each.classes[each.labels[row]], max(votes, key=votes.get)))
    return found


def recall(pairs, classes):
    shares = [np.mean([actual == name for actual, name in pairs if actual == each]) for each in classes]
    return float(np.mean(shares))


@pytest.mark.parametrize("rule", few_shot.RULES)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 5), (20, 7)])
def test_metrics_are_the_means_over_draws_of_an_explicit_loop(rule, n, k, monkeypatch):
    monkeypatch.setattr(few_shot, "DRAWS", 3)
    content = content_of()
    found, draws = recognised(content, k=7), list(zip(*few_shot.orders(content.few_shot, 0), strict=True))
    for split in ("val", "test"):
        all_of_it = [
            named(content, split, rule, np.concatenate([rows[:n] for rows in draw]), k) for draw in draws
        ]
        alone = [
            named(content, split, rule, np.concatenate([rows[:n] for rows in draw]), k, only=True)
            for draw in draws
        ]
        without = [pair for pair in named(content, split, rule, [], k) if pair[0] not in NEW]
        expected = {
            "recall_seen": np.mean([recall(pairs, content.classes) for pairs in all_of_it]),
            "recall_few_shot": np.mean([recall(pairs, NEW) for pairs in all_of_it]),
            SEEN: recall(without, content.classes),
            UNSEEN: np.mean([recall(pairs, NEW) for pairs in alone]),
        }
        for metric, value in expected.items():
            assert found[split, rule, n, metric].value == pytest.approx(value), metric


def test_intervals_are_those_of_whole_groups_drawn_again(monkeypatch):
    monkeypatch.setattr(few_shot, "DRAWS", 2)
    content = content_of()
    rows = content.rows("test"), content.few_shot.rows("test")
    groups = [*content.groups[rows[0]], *content.few_shot.groups[rows[1]]]
    drawn = [
        named(content, "test", "knn", np.concatenate([order[draw, :5] for order in orders]), 5)
        for orders in [few_shot.orders(content.few_shot, 0)]
        for draw in range(2)
    ]
    for metric, classes in (("recall_seen", content.classes), ("recall_few_shot", NEW)):
        values = []
        for times in intervals.resample(groups, 100, 0).tolist():
            again = [
                [pair for pair, n in zip(pairs, times, strict=True) for _ in range(n)] for pairs in drawn
            ]
            there = [each for each in classes if any(actual == each for actual, _ in again[0])]
            if there:
                values.append(np.mean([recall(pairs, there) for pairs in again]))
        found = recognised(content, k=7)["test", "knn", 5, metric]
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, (0.025, 0.975))))


def test_clusters_that_lie_apart_are_recognised_by_one_example():
    found = recognised(content_of(noise=0.1))
    assert {key[1:3] for key in found} == {(rule, n) for rule in few_shot.RULES for n in (1, 5, 20)}
    for interval in found.values():
        assert interval.value == interval.high == 1 and 0.4 < interval.low < 1


def test_a_class_like_a_seen_one_is_hardly_recognised_and_takes_from_it():
    content = content_of(names=("eel",), noise=0.3)
    others = embeddings(CLASSES, splits=SPLITS, noise=0.3, seed=1)
    ants = dataclasses.replace(content.few_shot, vectors=others.vectors[others.labels == 0])
    found, apart = recognised(dataclasses.replace(content, few_shot=ants)), recognised(content)
    for split in ("val", "test"):
        assert found[split, "knn", 1, "recall_few_shot"].value < 0.3
        assert apart[split, "knn", 1, "recall_few_shot"].value > 0.9
        with_it, without = (found[split, "prototype", 20, metric].value for metric in ("recall_seen", SEEN))
        assert with_it < without - 0.05


def test_by_themselves_the_seen_classes_have_the_balanced_accuracy_of_the_nearest_of_the_gallery():
    content = content_of(noise=1.5)
    gallery, rows = knn.fit(content, [7]), content.rows("test")
    distances, near = gallery.neighbours(content.vectors[rows], 7)
    votes = vote(distances, gallery.labels[near], 3, distances[:, -1])
    right = votes.argmax(axis=1) == content.labels[rows]
    own = np.mean([right[content.labels[rows] == label].mean() for label in range(3)])
    assert recognised(content)["test", "knn", 20, SEEN].value == pytest.approx(own)


def test_examples_are_of_train_and_of_as_many_groups_as_there_are():
    content = content_of().few_shot
    groups = np.random.default_rng(0).choice(list("abcdef"), len(content.groups), p=[0.6, *[0.08] * 5])
    content = dataclasses.replace(content, groups=groups)
    for label, draws in enumerate(few_shot.orders(content, 0)):
        assert draws.shape == (few_shot.DRAWS, 20)
        train = content.rows("train")
        count = len(set(groups[train][content.labels[train] == label]))
        assert count > 3
        for order in draws:
            assert len(set(order)) == 20
            assert set(content.splits[order]) == {"train"} and set(content.labels[order]) == {label}
            for n in range(1, 20):
                assert len(set(groups[order[:n]])) == min(n, count)
        assert len({tuple(order[:5]) for order in draws}) > 10


def test_neither_labels_nor_vectors_of_other_splits_change_a_draw():
    content = content_of().few_shot
    labels, vectors = content.labels.copy(), content.vectors.copy()
    for split in ("val", "test"):
        rows = content.rows(split)
        labels[rows], vectors[rows] = 1 - labels[rows], 0
    poisoned = few_shot.orders(dataclasses.replace(content, labels=labels, vectors=vectors), 0)
    for draws, others, changed in zip(
        few_shot.orders(content, 0), poisoned, few_shot.orders(content, 1), strict=True
    ):
        assert np.array_equal(draws, others)
        assert not np.array_equal(draws, changed)


def test_what_needs_more_examples_than_there_are_is_left_out():
    few = recognised(content_of(splits={"train": 35, "val": 10, "test": 10}))
    assert {n for _, _, n, _ in few} == {1, 5}
    alone = recognised(content_of(names=("eel",)), splits=["val"])
    assert {metric for *_, metric in alone} == {"recall_seen", "recall_few_shot", SEEN}
    assert {split for split, *_ in alone} == {"val"}


def test_where_no_class_is_unseen_nothing_is_found():
    content = embeddings()
    found = few_shot.recognise(content, knn.fit(content, [5]), ["val", "test"], 100, 0)
    assert found == few_shot.scores(found) == [] and few_shot.headline(found, "test") == {}
    assert plots.few_shot(found).empty


def test_report_headline_and_plot_show_the_same_metrics():
    content = content_of()
    found = few_shot.recognise(content, knn.fit(content, [5]), ["val", "test"], 100, 0)
    rows = {row[:4]: row[4:] for row in few_shot.scores(found)}
    assert len(rows) == len(found) == 2 * 2 * 3 * 4
    headline = few_shot.headline(found, "test")
    assert list(headline) == ["recall_1", "recall_5", "recall_20"]
    table = plots.few_shot([each for each in found if each.split == "test"])
    columns, drawn = tuple(table.columns), list(table.itertuples(index=False, name=None))
    for examples, rule, metric, *numbers in drawn:
        assert list(rows["test", rule, f"few-shot n={examples}", metric]) == numbers
        assert 0 <= numbers[1] <= numbers[0] <= numbers[2] <= 1
        if (rule, metric) == ("knn", "recall_few_shot"):
            assert headline[f"recall_{examples}"] == numbers[0]
    assert len(drawn) == len(found) / 2 and len(columns) == 6
