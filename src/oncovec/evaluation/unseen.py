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
"""Labelled examples of each unseen class that are put into the gallery."""

DRAWS = 20
"""Draws of the examples, over which every figure is averaged."""

RULES = ("knn", "prototype")


@dataclass(frozen=True)
class Recognition:
    """A figure of one rule in one split, with `examples` of each unseen class in the gallery.

    `recall_unseen` and `recall_seen` are the shares of the images of unseen and of seen classes that are
    recognised among all classes, averaged over the classes. `balanced_accuracy_seen_only` is the same of the
    seen ones by the gallery without the examples, so that the difference to `recall_seen` is what these cost.
    `balanced_accuracy_unseen_only` is that of the unseen ones by the examples alone, where they are several.
    """

    split: str
    rule: str
    examples: int
    figure: str
    found: Interval


@dataclass(frozen=True)
class Asked:
    """N images of one split: `labels` number the `seen` classes first, then the others, `classes` in all."""

    vectors: Floats
    labels: Ints
    groups: NDArray[np.str_]
    seen: int
    classes: int

    @classmethod
    def of(cls, embeddings: "Embeddings", unseen: "Embeddings", split: str) -> "Asked":
        """Put the images of seen and of unseen classes together."""
        old, new = embeddings.rows(split), unseen.rows(split)
        seen = len(embeddings.classes)
        return cls(
            np.concatenate([embeddings.vectors[old], unseen.vectors[new]]),
            np.concatenate([embeddings.labels[old], unseen.labels[new] + seen]),
            np.concatenate([embeddings.groups[old], unseen.groups[new]]),
            seen,
            seen + len(unseen.classes),
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
) -> list[Recognition]:
    """Put n examples of each unseen class into the gallery and ask about the images of `splits`.

    Two rules answer. `knn` is the gallery's vote by min(k, n) neighbours: more than n could only be images of
    other classes, which outvote the newcomer where it lies. `prototype` takes the class whose mean embedding
    is nearest (Snell et al., "Prototypical networks for few-shot learning", 2017); means are scaled to length
    1, since that of many images is shorter than that of few, and would be nearer to everything (Qi et al.,
    "Low-shot learning with imprinted weights", 2018).

    Examples are of train, see `orders`. An image counts by the share of the draws in which it is recognised;
    intervals are by a bootstrap over the groups of the split. An n is left out where an unseen class has fewer
    images in train.

    Args:
        embeddings: of all splits; where no class is unseen, there are no figures.
        gallery: fitted to the seen classes. Its task has three classes or more, so there is no threshold.
        splits: those to ask about; one without images of unseen classes has no figures.
        replicates: of the bootstrap.
        seed: of the draws and of the bootstrap.
    """
    unseen = embeddings.unseen
    if unseen is None:
        return []
    drawn = orders(unseen, seed)
    found: list[Recognition] = []
    for split in splits:
        if len(unseen.rows(split)):
            asked = Asked.of(embeddings, unseen, split)
            weights = intervals.resample(asked.groups, replicates, seed)
            found += _of_split(split, asked, unseen, gallery, drawn, weights)
    return found


def orders(unseen: "Embeddings", seed: int) -> list[Ints]:
    """Order each class's images of train anew in every draw: (DRAWS, m) rows, of which the first n are taken.

    An image comes before a second one of its group, so that examples are near copies of each other only where
    there are too few groups. Those of a small n are among those of a larger one. No other split is looked at.
    """
    train = unseen.rows("train")
    found = []
    for label in range(len(unseen.classes)):
        rows = train[unseen.labels[train] == label]
        generator = np.random.default_rng([seed, label])
        draws = [_spread(generator.permutation(rows), unseen.groups) for _ in range(DRAWS)]
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


