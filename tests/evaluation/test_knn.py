import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from synthetic import assert_same, embeddings, write

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.data import embeddings as table
from oncovec.evaluation import knn
from oncovec.evaluation.gallery import OPTIONAL, Gallery
from oncovec.metrics import calibration, conformal
from oncovec.metrics.classification import predict

BINARY = {"classes": ("benign", "malignant"), "positive": "malignant"}

NOISE = {1: 2.0, 3: 0.6, 5: 0.5, 9: 0.55, 15: 0.6, 50: 1.0, 150: 1.5}
"""Of the scores that a k gives, in distances between the classes: the best is in the middle."""


def replaced_labels(content, split, seed=1):
    labels = content.labels.copy()
    rows = content.rows(split)
    labels[rows] = np.random.default_rng(seed).permutation(labels[rows])
    return dataclasses.replace(content, labels=labels)


def test_gallery_holds_the_train_split_and_nothing_else():
    content = embeddings()
    gallery = knn.fit(content, [3])
    train = content.rows("train")
    assert gallery.images.tolist() == content.images[train].tolist()
    assert np.array_equal(gallery.embeddings, content.vectors[train])
    assert np.array_equal(gallery.labels, content.labels[train])


@pytest.mark.parametrize("task", [{}, BINARY])
def test_poisoned_test_labels_change_no_fit(task):
    content = embeddings(head=True, **task)
    assert_same(knn.fit(content, [1, 3, 5, 9]), knn.fit(replaced_labels(content, "test"), [1, 3, 5, 9]))


def test_poisoned_val_labels_change_nothing_but_the_choices():
    content = embeddings(head=True, **BINARY)
    fitted, poisoned = (knn.fit(each, [1, 3, 5, 9]) for each in (content, replaced_labels(content, "val")))
    assert_same(fitted, poisoned, but=("k", "ood_limit", "set_threshold", "thresholds", *OPTIONAL))
    assert fitted.thresholds[0] != poisoned.thresholds[0]
    assert fitted.temperature != poisoned.temperature


def test_test_vectors_change_no_fit():
    content = embeddings(head=True, **BINARY)
    vectors = content.vectors.copy()
    vectors[content.rows("test")] = 1 / np.sqrt(20)
    assert_same(knn.fit(content, [1, 5]), knn.fit(dataclasses.replace(content, vectors=vectors), [1, 5]))


def test_k_is_the_smallest_of_best_balanced_accuracy_on_val():
    content = embeddings(noise=1.5, splits={"train": 150, "val": 90, "test": 30})
    candidates = [23, 1, 5, 3, 15]
    val = content.rows("val")
    scores = {}
    for k in sorted(candidates):
        predicted = knn.fit(content, [k]).probabilities(content.vectors[val]).argmax(axis=1)
        scores[k] = round(balanced_accuracy_score(content.labels[val], predicted), 12)
    assert len(set(scores.values())) > 1
    assert knn.fit(content, candidates).k == min(k for k in scores if scores[k] == max(scores.values()))
    assert knn.fit(embeddings(noise=0.0), [7, 3, 5]).k == 3


def test_in_a_binary_task_k_is_the_largest_within_a_standard_error_of_the_best_auroc():
    random = np.random.default_rng(0)
    labels, groups = np.tile([0, 1, 0, 1, 1], 24), np.repeat([f"patient {n}" for n in range(24)], 5)
    noise = random.normal(0, 1, 120) + np.repeat(random.normal(0, 1, 24), 5)
    scores = {k: labels + scale * noise for k, scale in NOISE.items()}
    areas = {k: roc_auc_score(labels, score) for k, score in scores.items()}
    best = max(areas, key=areas.get)
    without = [roc_auc_score(labels[groups != g], scores[best][groups != g]) for g in np.unique(groups)]
    error = np.sqrt((len(without) - 1) / len(without) * np.sum((without - np.mean(without)) ** 2))
    good = [k for k, area in areas.items() if area >= areas[best] - error]
    assert min(areas) < min(good) <= best < max(good) < max(areas), "the case should tell the rule"
    votes = {k: np.stack([-score, score], axis=1) for k, score in reversed(scores.items())}
    assert knn.choose(labels, groups, votes, 1) == max(good)
    assert knn.fit(embeddings(noise=0.0, **BINARY), [7, 3, 5]).k == 7


