from unittest import mock

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from oncovec.learning import objectives, validation
from oncovec.learning.images import Images
from oncovec.learning.inference import embed
from oncovec.learning.systems import preprocessing_of
from oncovec.learning.validation import Splits

CLASSES = ("a", "b", "c")


def judged(objective, batch_size=16, train=70, count=110, classes=CLASSES, **changes):
    """Metrics of an untrained network on noise, with what is needed to take them another way."""
    config = tiny.config(objective, classes=classes, **changes)
    network, facts = tiny.network(**dict(config))
    pixels, labels = tiny.noise(count, classes=len(classes))
    images = Images(pixels, torch.device("cpu"), tiny.SIZE, preprocessing_of(facts))
    splits = tiny.splits_of(labels, train)
    loss = objectives.build(config, facts["embedding_dim"])
    with mock.patch.object(validation, "BATCH_SIZE", batch_size):
        return validation.validate(network, images, splits, loss, config), network, images, splits


def embedded(network, images, rows):
    return embed(network, images, rows, 64)[0].astype(np.float64)


@pytest.mark.parametrize("objective", ["triplet", "contrastive"])
def test_metric_learning_is_judged_by_the_majority_of_5_neighbours_in_scikit_learn(objective):
    found, network, images, splits = judged(objective)
    gallery, queries = (embedded(network, images, rows) for rows in (splits.train_rows, splits.val_rows))
    predicted = KNeighborsClassifier(5).fit(gallery, splits.train_labels).predict(queries)
    assert found.accuracy == pytest.approx(accuracy_score(splits.val_labels, predicted))
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(splits.val_labels, predicted))


def test_training_images_vote_on_each_other_and_never_on_themselves():
    found, network, images, splits = judged("triplet")
    gallery = embedded(network, images, splits.train_rows)
    neighbours = NearestNeighbors(n_neighbors=5).fit(gallery).kneighbors(return_distance=False)
    votes = [np.bincount(splits.train_labels[row]).argmax() for row in neighbours]
    assert found.train_accuracy == pytest.approx(accuracy_score(splits.train_labels, votes))


def test_distances_are_means_over_pairs_of_val_and_gallery():
    found, network, images, splits = judged("triplet")
    gallery, queries = (embedded(network, images, rows) for rows in (splits.train_rows, splits.val_rows))
    distances = np.linalg.norm(queries[:, None] - gallery[None], axis=2)
    same = splits.val_labels[:, None] == splits.train_labels[None]
    assert found.positive_distance == pytest.approx(distances[same].mean(), abs=1e-5)
    assert found.negative_distance == pytest.approx(distances[~same].mean(), abs=1e-5)


def test_a_classifier_is_judged_by_its_head():
    found, network, images, splits = judged("cross_entropy")
    predicted = embed(network, images, splits.val_rows, 64)[1].argmax(1)
    assert found.accuracy == pytest.approx(accuracy_score(splits.val_labels, predicted))
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(splits.val_labels, predicted))
    assert found.train_accuracy is found.positive_distance is found.negative_distance is None


@pytest.mark.parametrize("objective", ["triplet", "cross_entropy", "binary_cross_entropy"])
def test_of_two_classes_the_auroc_is_taken(objective):
    found, network, images, splits = judged(objective, classes=("a", "b"))
    if objective == "triplet":
        gallery, queries = (embedded(network, images, rows) for rows in (splits.train_rows, splits.val_rows))
        scores = KNeighborsClassifier(5).fit(gallery, splits.train_labels).predict_proba(queries)[:, 1]
    else:
        scores = embed(network, images, splits.val_rows, 64)[1][:, 1]
    assert found.auroc == pytest.approx(roc_auc_score(splits.val_labels, scores))
    assert judged(objective, classes=("a", "b"), train=109)[0].auroc is None
    assert objective == "binary_cross_entropy" or judged(objective)[0].auroc is None


