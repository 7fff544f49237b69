"""How many images a trained system calls out of distribution: its own kind, and unrelated images.

    python benchmarks/ood_images.py SYSTEM@EXPERIMENT … [-o FILE.csv]

Each names what `dvc exp run` trained; this checkout has the prepared arrays of all four datasets. A system is
asked about its val and test images, about val images distorted as in distortions.py, about 40 images of each
kind that the datasets have, drawn from all splits, and about 40 parts of two photographs, as they are and
grey. The training images are embedded anew, since an experiment may be of a version that judged otherwise.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import distortions
import numpy as np
from distortions import Kept, Pixels
from PIL import Image
from sklearn.datasets import load_sample_images

from oncovec.core import paths
from oncovec.data import index, prepare
from oncovec.evaluation import knn
from oncovec.evaluation.gallery import Gallery
from oncovec.evaluation.ood import Centres
from oncovec.metrics import classification
from oncovec.metrics.classification import Floats, Ints

COUNT = 40
"""Images of a kind."""

COVERAGE = 0.97
"""Share of val images that get a class, as `evaluate.coverage`."""

COLUMNS = ("system", "seed", "shown", "images", "ood_share")

KINDS: dict[str, tuple[str, Callable[[Mapping[str, str]], bool]]] = {
    "brain MRI": ("multi_organ", lambda row: row["label"].startswith("brain_")),
    "breast ultrasound": ("multi_organ", lambda row: row["label"].startswith("breast_")),
    "lung CT": ("multi_organ", lambda row: row["label"].startswith("lung_")),
    "brain MRI (multi_cancer)": ("multi_cancer", lambda row: row["organ"] == "Brain"),
    "cervix cells": ("multi_cancer", lambda row: row["organ"] == "Cervix"),
    "lung histology": ("multi_cancer", lambda row: row["organ"] == "Lung"),
    "nuclei": ("pcam", lambda row: True),
    "skin": ("isic2020", lambda row: True),
}
"""Of each kind its dataset, and which rows of the index are of it."""


NAMES = (
    "val",
    *(f"val, {name}" for name in distortions.DISTORTIONS if name != "none"),
    *("test", *KINDS, "photographs", "grey photographs"),
)
"""What systems are shown, in the order of the table."""


def of_kind(kind: str) -> Pixels:
    """Draw prepared images of a kind."""
    dataset, belongs = KINDS[kind]
    rows = [number for number, row in index.read(paths.index(dataset)).iterrows() if belongs(row)]
    chosen = np.random.default_rng(0).choice(rows, COUNT, replace=False)
    return np.asarray(prepare.open_prepared(dataset)[np.sort(chosen)])


def photographs() -> Pixels:
    """Draw square parts of the two photographs that come with scikit-learn, 160 px."""
    rng, parts = np.random.default_rng(0), []
    for number in range(COUNT):
        photo = Image.fromarray(load_sample_images().images[number % 2])
        side = int(rng.integers(min(photo.size) // 2, min(photo.size) + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in photo.size)
        parts.append(np.asarray(photo.crop((left, top, left + side, top + side)).resize((160, 160))))
    return np.stack(parts)


def grey(images: Pixels) -> Pixels:
    """The mean of the three channels in each."""
    return np.repeat(np.round(images.mean(axis=3, keepdims=True)).astype(np.uint8), 3, axis=3)


def shown(kept: Kept) -> Iterator[tuple[str, Pixels]]:
    """What a system is asked about, each with its name."""
    val, dataset = kept.stored(kept.known.rows("val")), kept.known.dataset
    for name, distort in distortions.DISTORTIONS.items():
        if dataset not in distortions.GREY or name not in ("warm", "cool"):
            yield ("val" if name == "none" else f"val, {name}"), np.stack([distort(image) for image in val])
    yield "test", kept.stored(kept.known.rows("test"))
    for kind in KINDS:
        yield kind, of_kind(kind)
    yield "photographs", photographs()
    yield "grey photographs", grey(photographs())


def judge(named: str) -> list[list[object]]:
    """The share of each kind of image that a system calls out of distribution."""
    kept = distortions.load(named)
    gallery, known, classes = kept.gallery, kept.known, len(kept.known.classes)
    train, val = (kept.embed(kept.stored(known.rows(split)), tta=False) for split in ("train", "val"))
    model = Centres.fit(train.ood_features, known.labels[known.rows("train")], classes, whiten=True)
    limit = knn.choose_ood_limit(model.distances(val.ood_features, predicted(gallery, val.vectors)), COVERAGE)
    gallery = replace(gallery, ood_centres=model, ood_limit=limit)
    told, found = [named.partition("@")[0], kept.params["split"]["seed"]], []
    for name, images in shown(kept):
        embedded = kept.embed(images, tta=False)
        of_class = predicted(gallery, embedded.vectors)
        ood = gallery.is_ood(embedded.ood_features, of_class)
        found.append([*told, name, len(images), float(ood.mean())])
    return found


def predicted(gallery: Gallery, vectors: Floats) -> Ints:
    """The class that KNN predicts for each."""
    votes = gallery.probabilities(vectors)
    return classification.predict(votes, gallery.thresholds)


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Shares in Markdown: a row for each that was shown, a column a system in the order given."""
    columns = list(dict.fromkeys((row[0], row[1]) for row in rows))
    share = {(row[0], row[1], row[2]): float(str(row[4])) for row in rows}
    lines = [f"| shown | {' | '.join(f'{system}, seed {seed}' for system, seed in columns)} |"]
    lines.append("| --- " * (1 + len(columns)) + "|")
    for name in (name for name in NAMES if any((*each, name) in share for each in columns)):
        cells = [f"{share[*each, name]:.2f}" if (*each, name) in share else "" for each in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    distortions.run(judge, table, COLUMNS, Path("benchmarks/ood_images.csv"))