def answers(known: Known, asked: Asked, examples: Floats, labels: Ints, k: int) -> dict[str, Ints]:
    """Let both rules name the class of each image: (N,) class indices a rule.

    Args:
        known: what the gallery says of the images, by k neighbours or more, or nothing.
        asked: the images.
        examples: (E, d) of the unseen classes; where there are some, each has one.
        labels: (E,), numbered as in `asked`.
        k: neighbours that vote, cut to those that there are; of equally near ones the gallery's come first.
    """
    distances = np.hstack([known.distances, cdist(asked.vectors, examples)])
    of = np.hstack([known.labels, np.broadcast_to(labels, (len(distances), len(labels)))])
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    near, theirs = (np.take_along_axis(each, nearest, axis=1) for each in (distances, of))
    likeness = known.likeness
    if len(examples):
        means = directions(examples, labels - asked.seen, asked.classes - asked.seen)
        likeness = np.hstack([likeness, asked.vectors @ means.T])
    votes = vote(near, theirs, asked.classes)
    return {"knn": votes.argmax(axis=1), "prototype": likeness.argmax(axis=1)}


def _of_split(
    split: str,
    asked: Asked,
    unseen: "Embeddings",
    gallery: "Gallery",
    drawn: Sequence[Ints],
    weights: Weights,
) -> Iterator[Recognition]:
    known = Known.of(gallery, asked.vectors)
    old, new = np.flatnonzero(asked.labels < asked.seen), np.flatnonzero(asked.labels >= asked.seen)
    for n in (n for n in EXAMPLES if n <= min(order.shape[1] for order in drawn)):
        k = min(gallery.k, n)
        together = _shares(known, asked, unseen, [order[:, :n] for order in drawn], k)
        without = _shares(known, asked, unseen, [order[:1, :0] for order in drawn], k)
        figures = {
            "recall_unseen": (new, together),
            "recall_seen": (old, together),
            "balanced_accuracy_seen_only": (old, without),
        }
        if len(unseen.classes) > 1:
            alone = _shares(known.nothing(), asked, unseen, [order[:, :n] for order in drawn], k)
            figures["balanced_accuracy_unseen_only"] = new, alone
        for figure, (rows, shares) in figures.items():
            for rule, values in shares.items():
                found = _recall(values[rows], asked.labels[rows], weights[:, rows])
                yield Recognition(split, rule, n, figure, found)


def _shares(
    known: Known, asked: Asked, unseen: "Embeddings", drawn: Sequence[Ints], k: int
) -> dict[str, NDArray[np.float64]]:
    """The share of the draws in which each image is recognised, by each rule."""
    times = {rule: np.zeros(len(asked.labels), np.int64) for rule in RULES}
    for draw in zip(*drawn, strict=True):
        rows = np.concatenate(draw)
        named = answers(known, asked, unseen.vectors[rows], unseen.labels[rows] + asked.seen, k)
        for rule in RULES:
            times[rule] += named[rule] == asked.labels
    return {rule: counted / len(drawn[0]) for rule, counted in times.items()}


def _recall(shares: Floats, labels: Ints, weights: Weights) -> Interval:
    """Average the images of each class, then the classes."""
    columns = np.where(labels[:, None] == np.unique(labels), shares[:, None], np.nan)
    values = {"recall": float(np.nanmean(columns, axis=0).mean())}
    drawn = {"recall": intervals.mean(intervals.averages(columns, weights), np.nanmean(columns, axis=0))}
    bases = intervals.bases(labels, None, weights)
    return intervals.bounded(values, drawn, {"recall": bases["balanced_accuracy"]}, 0.0)["recall"]


def scores(found: Sequence[Recognition]) -> list["Score"]:
    """The figures as rows of the report, in subsets that are named by the number of examples."""
    return [
        (each.split, each.rule, f"few-shot n={each.examples}", each.figure, *astuple(each.found))
        for each in found
    ]


def headline(found: Sequence[Recognition], split: str) -> dict[str, float]:
    """What KNN makes of the unseen classes in one split: `recall_<examples>`; empty where there are none."""
    return {
        f"recall_{each.examples}": each.found.value
        for each in found
        if (each.split, each.rule, each.figure) == (split, "knn", "recall_unseen")
    }