def test_k_is_the_smallest_where_val_has_one_class():
    content = embeddings(**BINARY)
    val = content.rows("val")
    splits = content.splits.copy()
    splits[val[content.labels[val] == 1]] = "test"
    assert knn.fit(dataclasses.replace(content, splits=splits), [5, 3, 9]).k == 3


def test_the_standard_error_leaves_out_whole_groups():
    labels, areas = np.array([0, 1] * 20), np.random.default_rng(0).random(40)
    votes = {k: np.stack([1 - areas, areas], axis=1) for k in (1, 9)}
    votes[9] = votes[9].copy()
    votes[9][:, 1] -= 0.3 * (labels == 1) * (np.arange(40) < 4)
    one, each = np.array(["a"] * 40), np.array([f"g{n:02}" for n in range(40)])
    assert knn.choose(labels, one, votes, 1) == 1, "one group tells nothing of an error"
    assert knn.choose(labels, each, votes, 1) == 9


def test_the_standard_error_does_not_depend_on_how_many_groups_are_left_out_at_a_time(monkeypatch):
    generator = np.random.default_rng(0)
    is_positive, probability = generator.random(60) < 0.4, generator.random(60)
    groups = np.array([f"g{n // 2:02}" for n in range(60)])
    areas = [
        knn.Ranking(probability[kept], is_positive[kept]).of_images()["auroc"]
        for kept in (groups != name for name in np.unique(groups))
    ]
    expected = np.sqrt(29 * np.var(areas))
    for cells in (1, 60 * 7, 2**19):
        monkeypatch.setattr(knn, "CELLS", cells)
        assert knn._standard_error(is_positive, probability, groups) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("images", "kept"),
    [
        (1, [1]),
        (2, [1]),
        (70, [1, 5, 15]),
        (624, [1, 5, 15]),
        (625, [1, 5, 15, 50]),
        (5625, [1, 5, 15, 50, 150]),
    ],
)
def test_candidates_end_at_twice_the_root_of_the_training_images(images, kept):
    assert knn.few_enough([150, 1, 5, 15, 50, 5], images) == kept


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.integers(1, 10_000))
def test_one_candidate_is_left_at_least_and_none_is_larger_than_the_gallery(candidates, images):
    if min(candidates) > images:
        with pytest.raises(OncovecError, match=r"knn\.k"):
            knn.few_enough(candidates, images)
    else:
        kept = knn.few_enough(candidates, images)
        assert kept == sorted(
            {k for k in candidates if k * k <= 4 * images and k <= images} | {min(candidates)}
        )


def test_in_a_binary_task_the_votes_of_most_training_images_are_no_neighbours():
    content = embeddings(noise=2, splits={"train": 100, "val": 60, "test": 0}, **BINARY)
    assert knn.fit(content, [80]).k == 80
    assert knn.fit(content, [1, 5, 15, 80]).k == 15


def test_a_single_k_is_taken_whatever_the_number_of_images():
    content = embeddings()
    assert knn.fit(content, [60]).k == knn.fit(content, [60, 60]).k == 60
    assert knn.fit(content, [3, 1000]).k == 3
    with pytest.raises(OncovecError, match=r"knn\.k.*1000.*60"):
        knn.fit(content, [1000])
    with pytest.raises(OncovecError, match=r"knn\.k.*a gallery of 0 training images"):
        knn.fit(embeddings(splits={"train": 0, "val": 4, "test": 4}), [1])


def test_a_class_without_gallery_images_keeps_its_column():
    content = embeddings()
    splits = np.where((content.splits == "train") & (content.labels == 1), "left out", content.splits)
    probabilities = knn.fit(dataclasses.replace(content, splits=splits), [5]).probabilities(content.vectors)
    assert probabilities.shape == (120, 3)
    assert (probabilities[:, 1] == 0).all()
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_threshold_has_the_best_balanced_accuracy_of_all_thresholds():
    generator = np.random.default_rng(3)
    for _ in range(20):
        positive = generator.random(40) < 0.2
        positive[:2] = True, False
        probability = generator.integers(0, 8, 40) / 7
        chosen = knn.operating_point(positive, probability)
        scores = [balanced_accuracy_score(positive, probability >= t) for t in np.linspace(-0.05, 1.05, 23)]
        assert np.isclose(balanced_accuracy_score(positive, probability >= chosen), max(scores))