def test_a_classifiers_loss_is_the_mean_over_val_whatever_the_batch_size():
    losses = [judged("cross_entropy", size)[0].loss for size in (1, 7, 40)]
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-6)
    _, network, images, splits = judged("cross_entropy")
    with torch.inference_mode():
        logits = network.eval()(images.normalise(images.take(splits.val_rows))).logits
    expected = torch.nn.functional.cross_entropy(logits, torch.as_tensor(splits.val_labels))
    assert losses[0] == pytest.approx(expected.item(), abs=1e-5)


def test_a_metric_loss_over_one_batch_is_the_objective_of_all_of_val():
    found, network, images, splits = judged("triplet", batch_size=256)
    points = torch.from_numpy(embed(network, images, splits.val_rows, 64)[0])
    loss = tiny.objective("triplet")
    output = objectives.Output(points, None)
    assert found.loss == pytest.approx(loss(output, torch.as_tensor(splits.val_labels)).item(), abs=1e-5)


def test_metrics_are_taken_in_evaluation_mode_and_do_not_differ_between_two_calls():
    first, second = (judged("cross_entropy", dropout=0.5)[0] for _ in range(2))
    assert first == second == judged("cross_entropy")[0]


def test_a_large_training_split_answers_by_a_sample_of_it(monkeypatch):
    monkeypatch.setattr(validation, "GALLERY", 30)
    first, *_ = judged("triplet")
    second, *_ = judged("triplet")
    assert first == second
    monkeypatch.setattr(validation, "GALLERY", 2000)
    assert judged("triplet")[0] != first


def test_a_gallery_smaller_than_the_neighbours_asked_for_answers_all_the_same():
    found, *_ = judged("triplet", train=3, count=30)
    assert np.isfinite([metric for metric in found if metric is not None]).all()


def test_splits_are_found_by_the_index_and_hold_nothing_of_test_nor_of_what_calibrates():
    images = ["d.png", "a.png", "c.png", "b.png", "e.png"]
    split = pd.DataFrame(
        [
            {"image": "a.png", "label": "red", "split": "train", "val_part": ""},
            {"image": "b.png", "label": "green", "split": "val", "val_part": "choose"},
            {"image": "c.png", "label": "red", "split": "test", "val_part": ""},
            {"image": "d.png", "label": "green", "split": "train", "val_part": ""},
            {"image": "e.png", "label": "red", "split": "val", "val_part": "calibrate"},
        ]
    )
    splits = Splits.of(split, pd.DataFrame({"image": images}), ["green", "red"])
    assert splits.train_rows.tolist() == [1, 0]
    assert splits.train_labels.tolist() == [1, 0]
    assert splits.val_rows.tolist() == [3]
    assert splits.val_labels.tolist() == [0]


def test_images_of_few_shot_classes_are_neither_trained_on_nor_validated_with():
    images = [f"{number}.png" for number in range(6)]
    labels, splits = ("red", "blue", "green") * 2, ["train"] * 3 + ["val"] * 3
    split = pd.DataFrame({"image": images, "label": labels, "split": splits, "val_part": ""})
    found = Splits.of(split, pd.DataFrame({"image": images}), ["green", "red"])
    assert found.train_rows.tolist() == [0, 2] and found.train_labels.tolist() == [1, 0]
    assert found.val_rows.tolist() == [3, 5] and found.val_labels.tolist() == [1, 0]


def test_three_classes_stay_three_where_the_sampled_gallery_lacks_the_last_one(monkeypatch):
    monkeypatch.setattr(validation, "_gallery", lambda splits, seed: lacking(splits))

    def lacking(splits):
        kept = splits.train_labels < 2
        return splits.train_rows[kept], torch.as_tensor(splits.train_labels[kept])

    found, *_ = judged("triplet", classes=("a", "b", "c"))
    assert found.auroc is None
    assert found.balanced_accuracy < 0.67
