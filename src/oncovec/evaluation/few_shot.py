"""Classes kept out of training: how well KNN on the embedding recognises them by a few labelled examples."""

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
"""Labelled examples of each few-shot class that are put into the gallery."""

DRAWS = 20
"""Draws of the examples, over which every metric is averaged."""

RULES = ("knn", "prototype")


@dataclass(frozen=True)
class FewShotMetric:
    """A metric of one rule in one split, with `examples` of each few-shot class in the gallery.

    `recall_few_shot` and `recall_seen` are the shares of the images of few-shot and of trained classes that
    are recognised among all classes, averaged over the classes. `balanced_accuracy_seen_only` is the same for
    the trained classes with the examples left out of the gallery: the difference to `recall_seen` is what the
    examples cost. `balanced_accuracy_few_shot_only` is for the few-shot classes with the examples alone as
    gallery, where there are several such classes.
    """

    split: str
    rule: str
    examples: int
    metric: str
    found: Interval


@dataclass(frozen=True)
class Queries:
    """N images of one split: `labels` number the `seen` classes first, then the others, `classes` in all."""

    vectors: Floats
    labels: Ints
    groups: NDArray[np.str_]
    seen: int
    classes: int

    @classmethod
    def of(cls, embeddings: "Embeddings", held_out: "Embeddings", split: str) -> "Queries":
        """Put the images of trained and few-shot classes together."""
        old, new = embeddings.rows(split), held_out.rows(split)
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
    """What a gallery says of N queries.

    `distances` and `labels` (N, k) are of their nearest images, `likeness` (N, C) is that to the mean of each
    class.
    """

    distances: Floats
    labels: Ints
    likeness: Floats

    @classmethod
    def of(cls, gallery: "Gallery", queries: Floats) -> "Known":
        """Ask the fitted gallery for its k nearest, or for as many as there are ever examples."""
        distances, rows = gallery.neighbours(queries, min(gallery.k, EXAMPLES[-1]))
        means = directions(gallery.embeddings, gallery.labels, len(gallery.classes))
        return cls(distances, gallery.labels[rows], queries @ means.T)

    def nothing(self) -> "Known":
        """What a gallery without images says."""
        return Known(self.distances[:, :0], self.labels[:, :0], np.full_like(self.likeness, -np.inf))


def recognise(
    embeddings: "Embeddings", gallery: "Gallery", splits: Sequence[str], replicates: int, seed: int
) -> list[FewShotMetric]:
    """Put n examples of each few-shot class into the gallery and ask about the images of `splits`.

    Two rules answer. `knn` is the gallery's vote by min(k, n) neighbours: more than n could only be images of
    other classes, which outvote the few-shot class. `prototype` takes the class whose mean embedding
    is nearest (Snell et al., "Prototypical networks for few-shot learning", 2017); means are scaled to length
    1, since that of many images is shorter than that of few, and would be nearer to everything (Qi et al.,
    "Low-shot learning with imprinted weights", 2018).

    Examples are of train, see `orders`. An image counts by the share of the draws in which it is recognised;
    intervals are by a bootstrap over the groups of the split. An n is left out where a few-shot class has
    fewer images in train.

    Args:
        embeddings: of all splits; where there is no few-shot class, there are no metrics.
        gallery: fitted to the seen classes. Its task has three classes or more, so there is no threshold.
        splits: those to ask about; one without images of few-shot classes has no metrics.
        replicates: of the bootstrap.
        seed: of the draws and of the bootstrap.
    """
    held_out = embeddings.few_shot
    if held_out is None:
        return []
    drawn = orders(held_out, seed)
    found: list[FewShotMetric] = []
    for split in splits:
        if len(held_out.rows(split)):
            queries = Queries.of(embeddings, held_out, split)
            weights = intervals.resample(queries.groups, replicates, seed)
            found += _of_split(split, queries, held_out, gallery, drawn, weights)
    return found


def orders(held_out: "Embeddings", seed: int) -> list[Ints]:
    """Order each class's images of train anew in every draw: (DRAWS, m) rows, of which the first n are taken.

    An image comes before a second one of its group, so that examples are near-duplicates of each other only
    where there are too few groups. Those of a small n are among those of a larger one. Only train is read.
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
    """Take the first image of every group, then the second of those that have one, and so on."""
    earlier: Counter[str] = Counter()
    turns = []
    for group in groups[rows].tolist():
        turns.append(earlier[group])
        earlier[group] += 1
    return np.asarray(rows[np.argsort(turns, kind="stable")])


def directions(vectors: Floats, labels: Ints, classes: int) -> NDArray[np.float64]:
    """Mean of each class, scaled to length 1: (C, d), zeros where a class has no image."""
    sums = np.zeros((classes, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.where(lengths > 0, lengths, 1))


def answers(known: Known, queries: Queries, examples: Floats, labels: Ints, k: int) -> dict[str, Ints]:
    """Let both rules name the class of each image: (N,) class indices a rule.

    Args:
        known: what the gallery says of the images, by k neighbours or more, or nothing.
        queries: the images.
        examples: (E, d) of the few-shot classes; where there are some, each has one.
        labels: (E,), numbered as in `queries`.
        k: neighbours that vote, cut to those that there are; of equally near ones the gallery's come first.
    """
    distances = np.hstack([known.distances, cdist(queries.vectors, examples)])
    of = np.hstack([known.labels, np.broadcast_to(labels, (len(distances), len(labels)))])
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    near, theirs = (np.take_along_axis(each, nearest, axis=1) for each in (distances, of))
    likeness = known.likeness
    if len(examples):
        means = directions(examples, labels - queries.seen, queries.classes - queries.seen)
        likeness = np.hstack([likeness, queries.vectors @ means.T])
    votes = vote(near, theirs, queries.classes)
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
    """The share of the draws in which each image is recognised, by each rule."""
    times = {rule: np.zeros(len(queries.labels), np.int64) for rule in RULES}
    for draw in zip(*drawn, strict=True):
        rows = np.concatenate(draw)
        named = answers(known, queries, held_out.vectors[rows], held_out.labels[rows] + queries.seen, k)
        for rule in RULES:
            times[rule] += named[rule] == queries.labels
    return {rule: counted / len(drawn[0]) for rule, counted in times.items()}


def _recall(shares: Floats, labels: Ints, weights: Weights) -> Interval:
    """Average the images of each class, then the classes."""
    columns = np.where(labels[:, None] == np.unique(labels), shares[:, None], np.nan)
    values = {"recall": float(np.nanmean(columns, axis=0).mean())}
    drawn = {"recall": intervals.mean(intervals.averages(columns, weights), np.nanmean(columns, axis=0))}
    bases = intervals.bases(labels, None, weights)
    return intervals.bounded(values, drawn, {"recall": bases["balanced_accuracy"]}, 0.0)["recall"]


def scores(found: Sequence[FewShotMetric]) -> list["Score"]:
    """The metrics as rows of the report, in subsets that are named by the number of examples."""
    return [
        (each.split, each.rule, f"few-shot n={each.examples}", each.metric, *astuple(each.found))
        for each in found
    ]


def headline(found: Sequence[FewShotMetric], split: str) -> dict[str, float]:
    """Recall of KNN on the few-shot classes in one split, as `recall_<examples>`; empty without any."""
    return {
        f"recall_{each.examples}": each.found.value
        for each in found
        if (each.split, each.rule, each.metric) == (split, "knn", "recall_few_shot")
    }