def test_threshold_is_the_largest_that_reaches_the_sensitivity():
    generator = np.random.default_rng(4)
    for wanted in (0.5, 0.8, 0.95, 1.0):
        positive = generator.random(60) < 0.3
        probability = generator.integers(0, 20, 60) / 19
        chosen = knn.operating_point(positive, probability, wanted)
        assert (probability[positive] >= chosen).mean() >= wanted
        above = probability[probability > chosen].min(initial=2)
        assert (probability[positive] > above).mean() < wanted


def test_threshold_of_separable_classes_lies_between_them():
    assert knn.operating_point(np.array([False, False, True]), np.array([0.1, 0.3, 0.9])) == pytest.approx(
        0.6
    )


def test_threshold_is_a_half_where_val_cannot_choose_it():
    assert knn.operating_point(np.array([True, True]), np.array([0.1, 0.2])) == 0.5
    splits = {"train": 20, "val": 0, "test": 4}
    gallery = knn.fit(embeddings(splits=splits, **BINARY), [5, 3])
    assert (gallery.k, gallery.thresholds[0]) == (3, 0.5)


def test_head_has_an_operating_point_of_its_own():
    content = embeddings(head=True, **BINARY)
    gallery = knn.fit(content, [5])
    val = content.rows("val")
    expected = knn.operating_point(content.labels[val] == 1, content.head[val, 1])
    assert gallery.head_thresholds[0] == pytest.approx(expected) != gallery.thresholds[0]
    assert predict(content.head[val], gallery.head_thresholds).tolist() == (
        (content.head[val, 1] >= expected).astype(int).tolist()
    )


@pytest.mark.parametrize("options", [{}, {"specificity": 0.9}])
def test_without_a_positive_class_or_normal_classes_the_likeliest_class_is_predicted(options):
    content = embeddings(head=True)
    gallery = knn.fit(content, [5], **options)
    assert np.isnan([gallery.thresholds, gallery.head_thresholds]).all()
    assert predict(content.head, gallery.head_thresholds).tolist() == content.head.argmax(axis=1).tolist()
    without = knn.fit(dataclasses.replace(content, normal=("ant",)), [5])
    assert np.isnan([without.thresholds, without.head_thresholds]).all()


def test_of_new_normal_images_the_wanted_share_stays_normal_and_more_sick_ones_are_found():
    sizes = {"train": 300, "val": 1200, "test": 30000}
    content = dataclasses.replace(embeddings(noise=1.2, splits=sizes), normal=("ant", "bee"))
    test = content.rows("test")
    labels = content.labels[test]
    predicted = {}
    for wanted in (None, 0.9, 0.7):
        gallery = knn.fit(content, [15], specificity=wanted)
        predicted[wanted] = predict(gallery.probabilities(content.vectors[test]), gallery.thresholds)
        stays = (predicted[wanted] != 2)[labels == 0].mean()
        assert wanted is None or stays == pytest.approx(wanted, abs=0.03)
    found = [(predicted[wanted] == 2)[labels == 2].mean() for wanted in (None, 0.9, 0.7)]
    assert found == sorted(found) and found[2] > found[0] + 0.05
    # An image that stays normal keeps its likeliest normal class.
    both = (predicted[None] != 2) & (predicted[0.7] != 2)
    assert (predicted[None] == predicted[0.7])[both].all()


@pytest.mark.parametrize(
    ("of_disease", "specificity", "expected"),
    [
        ([], 0.9, 0.5),
        (np.arange(8) / 100, 0.9, 0.5),  # too few for the rank
        (np.arange(9) / 100, 0.9, math.sqrt(0.08 * 0.5)),
        (np.arange(19) / 100, 0.9, math.sqrt(0.17 * 0.18)),  # between rank 18 and rank 19
        ([0.9] * 20, 0.9, 0.5),
        ([0.0] * 30, 0.5, 1e-12),
        ([1e-9, 1e-5, 0.3], 0.5, math.sqrt(1e-5 * 0.3)),
    ],
)
def test_the_threshold_of_a_normal_class_follows_the_wanted_rank_and_is_at_most_a_half(
    of_disease, specificity, expected
):
    assert knn.normal_threshold(np.array(of_disease), specificity) == pytest.approx(expected)


