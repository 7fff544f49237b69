"""Predictions of a system on val and test, from which its metrics are computed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from oncovec.core.errors import OncovecError
from oncovec.metrics.classification import Floats, Ints, auroc, metrics, predict

if TYPE_CHECKING:
    from oncovec.data.embeddings import Embeddings
    from oncovec.evaluation.gallery import Gallery


@dataclass(frozen=True)
class PredictionOutput:
    """Predictions of one model (`knn` or `head`) of a system for one split.

    `rows` (n,) are positions in the embeddings, `labels` and `predicted` (n,) are class indices,
    `probabilities` is (n, C). `positive_index` is None if the task is not binary. `thresholds` are those of
    `classification.predict`, (C,), or None.
    `temperature` is None if none is chosen; `probabilities` and `predicted` do not use it (see
    `calibration`).
    """

    split: str
    model: str
    classes: tuple[str, ...]
    rows: Ints
    labels: Ints
    probabilities: Floats
    predicted: Ints
    positive_index: int | None
    thresholds: Floats | None
    temperature: float | None = None

    def metrics(self) -> dict[str, float]:
        """Return the headline metrics; see `classification.metrics`."""
        return metrics(self.labels, self.probabilities, self.predicted, self.positive_index)

    def only(self, positions: Ints) -> "PredictionOutput":
        """Return the output for some of the images, by their positions in this output."""
        return replace(
            self,
            rows=self.rows[positions],
            labels=self.labels[positions],
            probabilities=self.probabilities[positions],
            predicted=self.predicted[positions],
        )


def of_splits(embeddings: "Embeddings", gallery: "Gallery", splits: Sequence[str]) -> list[PredictionOutput]:
    """Predict every image of `splits` with the gallery, and with the head if there is one.

    Returns:
        One output per split and model, in the order of `splits`, knn before head.

    Raises:
        OncovecError: if the gallery is fitted to embeddings of other weights or other classes.
    """
    if gallery.weights != embeddings.weights:
        raise OncovecError(
            f"task {embeddings.task}: the gallery was fitted to embeddings by other weights; run `dvc repro`"
        )
    if gallery.classes != embeddings.classes:
        raise OncovecError(
            f"task {embeddings.task}: gallery and embeddings disagree about the classes; run `dvc repro`"
        )
    outputs = []
    for split in splits:
        rows = embeddings.evaluated(split)
        votes = gallery.probabilities(embeddings.vectors[rows])
        models = [("knn", votes, gallery.thresholds, gallery.temperature)]
        if embeddings.head is not None:
            head = embeddings.head[rows].astype(np.float64)
            models.append(("head", head, gallery.head_thresholds, gallery.head_temperature))
        for model, probabilities, thresholds, temperature in models:
            outputs.append(
                PredictionOutput(
                    split=split,
                    model=model,
                    classes=embeddings.classes,
                    rows=rows,
                    labels=embeddings.labels[rows],
                    probabilities=probabilities,
                    predicted=predict(probabilities, thresholds),
                    positive_index=embeddings.positive_index,
                    thresholds=thresholds,
                    temperature=temperature,
                )
            )
    return outputs


def on_its_own_training_images(gallery: "Gallery", seed: int, k: int = 5, most: int = 5000) -> float:
    """Return the accuracy of plain KNN on images of its own gallery, as published for the triplet network.

    Each image is the first of its own k neighbours. All votes count equally; among equal classes the first
    one is used. So this metric measures how close training images of a class are to each other. It gives no
    information about other images.

    Args:
        gallery: the training embeddings.
        seed: random seed of the choice of images.
        k: number of neighbours, at most the gallery's size.
        most: largest number of images to predict; from a larger gallery, this number is drawn at random.
    """
    asked = np.arange(len(gallery.labels))
    if len(asked) > most:
        asked = np.sort(np.random.default_rng(seed).choice(asked, most, replace=False))
    _, found = gallery.neighbours(gallery.embeddings[asked], k)
    votes = np.zeros((len(asked), len(gallery.classes)), np.int64)
    np.add.at(votes, (np.arange(len(asked))[:, None], gallery.labels[found]), 1)
    return float(np.mean(votes.argmax(axis=1) == gallery.labels[asked]))


def per_class(output: PredictionOutput) -> list[tuple[str, str, float]]:
    """Return (class, metric, value) for each class, then macro and weighted averages.

    The metrics of a class are precision, recall, f1, support (number of images) and auroc; undefined ones are
    left out. The averages are over the classes that have images or predictions. They count an undefined
    precision or recall as 0, as scikit-learn does. `weighted` uses the support as weight.
    """
    by_class = precision_recall_fscore_support(
        output.labels, output.predicted, labels=range(len(output.classes)), zero_division=np.nan
    )
    rows: list[tuple[str, str, float]] = []
    for column, (name, *values) in enumerate(zip(output.classes, *by_class, strict=True)):
        named = zip(("precision", "recall", "f1", "support"), values, strict=True)
        rows += [(name, metric, value.item()) for metric, value in named if not np.isnan(value)]
        area = auroc(output.labels, output.probabilities, column)
        if area is not None:
            rows.append((name, "auroc", area))
    for kind in ("macro", "weighted") if len(output.labels) else ():
        *averages, _ = precision_recall_fscore_support(
            output.labels, output.predicted, average=kind, zero_division=0.0
        )
        rows += [
            (kind, name, float(value))
            for name, value in zip(("precision", "recall", "f1"), averages, strict=True)
        ]
    return rows


def never_predicted(output: PredictionOutput) -> str | None:
    """Return a line that names the classes with images that are never predicted; None if there are none.

    Such a model may still have a high accuracy if those classes are rare.
    """
    n_classes = len(output.classes)
    actual = np.bincount(output.labels, minlength=n_classes)
    claimed = np.bincount(output.predicted, minlength=n_classes)
    missed = np.flatnonzero((actual > 0) & (claimed == 0)).tolist()
    if not missed:
        return None
    named = ", ".join(f"{output.classes[index]} (all {actual[index]} missed)" for index in missed)
    model = "KNN" if output.model == "knn" else output.model
    return f"{model} never predicts on {output.split}: {named}, of {len(output.labels)} images"
