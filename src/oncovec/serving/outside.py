"""Metrics of a trained system on labelled images from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from oncovec.core.tables import aligned
from oncovec.evaluation.gallery import Gallery
from oncovec.metrics import intervals
from oncovec.metrics.classification import confusion, predict
from oncovec.metrics.intervals import Interval
from oncovec.serving.answers import OOD
from oncovec.serving.named_files import Listed
from oncovec.serving.predict import Prediction

SAME_IMAGE = 1e-3
"""Distances of 0 to 2 below this are those of one image: batches of other sizes give other last digits."""


@dataclass(frozen=True)
class Evaluation:
    """How well a system answers about images whose label is known.

    Attributes:
        images: number of those judged, readable and with a label.
        unreadable: images left out since they could not be read, with or without a label.
        unlabelled: readable images left out since they have no label.
        repeated: readable images with a label left out since the same file was named before.
        trained_on: images judged that lie where a training image lies, and so most likely are one.
        groups: number of groups that the bootstrap draws from.
        fewest_groups: smallest number of groups that any class judged comes from.
        unit: what these are: `group` of the CSV, or `image` where no image judged has one.
        values: metrics of `classification.metrics` over all images judged, with their intervals.
        recall: of each class that was judged, with its number of images.
        ood: images among those judged that are out of distribution, and so get no class.
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
        """Share of the images judged that are out of distribution."""
        return self.ood / self.images if self.images else 0.0


def evaluate(
    images: Sequence[Listed],
    labels: Sequence[str],
    answers: Sequence[Prediction],
    gallery: Gallery,
    replicates: int,
    seed: int,
) -> Evaluation:
    """Judge answers by their labels; what has none, came before or cannot be read is left out and counted.

    An image out of distribution counts with the class that its neighbours vote for, as if nothing were
    refused: so the metrics are those of `evaluate`, and `refused` beside them says how many answers are not
    given.

    Args:
        images: N, whose groups the bootstrap draws; an image without one is a group of its own.
        labels: N, of the gallery's classes, '' where there is none.
        answers: N, of the system to which the gallery belongs.
        gallery: for its classes and operating point.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    read = [i for i, answer in enumerate(answers) if not answer.error]
    labelled = [i for i in read if labels[i]]
    # Reversed, since a dict keeps what is put in last: of the rows of one file the first.
    rows = sorted({images[i].path.resolve(): i for i in reversed(labelled)}.values())
    classes, positive = gallery.classes, gallery.positive_index
    actual = np.array([classes.index(labels[i]) for i in rows], np.int64)
    votes = [[answers[i].probabilities[name] for name in classes] for i in rows]
    probabilities = np.array(votes).reshape(len(rows), len(classes))
    predicted = predict(probabilities, gallery.threshold, positive)
    # The first word keeps a group from being taken for an image.
    groups = [f"group {images[i].group}" if images[i].group else f"image {images[i].path}" for i in rows]
    with threadpool_limits(1):  # see `scores.score`
        weights = intervals.resample(groups, replicates, seed)
        values = intervals.with_intervals(actual, probabilities, predicted, positive, weights)
    counts = confusion(actual, predicted, len(classes))
    return Evaluation(
        images=len(rows),
        unreadable=len(answers) - len(read),
        unlabelled=len(read) - len(labelled),
        repeated=len(labelled) - len(rows),
        trained_on=sum(answers[i].neighbours[0][2] < SAME_IMAGE for i in rows),
        groups=len(set(groups)),
        fewest_groups=intervals.fewest(actual, groups),
        unit="group" if any(images[i].group for i in rows) else "image",
        values=values,
        recall={
            name: (float(hits / support), int(support))
            for name, hits, support in zip(classes, counts.diagonal(), counts.sum(axis=1), strict=True)
            if support
        },
        ood=sum(answers[i].ood for i in rows),
    )


def as_text(found: Evaluation) -> str:
    """What was judged and what was left out, then a line a metric, for people."""
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
    refused = f"{found.ood} of {found.images} images are {OOD}; above they count by their vote"
    told += aligned([*lines, ["refused", f"{found.refused:.4f}", refused]])
    if found.trained_on:
        which = f"{found.trained_on} of {found.images} images lie on a training image and most likely are one"
        told.append(f"{which}: the metrics are too good")
    if few := intervals.warning(found.fewest_groups, found.unit):
        told.append(few)
    return "\n".join(told)
