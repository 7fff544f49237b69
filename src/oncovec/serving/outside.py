"""Metrics of a trained system on labelled images from other sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from oncovec.core.tables import aligned
from oncovec.evaluation.gallery import Gallery
from oncovec.metrics import intervals
from oncovec.metrics.classification import confusion, predict
from oncovec.metrics.intervals import Interval
from oncovec.serving.formats import OOD
from oncovec.serving.named_files import Listed
from oncovec.serving.predict import Prediction


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a system on images with known labels.

    Attributes:
        images: number of evaluated images; they are readable and have a label.
        unreadable: images left out because they could not be read, with or without a label.
        unlabelled: readable images left out because they have no label.
        repeated: readable images with a label, left out because the same file is named before.
        trained_on: evaluated images with the embedding of a training image; most likely they are that image.
        groups: number of groups from which the bootstrap draws.
        fewest_groups: smallest number of groups of any evaluated class.
        unit: kind of these groups: `group` of the CSV, or `image` if no evaluated image has a group.
        values: metrics of `classification.metrics` over all evaluated images, with their intervals.
        recall: recall of each evaluated class, with its number of images.
        ood: evaluated images that are out of distribution and therefore get no class.
    """

    images: int
    unreadable: int
    unlabelled: int
    repeated: int
    trained_on: int
    groups: int
    fewest_groups: int
    unit: str
    values: Mapping[str, Interval]
    recall: Mapping[str, tuple[float, int]]
    ood: int

    @property
    def refused(self) -> float:
        """Share of the evaluated images that are out of distribution."""
        return self.ood / self.images if self.images else 0.0


def evaluate(
    images: Sequence[Listed],
    labels: Sequence[str],
    predictions: Sequence[Prediction],
    gallery: Gallery,
    replicates: int,
    seed: int,
) -> Evaluation:
    """Evaluate predictions by their labels; unlabelled, repeated and unreadable images are only counted.

    An image out of distribution counts with the class that it would get, as if it were not refused. So
    the metrics agree with those of `evaluate`. `refused` gives the share of images that get no class.

    Args:
        images: N images. The bootstrap draws their groups; an image without a group is its own group.
        labels: N labels from the gallery's classes; '' for an image without a label.
        predictions: N predictions of the system to which the gallery belongs.
        gallery: source of the classes and the operating point.
        replicates: number of bootstrap replicates.
        seed: random seed of the bootstrap.
    """
    read = [i for i, prediction in enumerate(predictions) if not prediction.error]
    labelled = [i for i in read if labels[i]]
    # Reversed, since a dict keeps the last value: so the first row of each file is kept.
    rows = sorted({images[i].path.resolve(): i for i in reversed(labelled)}.values())
    classes, positive = gallery.classes, gallery.positive_index
    actual = np.array([classes.index(labels[i]) for i in rows], np.int64)
    votes = [[predictions[i].probabilities[name] for name in classes] for i in rows]
    probabilities = np.array(votes).reshape(len(rows), len(classes))
    predicted = predict(probabilities, gallery.thresholds)
    # The first word distinguishes a group from an image with the same name.
    groups = [f"group {images[i].group}" if images[i].group else f"image {images[i].path}" for i in rows]
    with threadpool_limits(1):  # see `scores.score`
        weights = intervals.resample(groups, replicates, seed)
        values = intervals.with_intervals(actual, probabilities, predicted, positive, weights)
    counts = confusion(actual, predicted, len(classes))
    return Evaluation(
        images=len(rows),
        unreadable=len(predictions) - len(read),
        unlabelled=len(read) - len(labelled),
        repeated=len(labelled) - len(rows),
        trained_on=sum(predictions[i].trained_on for i in rows),
        groups=len(set(groups)),
        fewest_groups=intervals.fewest(actual, groups),
        unit="group" if any(images[i].group for i in rows) else "image",
        values=values,
        recall={
            name: (float(hits / support), int(support))
            for name, hits, support in zip(classes, counts.diagonal(), counts.sum(axis=1), strict=True)
            if support
        },
        ood=sum(predictions[i].ood for i in rows),
    )


def as_text(found: Evaluation) -> str:
    """Return a text with the numbers of evaluated and left-out images, then one line per metric."""
    left_out = f"{found.unreadable} that could not be read, {found.unlabelled} without a label"
    left_out += f", {found.repeated} named before" if found.repeated else ""
    told = [f"images judged: {found.images}; left out: {left_out}"]
    if not found.images:
        return told[0]
    draws = f"{found.groups} {found.unit}s"
    lines = [["", "value", f"95 % interval, by {draws}"]]
    for name, metric in found.values.items():
        lines.append([name, f"{metric.value:.4f}", f"{metric.low:.4f} to {metric.high:.4f}"])
    for name, (recall, images) in found.recall.items():
        lines.append([f"recall of {name}", f"{recall:.4f}", f"{images} images"])
    refused = f"{found.ood} of {found.images} images are {OOD}; above they count with their class"
    told += aligned([*lines, ["refused", f"{found.refused:.4f}", refused]])
    if found.trained_on:
        which = f"{found.trained_on} of {found.images} images lie on a training image and most likely are one"
        told.append(f"{which}: the metrics are too good")
    if few := intervals.warning(found.fewest_groups, found.unit):
        told.append(few)
    return "\n".join(told)
