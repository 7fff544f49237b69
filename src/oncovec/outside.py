"""Figures of a trained system on labelled images from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from oncovec import intervals
from oncovec.answers import FAR
from oncovec.evaluation import confusion, predict
from oncovec.gallery import Gallery
from oncovec.intervals import Interval
from oncovec.listing import Listed
from oncovec.predict import Prediction
from oncovec.tables import aligned


@dataclass(frozen=True)
class Figures:
    """How well a system answers about images whose label is known.

    Attributes:
        images: number of those judged, readable and with a label.
        unreadable: images left out since they could not be read, with or without a label.
        unlabelled: readable images left out since they have no label.
        groups: number of groups that the bootstrap draws from.
        fewest_groups: smallest number of groups that any class judged comes from.
        unit: what these are: `group` of the CSV, or `image` where no image judged has one.
        values: figures of `evaluation.metrics` over all images judged, far or not, with their intervals.
        recall: of each class that was judged, with its number of images.
        far: images among those judged that are far from all training images, and so get no class.
    """

    images: int
    unreadable: int
    unlabelled: int
    groups: int
    fewest_groups: int
    unit: str
    values: Mapping[str, Interval]
    recall: Mapping[str, tuple[float, int]]
    far: int

    @property
    def refused(self) -> float:
        """Share of the images judged that are far from all training images."""
        return self.far / self.images if self.images else 0.0


def judge(
    images: Sequence[Listed],
    labels: Sequence[str],
    answers: Sequence[Prediction],
    gallery: Gallery,
    replicates: int,
    seed: int,
) -> Figures:
    """Judge answers by their labels; what cannot be read or has no label is left out and counted.

    An image that is far counts with the class that its neighbours vote for, as if nothing were refused: so
    the figures are those of `evaluate`, and `refused` beside them says how many answers are not given.

    Args:
        images: N, whose groups the bootstrap draws; an image without one is a group of its own.
        labels: N, of the gallery's classes, '' where there is none.
        answers: N, of the system to which the gallery belongs.
        gallery: for its classes and operating point.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    read = [i for i, answer in enumerate(answers) if not answer.error]
    rows = [i for i in read if labels[i]]
    classes, positive = gallery.classes, gallery.positive_index
    actual = np.array([classes.index(labels[i]) for i in rows], np.int64)
    votes = [[answers[i].probabilities[name] for name in classes] for i in rows]
    probabilities = np.array(votes).reshape(len(rows), len(classes))
    predicted = predict(probabilities, gallery.threshold, positive)
    # The first word keeps a group from being taken for an image.
    groups = [f"group {images[i].group}" if images[i].group else f"image {images[i].path}" for i in rows]
    with threadpool_limits(1):  # see `scores.score`
        weights = intervals.resample(groups, replicates, seed)
        values = intervals.figures(actual, probabilities, predicted, positive, weights)
    counts = confusion(actual, predicted, len(classes))
    return Figures(
        images=len(rows),
        unreadable=len(answers) - len(read),
        unlabelled=len(read) - len(rows),
        groups=len(set(groups)),
        fewest_groups=intervals.fewest(actual, groups),
        unit="group" if any(images[i].group for i in rows) else "image",
        values=values,
        recall={
            name: (float(hits / support), int(support))
            for name, hits, support in zip(classes, counts.diagonal(), counts.sum(axis=1), strict=True)
            if support
        },
        far=sum(answers[i].far for i in rows),
    )


def as_text(found: Figures) -> str:
    """What was judged and what was left out, then a line a figure, for people."""
    left_out = f"{found.unreadable} that could not be read, {found.unlabelled} without a label"
    told = [f"images judged: {found.images}; left out: {left_out}"]
    if not found.images:
        return told[0]
    draws = f"{found.groups} {found.unit}s"
    lines = [["", "value", f"95 % interval, by {draws}"]]
    for name, figure in found.values.items():
        lines.append([name, f"{figure.value:.4f}", f"{figure.low:.4f} to {figure.high:.4f}"])
    for name, (recall, images) in found.recall.items():
        lines.append([f"recall of {name}", f"{recall:.4f}", f"{images} images"])
    refused = f"{found.far} of {found.images} images are {FAR}; above they count by their vote"
    told += aligned([*lines, ["refused", f"{found.refused:.4f}", refused]])
    if few := intervals.warning(found.fewest_groups, found.unit):
        told.append(few)
    return "\n".join(told)
