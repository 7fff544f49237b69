"""Few-shot classes: how well KNN on the embedding recognises them from a few labelled examples."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from oncovec.metrics import intervals
from oncovec.metrics.classification import Floats, Ints
from oncovec.metrics.intervals import Interval, Weights
from oncovec.metrics.neighbours import vote

if TYPE_CHECKING:
    from oncovec.data.embeddings import Embeddings
    from oncovec.evaluation.gallery import Gallery
    from oncovec.evaluation.scores import Score

EXAMPLES = (1, 5, 20)
"""Numbers of labelled examples per few-shot class that are added to the gallery."""

DRAWS = 20
"""Number of random draws of the examples; every metric is averaged over them."""

RULES = ("knn", "prototype")


@dataclass(frozen=True)
class FewShotMetric:
    """A metric of one rule in one split, with `examples` examples of each few-shot class in the gallery.

    `recall_few_shot` and `recall_seen` are the shares of images of few-shot classes and of trained classes
    that are recognised among all classes, averaged over the classes. `balanced_accuracy_seen_only` is the
    same for the trained classes, without the examples in the gallery. Its difference to `recall_seen` is the
    loss due to the examples. `balanced_accuracy_few_shot_only` is for the few-shot classes, with only the
    examples in the gallery. It exists if there are several few-shot classes.
    """

    split: str
    rule: str
    examples: int
    metric: str
    found: Interval


@dataclass(frozen=True)
class Queries:
    """N images of one split, with labels of trained and few-shot classes.

    `labels` number the `seen` trained classes first, then the few-shot classes. `classes` is the total number
    of classes.
    """

    vectors: Floats
    labels: Ints
    groups: NDArray[np.str_]
    seen: int
    classes: int

    @classmethod
    def of(cls, embeddings: "Embeddings", held_out: "Embeddings", split: str) -> "Queries":
        """Combine the images of trained and few-shot classes."""
        old, new = embeddings.evaluated(split), held_out.evaluated(split)
        seen = len(embeddings.classes)
        return cls(
            np.concatenate([embeddings.vectors[old], held_out.vectors[new]]),
            np.concatenate([embeddings.labels[old], held_out.labels[new] + seen]),
            np.concatenate([embeddings.groups[old], held_out.groups[new]]),
            seen,
            seen + len(held_out.classes),
        )


@dataclass(frozen=True)
class Known:
    """Neighbours and class similarities of N queries in a gallery.

    `distances` and `labels` (N, k) belong to the nearest images. `likeness` (N, C) is the similarity to the
    mean of each class.
    """

    distances: Floats
    labels: Ints
    likeness: Floats

    @classmethod
    def of(cls, gallery: "Gallery", queries: Floats) -> "Known":
        """Find the nearest images in the fitted gallery: k, but at most the largest number of examples."""
        distances, rows = gallery.neighbours(queries, min(gallery.k, EXAMPLES[-1]))
        means = directions(gallery.embeddings, gallery.labels, len(gallery.classes))
        return cls(distances, gallery.labels[rows], queries @ means.T)

    def nothing(self) -> "Known":
        """Return the result for a gallery without images."""
        return Known(self.distances[:, :0], self.labels[:, :0], np.full_like(self.likeness, -np.inf))


def recognise(
    embeddings: "Embeddings", gallery: "Gallery", splits: Sequence[str], replicates: int, seed: int
) -> list[FewShotMetric]:
    """Add n examples of each few-shot class to the gallery and predict the images of `splits`.

    Two rules make predictions. `knn` is the vote of min(k, n) neighbours in the gallery. Neighbours beyond n
    can only be images of other classes, and they outvote the few-shot class. `prototype` predicts the class
    with the nearest mean embedding (Snell et al., "Prototypical networks for few-shot learning", 2017). Means
    are scaled to length 1 (Qi et al., "Low-shot learning with imprinted weights", 2018). Without this, the
    mean of many images is shorter than the mean of few images, and so it is nearer to every query.

    Examples come from train; see `orders`. An image counts by the share of the draws in which it is
    recognised. Intervals come from a bootstrap over the groups of the split. A value of n is left out if a
    few-shot class has fewer images in train.

    Args:
        embeddings: embeddings of all splits; without few-shot classes there are no metrics.
        gallery: gallery fitted to the trained classes; its thresholds are not used.
        splits: splits to evaluate; a split without images of few-shot classes has no metrics.
        replicates: number of bootstrap replicates.
        seed: random seed of the draws and of the bootstrap.
    """
    held_out = embeddings.few_shot
    if held_out is None:
        return []
    drawn = orders(held_out, seed)
    found: list[FewShotMetric] = []
    for split in splits:
        if len(held_out.evaluated(split)):
            queries = Queries.of(embeddings, held_out, split)
            weights = intervals.resample(queries.groups, replicates, seed)
            found += _of_split(split, queries, held_out, gallery, drawn, weights)
    return found


def orders(held_out: "Embeddings", seed: int) -> list[Ints]:
    """Return a random order of each class's train images for every draw: (DRAWS, m) rows.

    The first n rows of an order are the examples. One image of each group comes before the second image of
    any group, so examples are near-duplicates of each other only if there are too few groups. The examples of
    a small n are included in those of a larger n. Only train is read.
    """
    train = held_out.rows("train")
    found = []
    for label in range(len(held_out.classes)):
        rows = train[held_out.labels[train] == label]
        generator = np.random.default_rng([seed, label])
        draws = [_spread(generator.permutation(rows), held_out.groups) for _ in range(DRAWS)]
        found.append(np.array(draws, np.int64)[:, : EXAMPLES[-1]])
    return found


def _spread(rows: Ints, groups: NDArray[np.str_]) -> Ints:
    """Reorder rows: the first image of every group, then the second image of every group, and so on."""
    earlier: Counter[str] = Counter()
    turns = []
    for group in groups[rows].tolist():
        turns.append(earlier[group])
        earlier[group] += 1
    return np.asarray(rows[np.argsort(turns, kind="stable")])


def directions(vectors: Floats, labels: Ints, classes: int) -> NDArray[np.float64]:
    """Return the mean of each class, scaled to length 1: (C, d), zeros for a class without images."""
    sums = np.zeros((classes, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.where(lengths > 0, lengths, 1))


def predict(known: Known, queries: Queries, examples: Floats, labels: Ints, k: int) -> dict[str, Ints]:
    """Predict the class of each image by both rules: (N,) class indices per rule.

    Args:
        known: neighbours of the images in the gallery, k or more, or none.
        queries: the images.
        examples: (E, d) of the few-shot classes; if there are any, every class has at least one.
        labels: (E,), numbered as in `queries`.
        k: number of neighbours that vote, at most the number available. Among equally near neighbours, images
            of the gallery come before examples.
    """
    distances = np.hstack([known.distances, cdist(queries.vectors, examples)])
    of = np.hstack([known.labels, np.broadcast_to(labels, (len(distances), len(labels)))])
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    near, theirs = (np.take_along_axis(each, nearest, axis=1) for each in (distances, of))
    likeness = known.likeness
    if len(examples):
        means = directions(examples, labels - queries.seen, queries.classes - queries.seen)
        likeness = np.hstack([likeness, queries.vectors @ means.T])
    votes = vote(near, theirs, queries.classes, near[:, -1])
    return {"knn": votes.argmax(axis=1), "prototype": likeness.argmax(axis=1)}


def _of_split(
    split: str,
    queries: Queries,
    held_out: "Embeddings",
    gallery: "Gallery",
    drawn: Sequence[Ints],
    weights: Weights,
) -> Iterator[FewShotMetric]:
    known = Known.of(gallery, queries.vectors)
    old, new = np.flatnonzero(queries.labels < queries.seen), np.flatnonzero(queries.labels >= queries.seen)
    for n in (n for n in EXAMPLES if n <= min(order.shape[1] for order in drawn)):
        k = min(gallery.k, n)
        together = _shares(known, queries, held_out, [order[:, :n] for order in drawn], k)
        without = _shares(known, queries, held_out, [order[:1, :0] for order in drawn], k)
        metrics = {
            "recall_few_shot": (new, together),
            "recall_seen": (old, together),
            "balanced_accuracy_seen_only": (old, without),
        }
        if len(held_out.classes) > 1:
            alone = _shares(known.nothing(), queries, held_out, [order[:, :n] for order in drawn], k)
            metrics["balanced_accuracy_few_shot_only"] = new, alone
        for metric, (rows, shares) in metrics.items():
            for rule, values in shares.items():
                found = _recall(values[rows], queries.labels[rows], weights[:, rows])
                yield FewShotMetric(split, rule, n, metric, found)


def _shares(
    known: Known, queries: Queries, held_out: "Embeddings", drawn: Sequence[Ints], k: int
) -> dict[str, NDArray[np.float64]]:
    """Return the share of the draws in which each image is recognised, for each rule."""
    times = {rule: np.zeros(len(queries.labels), np.int64) for rule in RULES}
    for draw in zip(*drawn, strict=True):
        rows = np.concatenate(draw)
        named = predict(known, queries, held_out.vectors[rows], held_out.labels[rows] + queries.seen, k)
        for rule in RULES:
            times[rule] += named[rule] == queries.labels
    return {rule: counted / len(drawn[0]) for rule, counted in times.items()}


def _recall(shares: Floats, labels: Ints, weights: Weights) -> Interval:
    """Return the mean share over the images of each class, averaged over the classes, with its interval."""
    columns = np.where(labels[:, None] == np.unique(labels), shares[:, None], np.nan)
    values = {"recall": float(np.nanmean(columns, axis=0).mean())}
    drawn = {"recall": intervals.mean(intervals.averages(columns, weights), np.nanmean(columns, axis=0))}
    bases = intervals.bases(labels, None, weights)
    return intervals.bounded(values, drawn, {"recall": bases["balanced_accuracy"]}, 0.0)["recall"]


def scores(found: Sequence[FewShotMetric]) -> list["Score"]:
    """Return the metrics as rows of the report; the name of a subset contains the number of examples."""
    return [
        (each.split, each.rule, f"few-shot n={each.examples}", each.metric, *astuple(each.found))
        for each in found
    ]


def headline(found: Sequence[FewShotMetric], split: str) -> dict[str, float]:
    """Return the recall of KNN on the few-shot classes of one split, as `recall_<examples>`; may be empty."""
    return {
        f"recall_{each.examples}": each.found.value
        for each in found
        if (each.split, each.rule, each.metric) == (split, "knn", "recall_few_shot")
    }
