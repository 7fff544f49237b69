"""OOD scores compared: which images of other collections each would answer, and what it costs at home.

    python benchmarks/ood_scores.py SYSTEM@EXPERIMENT … [-o FILE.csv]

Each names what `dvc exp run` trained, such as the runs of elsewhere.py, with the same split. Every score gets
the limit that 97 % of the images of the val half `calibrate` do not exceed. It is tried on the other half of
val, and on the external test sets of the experiment, without the images that its stage left out; they are
read from the roots in its params. Predictions are those of KNN. Test images are not touched. With several
trainings, their disagreement is a score, too, for the predictions of the first.
"""

import argparse
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distortions
import numpy as np
import torch
from distortions import Kept
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from oncovec.core import paths, tables
from oncovec.core.datasets import External
from oncovec.evaluation import external, knn, revisions
from oncovec.evaluation.ood import Centres
from oncovec.learning import systems
from oncovec.learning.images import Images
from oncovec.metrics import classification, conformal
from oncovec.metrics.neighbours import nearest
from oncovec.serving import inputs

Floats = NDArray[np.floating[Any]]

COVERAGE = 0.97
"""Share of val images that get a class, as `evaluate.coverage`."""

NEIGHBOUR, COMPONENTS = 10, 128
"""Which nearest image counts among pooled features; principal components that ViM takes for the inside."""

COLUMNS = ("system", "score", "set", "images", "coverage", "wrong_and_answered", "elsewhere_and_answered")


@dataclass(frozen=True)
class Shown:
    """Outputs of a network for N images.

    Attributes:
        vectors: (N, d) embeddings, as the gallery has them.
        means: (N, A) ood_features.
        pooled: (N, F) features of the backbone.
        views: (V, N, C) class probabilities of the head for each view of test-time augmentation; of training
            images for the unchanged one alone.
        logits: (N, C) of the unchanged image.
        predicted: (N,) class index by KNN.
        wrong, elsewhere: (N,) whether this class is wrong, and whether it is of another organ.
    """

    vectors: Floats
    means: Floats
    pooled: Floats
    views: Floats
    logits: Floats
    predicted: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    elsewhere: NDArray[np.bool_]


@torch.inference_mode()
def show(
    kept: Kept, pixels: NDArray[np.uint8], label_of: Sequence[Sequence[str]], known: set[str], count: int = 4
) -> Shown:
    """Show images to a network.

    Args:
        kept: a trained system.
        pixels: (N, H, W, 3) stored images.
        label_of: (N,) the classes that are right for each image.
        known: the classes of which any is no class of another organ.
        count: number of views of test-time augmentation, the unchanged image first.
    """
    found, network, gallery = kept.embed(pixels, kept.gallery.tta), kept.network, kept.gallery
    images = Images(
        pixels, torch.device("cpu"), kept.facts["input_size"], systems.preprocessing_of(kept.facts)
    )
    pooled, views, logits = [], [], []
    for start in range(0, len(pixels), distortions.BATCH):
        rows = np.arange(start, min(start + distortions.BATCH, len(pixels)))
        batch = images.normalise(images.take(rows))
        pooled.append(network.backbone(batch))
        mirrored = (batch, batch.flip(3), batch.flip(2), batch.flip(2, 3))
        turned = [network(each).logits for each in mirrored[:count]]
        logits.append(turned[0])
        views.append(torch.stack([each.softmax(1) for each in turned]))
    votes = gallery.probabilities(found.vectors)
    predicted = classification.predict(votes, gallery.thresholds)
    names = [gallery.classes[number] for number in predicted]
    return Shown(
        found.vectors,
        found.ood_features,
        torch.cat(pooled).numpy().astype(np.float64),
        torch.cat(views, dim=1).numpy(),
        torch.cat(logits).numpy(),
        predicted,
        np.array([name not in right for name, right in zip(names, label_of, strict=True)]),
        np.array([name not in known for name in names]),
    )


def mahalanobis(features: Floats, labels: NDArray[np.int64], classes: int) -> Callable[[Floats], Floats]:
    """Return the distance to the nearest class."""
    model = Centres.fit(features, labels, classes, whiten=True)
    return lambda shown: absolute(model, shown).min(axis=1)


def absolute(model: Centres, features: Floats) -> Floats:
    """Return the distance of each image to the centre of each class, (N, C), without its radius."""
    count = len(features)
    return np.stack(
        [
            model.distances(features, np.full(count, label)) * radius
            for label, radius in enumerate(model.radii)
        ],
        axis=1,
    )


def relative(features: Floats, labels: NDArray[np.int64], classes: int) -> Callable[[Floats], Floats]:
    """Return the squared distance to the nearest class minus that to all images (Ren et al. 2021)."""
    of_classes = mahalanobis(features, labels, classes)
    of_all = mahalanobis(features, np.zeros(len(labels), np.int64), 1)
    return lambda shown: of_classes(shown) ** 2 - of_all(shown) ** 2


