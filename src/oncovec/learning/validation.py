"""The validation of an epoch: metrics for classifiers and for metric learning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from oncovec.core.errors import OncovecError
from oncovec.data import index
from oncovec.data.split_names import VAL_PARTS
from oncovec.learning.config import TrainingConfig
from oncovec.learning.images import Images, chunks
from oncovec.learning.inference import embed
from oncovec.learning.network import Network, Output
from oncovec.learning.objectives import Objective, class_probabilities
from oncovec.metrics.ranking import Ranking

NEIGHBOURS = 5
BATCH_SIZE = 256
GALLERY = 2000
"""Largest gallery during training; the final gallery contains all training images."""


@dataclass(frozen=True)
class Splits:
    """Rows of the prepared array and their classes, for train and val; test is not included.

    Of val these are the images on which values are chosen, see `split_names.VAL_PARTS`.
    """

    train_rows: np.ndarray
    train_labels: np.ndarray
    val_rows: np.ndarray
    val_labels: np.ndarray

    @classmethod
    def of(cls, images: pd.DataFrame, table: pd.DataFrame, classes: Sequence[str]) -> "Splits":
        """Find the rows of a task's train and val images in the dataset's index.

        Images of few-shot classes, whose label is not in `classes`, are left out.

        Args:
            images: the table of the task, see `splitting.of_task`.
            table: the dataset's index.
            classes: the classes that are learned, in order.

        Raises:
            OncovecError: if a class has no training image, or val has no image.
        """
        codes = pd.Index(classes).get_indexer(images["label"])
        rows = index.rows_of(table, images["image"])
        learned = pd.Series(codes >= 0, images.index)
        train, val = (learned & (images["split"] == name) for name in ("train", "val"))
        chosen_on = val & (images["val_part"] == VAL_PARTS[0])
        found = []
        for each in (train, chosen_on if chosen_on.any() else val):
            found += [rows[each.to_numpy()], codes[each.to_numpy()].astype(np.int64)]
        splits = cls(*found)
        lacking = [name for code, name in enumerate(classes) if code not in splits.train_labels]
        if lacking or not len(splits.val_rows):
            missing = f"train has no image of {', '.join(lacking)}" if lacking else "val has no image"
            raise OncovecError(f"{missing}; name the task's label in its dataset's stratify, or draw anew")
        return splits


class Validation(NamedTuple):
    """Metrics of one epoch.

    Attributes:
        loss: the objective on val, in evaluation mode and without augmentation.
        accuracy, balanced_accuracy: on val. A classifier predicts with its head. Metric learning predicts by
            the vote of the 5 nearest of at most 2,000 training images.
        auroc: from the same predictions, of the second of two classes; None for more classes, or if val has
            only one.
        train_accuracy: for metric learning, the accuracy of the same vote among those training images; None
            for classifiers, whose accuracy is computed on the training batches.
        positive_distance, negative_distance: for metric learning, the mean distance of val images to gallery
            images of their own class and of other classes; None for classifiers, and if there is no such
            pair.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float
    auroc: float | None
    train_accuracy: float | None = None
    positive_distance: float | None = None
    negative_distance: float | None = None


def validate(
    network: Network, images: Images, splits: Splits, objective: Objective, config: TrainingConfig
) -> Validation:
    """Compute the metrics of one epoch."""
    network.eval()
    labels = torch.as_tensor(splits.val_labels)
    loss, embeddings, probabilities = _forward(network, images, splits, objective, config.seed)
    if probabilities is not None:
        return Validation(loss, *_metrics(probabilities, splits.val_labels))
    rows, gallery_labels = _gallery(splits, config.seed)
    gallery = torch.from_numpy(embed(network, images, rows, BATCH_SIZE)[0])
    distances = torch.cdist(embeddings, gallery)
    among = torch.cdist(gallery, gallery).fill_diagonal_(torch.inf)
    same = labels[:, None] == gallery_labels[None]
    classes = len(config.classes)
    return Validation(
        loss,
        *_metrics(_votes(distances, gallery_labels, classes), splits.val_labels),
        _accuracy(_votes(among, gallery_labels, classes).argmax(1), gallery_labels),
        _mean(distances[same]),
        _mean(distances[~same]),
    )


@torch.inference_mode()
def _forward(
    network: Network, images: Images, splits: Splits, objective: Objective, seed: int
) -> tuple[float, Tensor, Tensor | None]:
    """Compute the loss on val, and its embeddings and probabilities in the order of `val_rows`.

    The batches of the loss have a random order, the same one in all epochs.
    """
    rows, labels = splits.val_rows, torch.as_tensor(splits.val_labels)
    order = np.random.default_rng(seed).permutation(len(rows))
    losses, parts = [], []
    for chunk in chunks(order, BATCH_SIZE):
        output = network(images.normalise(images.take(rows[chunk])))
        losses.append(float(objective(output, labels[chunk].to(images.device))) * len(chunk))
        parts.append(Output(output.embedding.cpu(), None if output.logits is None else output.logits.cpu()))
    back = torch.as_tensor(np.argsort(order))
    embeddings = torch.cat([part.embedding for part in parts])[back]
    if parts[0].logits is None:
        return sum(losses) / len(rows), embeddings, None
    logits = torch.cat([part.logits for part in parts if part.logits is not None])[back]
    return sum(losses) / len(rows), embeddings, class_probabilities(logits)


def _gallery(splits: Splits, seed: int) -> tuple[np.ndarray, Tensor]:
    """Draw at most `GALLERY` training images, the same ones in all epochs."""
    chosen = np.random.default_rng(seed).permutation(len(splits.train_rows))[:GALLERY]
    chosen.sort()
    return splits.train_rows[chosen], torch.as_tensor(splits.train_labels[chosen])


def _metrics(scores: Tensor, labels: np.ndarray) -> tuple[float, float, float | None]:
    """Compute accuracy, balanced accuracy and AUROC; at a tie the lowest class is predicted."""
    chosen, actual = scores.argmax(1), torch.as_tensor(labels)
    area = None
    if scores.shape[1] == 2 and len(set(labels.tolist())) == 2:
        # As in scikit-learn, whose import would add more than a second to every training.
        area = Ranking(scores.double().numpy()[:, 1], labels == 1).of_images()["auroc"]
    return _accuracy(chosen, actual), _balanced(chosen, actual), area


def _votes(distances: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count the nearest gallery images of each class, also of classes without gallery images."""
    nearest = distances.topk(min(NEIGHBOURS, distances.shape[1]), largest=False).indices
    return torch.nn.functional.one_hot(labels[nearest], classes).sum(1)


def _mean(values: Tensor) -> float | None:
    return float(values.mean()) if len(values) else None


def _accuracy(chosen: Tensor, labels: Tensor) -> float:
    return float((chosen == labels).double().mean())


def _balanced(chosen: Tensor, labels: Tensor) -> float:
    """Compute the mean recall over the classes that are present."""
    return float(np.mean([_accuracy(chosen[labels == c], labels[labels == c]) for c in np.unique(labels)]))
