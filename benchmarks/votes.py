"""Votes of KNN compared: how many training images vote, and how much each weighs.

    python benchmarks/votes.py SYSTEM@EXPERIMENT … [-o FILE.csv]

Each names what `dvc exp run` trained, such as the runs of elsewhere.py. Metrics are those of each half of
val, and the AUROC of external test sets whose labels are two, one of them a class (`brain_notumor`): of the
other label against it, by the probability of its classes. The likeliest class is predicted, without an
operating point. Test images are not touched.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import distortions
import numpy as np
import ood_scores
from distortions import Kept
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import euclidean_distances

from oncovec.core import tables
from oncovec.metrics import classification
from oncovec.metrics.neighbours import DEVIATIONS

Floats = NDArray[np.floating[Any]]

KS = (1, 5, 15, 50)
TEMPERATURE = 0.05
"""Of exp(cosine similarity / temperature), as self-supervised learning judges embeddings (Wu et al. 2018)."""

COLUMNS = ("system", "votes", "k", "images", "metric", "value")


def nearest(distances: Floats, k: int) -> Floats:
    """Return the distances, infinite beyond the k-th nearest."""
    return np.where(distances <= np.partition(distances, k - 1)[:, k - 1 : k], distances, np.inf)


def gaussian(distances: Floats, k: int) -> Floats:
    """Return the weights of `oncovec.metrics.neighbours.vote`."""
    deviation = np.partition(distances, k - 1)[:, k - 1 : k] / DEVIATIONS
    return np.exp(-((distances / deviation) ** 2) / 2)


def by_similarity(distances: Floats) -> Floats:
    """Return exp(cosine similarity / `TEMPERATURE`), as a ratio to that of the nearest."""
    square = distances**2
    return np.exp((square.min(axis=1, keepdims=True) - square) / (2 * TEMPERATURE))


VOTES: dict[str, Callable[[Floats, int], Floats]] = {
    "the k nearest, by 1 / distance": lambda d, k: 1 / np.maximum(nearest(d, k), 1e-6),
    "the k nearest, by similarity": lambda d, k: by_similarity(nearest(d, k)),
    "all, by similarity": lambda d, k: by_similarity(d),
    "all, by a Gaussian of the k-th distance": gaussian,
}
"""Weight of each training image, from distances (M, G) and k."""


def rows_of(named: str) -> list[list[object]]:
    """Return the metrics of every kind of votes."""
    kept = distortions.load(named)
    known, gallery = kept.known, kept.gallery
    of = np.eye(len(gallery.classes))[gallery.labels]
    halves = {"val, chosen on": known.chosen_on(), "val, the other half": known.evaluated("val")}
    distances = {name: between(kept, known.vectors[rows]) for name, rows in halves.items()}
    sets = {}
    for name, pixels, right, of_organ in ood_scores.external_sets(kept, named):
        if (asked := asked_of(kept, right, of_organ)) is not None:
            sets[name] = asked
            distances[name] = between(kept, kept.embed(pixels, gallery.tta).vectors)
    found: list[list[object]] = []
    for votes, weigh in VOTES.items():
        for k in KS:
            for name, each in distances.items():
                weights = weigh(each, k)
                probabilities = weights @ of / weights.sum(axis=1, keepdims=True)
                if name in sets:
                    classes, is_label = sets[name]
                    area = roc_auc_score(is_label, probabilities[:, classes].sum(axis=1))
                    found.append([named, votes, k, name, "auroc", area])
                    continue
                labels = known.labels[halves[name]]
                predicted = probabilities.argmax(axis=1)
                metrics = classification.metrics(labels, probabilities, predicted, known.positive_index)
                found += [
                    [named, votes, k, name, metric, metrics[metric]] for metric in ("f1_macro", "auroc")
                ]
    return found


def between(kept: Kept, vectors: Floats) -> Floats:
    """Return the distances of embeddings to the gallery."""
    return np.asarray(
        euclidean_distances(vectors.astype(np.float64), kept.gallery.embeddings.astype(np.float64))
    )


def asked_of(
    kept: Kept, right: Sequence[Sequence[str]], of_organ: set[str]
) -> tuple[list[int], NDArray[np.bool_]] | None:
    """Return the classes of the label that has several, and which images have it; None without."""
    labels = sorted({tuple(each) for each in right}, key=len)
    if len(labels) != 2 or {*labels[0], *labels[1]} != of_organ or len(labels[0]) > 1:
        return None
    classes = [kept.gallery.classes.index(name) for name in labels[1]]
    return classes, np.array([tuple(each) == labels[1] for each in right])


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Means over the trainings in Markdown, with the standard deviation of those of val's macro F1."""
    told = list(dict.fromkeys((str(row[3]), str(row[4])) for row in rows))
    lines = [
        f"| votes of training images | k | {' | '.join(f'{name}: {metric}' for name, metric in told)} |",
        "| --- " * (2 + len(told)) + "|",
    ]
    for votes, k in dict.fromkeys((str(row[1]), str(row[2])) for row in rows):
        cells = []
        for each in told:
            values = [
                float(str(row[5]))
                for row in rows
                if (str(row[1]), str(row[2]), str(row[3]), str(row[4])) == (votes, k, *each)
            ]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 and each[1] == "f1_macro" else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        lines.append(f"| {votes} | {k} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Try every kind of votes on every system that is named, write the csv and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("systems", nargs="+", metavar="SYSTEM@EXPERIMENT")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/votes.csv"))
    options = parser.parse_args()
    rows = [row for named in options.systems for row in rows_of(named)]
    tables.write(options.output, tables.of(COLUMNS, rows))
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