def test_a_normal_image_counts_for_the_normal_class_that_it_is_likeliest_to_have():
    content = dataclasses.replace(
        embeddings(splits={"train": 6, "val": 30, "test": 0}), normal=("ant", "bee")
    )
    val = content.labels[content.rows("val")]
    # Val images of ant are taken for bee, none of them for ant.
    probabilities = np.where(val[:, None] == 2, [0.1, 0.1, 0.8], [0.0, 0.98, 0.02])
    found = knn.thresholds(content, probabilities, None, 0.9)
    assert found == pytest.approx([0.5, 0.02, np.nan], nan_ok=True)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=400), st.randoms())
def test_a_limit_is_the_smallest_distance_that_holds_99_in_100_of_one_image_more(steps, random):
    def limit(steps):
        return knn.choose_ood_limit(np.array(steps) / 20, 0.99)

    distances = np.array(steps) / 20
    needed = 99 * (len(steps) + 1)
    enough = [each for each in distances if 100 * int((distances <= each).sum()) >= needed]
    assert limit(steps) == min(enough, default=distances.max())
    random.shuffle(steps)
    assert limit(steps) == min(enough, default=distances.max())


@pytest.mark.parametrize("coverage", [0.8, 0.97])
def test_at_least_the_promised_share_of_other_images_is_within_the_limit(coverage):
    generator = np.random.default_rng(0)
    within = []
    for _ in range(300):
        val, other = generator.random((2, 150)) ** 3
        within.append((other <= knn.choose_ood_limit(val, coverage)).mean())
    assert coverage - 0.005 < np.mean(within) < coverage + 0.03


def test_with_few_val_images_the_limit_is_the_largest_distance_and_with_none_infinite():
    assert knn.choose_ood_limit(np.array([3.0, 1.0]), 0.97) == 3
    assert np.isinf(knn.choose_ood_limit(np.zeros(0), 0.97))


def test_nothing_is_ood_and_sets_hold_all_classes_where_val_is_empty():
    content = embeddings(splits={"train": 20, "val": 0, "test": 4})
    gallery = knn.fit(content, [3])
    assert np.isinf(gallery.ood_limit)
    none = np.zeros(len(content.vectors), np.int64)
    assert not gallery.is_ood(-content.vectors, none).any()
    assert gallery.prediction_sets(content.vectors, none).all()


@pytest.mark.parametrize("k", [1, 15])
def test_noise_is_ood_and_other_images_of_the_clusters_are_not(k):
    content = embeddings(noise=0.2, splits={"train": 300, "val": 600, "test": 1000})
    gallery = knn.fit(content, [k], coverage=0.99)
    test = content.rows("test")
    assert gallery.is_ood(content.vectors[test], content.labels[test]).mean() < 0.03
    noise = np.random.default_rng(1).normal(size=(1000, 20))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    assert gallery.is_ood(noise, np.zeros(1000, np.int64)).mean() > 0.9


def looking(content, seed=0):
    """The embeddings with ood_features of very different spread, and one that depends on the class."""
    looks = np.random.default_rng(seed).normal(size=(len(content.labels), 6)).astype(np.float32)
    looks[:, 1] *= 100
    looks[:, 2] = 5
    looks[:, 3] *= 1 + content.labels
    return dataclasses.replace(content, ood_features=looks)


def test_the_score_is_the_distance_to_the_predicted_class_over_the_limit(tmp_path):
    content = looking(embeddings(noise=0.2, splits={"train": 300, "val": 600, "test": 100}))
    gallery = knn.fit(content, [5], coverage=0.9)
    looks, val, test = content.ood_features, content.rows("val"), content.rows("test")
    voted = gallery.probabilities(content.vectors[val]).argmax(axis=1)
    far = gallery.ood_centres.distances(looks[val], voted)
    assert gallery.ood_limit == np.sort(far)[math.ceil(601 * 0.9) - 1]
    predicted = (content.labels[test] + 1) % len(content.classes)
    expected = gallery.ood_centres.distances(looks[test], predicted) / gallery.ood_limit
    assert np.array_equal(gallery.ood_score(looks[test], predicted), expected)
    assert np.array_equal(gallery.is_ood(looks[test], predicted), expected > 1)
    assert gallery.is_ood(looks[test], content.labels[test]).mean() < 0.2
    for number in range(6):
        moved = looks[test].copy()
        moved[:, number] += 20 * max(looks[:, number].std(), 1)
        assert gallery.is_ood(moved, content.labels[test]).all()
    gallery.save(tmp_path / paths.gallery("zoo"))
    assert_same(Gallery.load(CheckoutParts("zoo", tmp_path)), gallery)