def vim(features: Floats, logits: Floats) -> Callable[[Shown], Floats]:
    """Return virtual-logit matching (Wang et al., CVPR 2022): what principal components leave, and energy."""
    centre = features.mean(axis=0)
    covariance, _ = ledoit_wolf(features - centre, assume_centered=True)
    outside = np.linalg.eigh(covariance)[1][:, : -min(COMPONENTS, len(covariance) - 1)]

    def residual(pooled: Floats) -> Floats:
        return np.asarray(np.linalg.norm((pooled - centre) @ outside, axis=1))

    scale = logits.max(axis=1).mean() / residual(features).mean()
    return lambda shown: scale * residual(shown.pooled) + energy(shown)


def energy(shown: Shown) -> Floats:
    """Return the energy of the logits (Liu et al., NeurIPS 2020)."""
    most = shown.logits.max(axis=1)
    return np.asarray(-most - np.log(np.exp(shown.logits - most[:, None]).sum(axis=1)))


def disagreement(votes: Floats) -> Floats:
    """Return how much probabilities (V, N, C) differ: the entropy of their mean minus their mean entropy."""

    def entropy(each: Floats) -> Floats:
        return np.asarray(-(each * np.log(np.maximum(each, 1e-12))).sum(axis=-1))

    return entropy(votes.mean(axis=0)) - entropy(votes).mean(axis=0)


def scores_of(kept: Kept, train: Shown, labels: NDArray[np.int64]) -> dict[str, Callable[[Shown], Floats]]:
    """Return every score with one limit for all classes, fitted to training images."""
    classes = len(kept.gallery.classes)
    of_means, of_pooled = (mahalanobis(each, labels, classes) for each in (train.means, train.pooled))
    of_relative, of_vim = relative(train.means, labels, classes), vim(train.pooled, train.logits)
    scale, unit = train.means.std(axis=0) + 1e-9, unit_rows(train.pooled)
    return {
        "nearest image, channel means": lambda x: nearest(train.means / scale, x.means / scale, 1)[0][:, 0],
        "Mahalanobis, nearest class, channel means": lambda x: of_means(x.means),
        "relative Mahalanobis, channel means": lambda x: of_relative(x.means),
        "Mahalanobis, nearest class, pooled features": lambda x: of_pooled(x.pooled),
        "tenth nearest image, pooled features": lambda x: nearest(unit, unit_rows(x.pooled), NEIGHBOUR)[0][
            :, -1
        ],
        "tenth nearest image, embedding": lambda x: nearest(train.vectors, x.vectors, NEIGHBOUR)[0][:, -1],
        "virtual-logit matching (ViM)": of_vim,
        "energy of the head": energy,
        "largest logit of the head": lambda x: -x.logits.max(axis=1),
        "probability of the head": lambda x: -x.views[0].max(axis=1),
        "disagreement of views (TTA)": lambda x: disagreement(x.views),
        "prediction sets: how well the second class fits": lambda x: second_class(kept, x),
    }


def unit_rows(features: Floats) -> Floats:
    """Return the rows with length 1."""
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def second_class(kept: Kept, shown: Shown) -> Floats:
    """Return how well the second class fits: high if it is nearly in the prediction set."""
    gallery = kept.gallery
    ratios = conformal.ratios(gallery.embeddings, gallery.labels, shown.vectors, len(gallery.classes))
    return -np.sort(ratios, axis=1)[:, 1]


def tried(
    kept: Kept, sets: Mapping[str, Shown], train: Shown, calibrate: Shown
) -> dict[str, Mapping[str, Any]]:
    """Return for each score, and for each set, which images are answered: (N,)."""
    known, classes = kept.known, len(kept.gallery.classes)
    labels = known.labels[known.rows("train")]
    found: dict[str, Mapping[str, Any]] = {}
    for name, score in scores_of(kept, train, labels).items():
        limit = np.quantile(score(calibrate), COVERAGE, method="inverted_cdf")
        found[name] = {key: score(shown) <= limit for key, shown in sets.items()}
    own = known.labels[known.evaluated("val")]
    for name, feature in (("channel means", "means"), ("pooled features", "pooled")):
        model = Centres.fit(getattr(train, feature), labels, classes, whiten=True)
        limits = own_limits(absolute(model, getattr(calibrate, feature))[np.arange(len(own)), own], own)
        found[f"Mahalanobis, predicted class with its own limit, {name}"] = {
            key: absolute(model, getattr(shown, feature))[np.arange(len(shown.predicted)), shown.predicted]
            <= limits[shown.predicted]
            for key, shown in sets.items()
        }
    spaces = {
        "embedding": ("vectors", Centres.fit(train.vectors, labels, classes)),
        "channel means": ("means", Centres.fit(train.means, labels, classes, whiten=True)),
    }
    for names in (("embedding",), ("channel means",), ("embedding", "channel means")):

        def distances(shown: Shown, names: Sequence[str] = names) -> Floats:
            chosen = [spaces[name] for name in names]
            return np.stack([m.distances(getattr(shown, f), shown.predicted) for f, m in chosen], axis=1)

        share = 1 - (1 - COVERAGE) / len(names)
        limits = [knn.choose_ood_limit(each, share) for each in distances(calibrate).T]
        found[f"centre of the predicted class, over its radius: {', '.join(names)}"] = {
            key: (distances(shown) <= limits).all(axis=1) for key, shown in sets.items()
        }
    return found


def own_limits(distances: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return a limit for each class: a quantile of its own distances, and no more than that of all."""

    def quantile(values: Floats) -> float:
        return float(np.quantile(values, COVERAGE, method="inverted_cdf"))

    return np.array([quantile(distances[labels == label]) for label in range(labels.max() + 1)]).clip(
        max=quantile(distances)
    )


def shown_to(kept: Kept, named: str) -> dict[str, Shown]:
    """Show a system the images of train, both halves of val, and its external test sets."""
    known = kept.known
    rows = {"train": known.rows("train"), "calibrate": known.evaluated("val"), "val": known.chosen_on()}
    found = {
        name: show(
            kept,
            kept.stored(each),
            [(known.classes[label],) for label in known.labels[each]],
            set(known.classes),
            count=1 if name == "train" else 4,
        )
        for name, each in rows.items()
    }
    for name, pixels, right, of_organ in external_sets(kept, named):
        found[name] = show(kept, pixels, right, of_organ)
    return found


def external_sets(
    kept: Kept, named: str
) -> Iterator[tuple[str, NDArray[np.uint8], list[Sequence[str]], set[str]]]:
    """Yield each external test set of a system, without the images that its stage left out.

    Yields:
        Its name, the stored images, the classes that are right for each, and the classes of its organ.
    """
    system, _, experiment = named.partition("@")
    for name, told in kept.params["external"].items():
        row = External.model_validate(told)
        if row.task != kept.known.task:
            continue
        (text,) = revisions.read(experiment, [paths.external(name)])
        table = tables.parse(io.StringIO(text, newline=""), name, external.COLUMNS)
        table = table[table["system"] == system]
        right = [row.labels.get(label, (label,)) for label in table["label"]]
        root, size, resize = Path(row.root), kept.facts["image_size"], kept.facts["resize"]
        pixels = np.stack([inputs.square(root / image, size, resize) for image in table["image"]])
        yield name, pixels, right, {each for classes in [*right, *row.labels.values()] for each in classes}


def rows_of(
    named: str, score: str, answered: Mapping[str, Any], sets: Mapping[str, Shown]
) -> list[list[object]]:
    """Return a row for each set."""
    return [[named, score, name, len(each), *shares(each, sets[name])] for name, each in answered.items()]


def shares(answered: NDArray[np.bool_], shown: Shown) -> list[float]:
    """Return coverage, wrong_and_answered and elsewhere_and_answered."""
    return [float(each.mean()) for each in (answered, answered & shown.wrong, answered & shown.elsewhere)]


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Means over the trainings in Markdown: a row for each score; coverage, and the two shares of errors."""
    names = list(dict.fromkeys(str(row[2]) for row in rows))
    lines = [f"| score | {' | '.join(names)} |", "| --- " * (1 + len(names)) + "|"]
    for score in dict.fromkeys(str(row[1]) for row in rows):
        cells = []
        for name in names:
            own = np.array(
                [list(map(float, map(str, row[4:]))) for row in rows if list(row[1:3]) == [score, name]]
            )
            cells.append(", ".join(f"{value:.2f}" for value in own.mean(axis=0)))
        lines.append(f"| {score} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Try every score on every system that is named, write the csv and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("systems", nargs="+", metavar="SYSTEM@EXPERIMENT")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/ood_scores.csv"))
    options = parser.parse_args()
    every, rows = [], list[list[object]]()
    for named in options.systems:
        kept = distortions.load(named)
        shown = shown_to(kept, named)
        every.append(shown)
        sets = {name: each for name, each in shown.items() if name not in ("train", "calibrate")}
        for score, answered in tried(kept, sets, shown["train"], shown["calibrate"]).items():
            rows += rows_of(named, score, answered, sets)
    if len(every) > 1:
        apart = {
            name: disagreement(np.stack([each[name].views[0] for each in every]))
            for name in ("calibrate", *sets)
        }
        limit = np.quantile(apart["calibrate"], COVERAGE, method="inverted_cdf")
        answered = {name: apart[name] <= limit for name in sets}
        rows += rows_of(options.systems[0], f"disagreement of {len(every)} trainings", answered, every[0])
    tables.write(options.output, tables.of(COLUMNS, rows))
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