def test_the_ood_limit_is_chosen_on_all_of_val():
    content = looking(embeddings(noise=0.2, splits={"train": 300, "val": 400, "test": 0}))
    val = content.rows("val")
    parts = np.where(content.splits == "val", np.where(np.arange(700) % 2, "choose", "calibrate"), "")
    gallery = knn.fit(dataclasses.replace(content, val_parts=parts), [5], coverage=0.9)
    voted = predict(gallery.probabilities(content.vectors[val]), gallery.thresholds)
    far = gallery.ood_centres.distances(content.ood_features[val], voted)
    assert gallery.ood_limit == np.sort(far)[math.ceil(401 * 0.9) - 1]


def test_a_distance_of_0_is_never_ood_even_where_the_limit_is_0():
    content = embeddings()
    gallery = dataclasses.replace(knn.fit(content, [5]), ood_limit=0.0)
    centres = gallery.ood_centres.means
    every = np.arange(len(gallery.classes))
    assert gallery.ood_score(centres, every).tolist() == [0] * len(every)
    assert np.isinf(gallery.ood_score(-centres, every)).all()


def test_prediction_sets_are_calibrated_on_the_half_of_val_on_which_k_is_not_chosen():
    content = embeddings(noise=0.6, splits={"train": 300, "val": 400, "test": 0})
    parts = np.where(content.splits == "val", np.where(np.arange(len(content.splits)) % 2, "choose", ""), "")
    parts = np.where((content.splits == "val") & (parts == ""), "calibrate", parts)
    content = dataclasses.replace(content, val_parts=parts)
    gallery = knn.fit(content, [5], set_coverage=0.9)
    rows = content.evaluated("val")
    assert len(rows) == 200
    ratios = conformal.ratios(gallery.embeddings, gallery.labels, content.vectors[rows], 3)
    own = ratios[np.arange(200), content.labels[rows]]
    assert gallery.set_threshold == conformal.threshold(own, 0.9)
    predicted = gallery.probabilities(content.vectors[rows]).argmax(axis=1)
    sets = gallery.prediction_sets(content.vectors[rows], predicted)
    assert np.array_equal(sets, conformal.sets(ratios, gallery.set_threshold, predicted))
    assert sets[np.arange(200), content.labels[rows]].mean() >= 0.9


def test_temperatures_are_chosen_on_val_and_change_neither_votes_nor_thresholds():
    content = embeddings(head=True, noise=1.2, **BINARY)
    gallery, val = knn.fit(content, [5]), content.rows("val")
    votes = gallery.probabilities(content.vectors[val])
    assert gallery.temperature == calibration.temperature(votes, content.labels[val], "knn") != 1
    head = calibration.temperature(content.head[val], content.labels[val], "head")
    assert gallery.head_temperature == head != gallery.temperature
    assert gallery.thresholds[0] == pytest.approx(knn.operating_point(content.labels[val] == 1, votes[:, 1]))
    hotter = dataclasses.replace(gallery, temperature=9.0)
    assert np.array_equal(hotter.probabilities(content.vectors[val]), votes)
    assert knn.fit(embeddings(), [5]).head_temperature is None


def test_embeddings_are_read_as_they_were_written(tmp_path):
    content = embeddings(head=True, **BINARY)
    content = dataclasses.replace(content, ood_features=content.vectors[:, :3])
    write(tmp_path / "zoo.npz", content)
    read = table.read(tmp_path / "zoo.npz")
    for field in dataclasses.fields(table.Embeddings):
        assert np.array_equal(getattr(read, field.name), getattr(content, field.name)), field.name


def test_embeddings_that_are_not_finite_are_refused(tmp_path):
    content = embeddings()
    content.vectors[3, 3] = np.nan
    write(tmp_path / "zoo.npz", content)
    with pytest.raises(OncovecError, match=r"diverged.*evaluate@zoo"):
        table.read(tmp_path / "zoo.npz")
