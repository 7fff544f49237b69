"""Operating points compared: what the specificity of normal classes gives on images of other collections.

    python benchmarks/operating_points.py SYSTEM@EXPERIMENT … [-o FILE.csv]

Each names what `dvc exp run` trained for a task with normal classes, such as the runs of elsewhere.py. The
gallery is fitted again with each specificity, and without one (the likeliest class is predicted). Metrics are
those of the val half `calibrate` and of the external test sets of the experiment. The OOD limit is chosen
on this half, too, so its coverage is too good; the thresholds are not. Test images are not touched.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import distortions
import numpy as np
import ood_scores
from distortions import Kept
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from oncovec.core import tables
from oncovec.evaluation import knn
from oncovec.evaluation.gallery import Gallery
from oncovec.metrics.classification import predict

Floats = NDArray[np.floating[Any]]

SPECIFICITIES = (None, 0.95, 0.9, 0.85, 0.8)
COLUMNS = ("system", "specificity", "images", "metric", "value")


def rows_of(named: str) -> list[list[object]]:
    """Return the metrics of every specificity."""
    kept = distortions.load(named)
    known, val = kept.known, kept.known.evaluated("val")
    shown: dict[str, tuple[Floats, Floats, list[Sequence[str]]]] = {
        "val": (
            known.vectors[val],
            known.ood_vectors[val],
            [(known.classes[label],) for label in known.labels[val]],
        )
    }
    for name, pixels, right, _ in ood_scores.external_sets(kept, named):
        embedded = kept.embed(pixels, kept.gallery.tta)
        shown[name] = embedded.vectors, embedded.ood_features, list(right)
    found: list[list[object]] = []
    for specificity in SPECIFICITIES:
        gallery = fitted(kept, specificity)
        for name, (vectors, features, right) in shown.items():
            of_set = at_home(kept, gallery, vectors) if name == "val" else {}
            of_set |= metrics(gallery, vectors, features, right)
            found += [[named, specificity, name, metric, value] for metric, value in of_set.items()]
    return found


def fitted(kept: Kept, specificity: float | None) -> Gallery:
    """Fit the gallery as the stage evaluate does, but with another specificity."""
    settings = kept.params["evaluate"]
    shares = settings["coverage"], settings["set_coverage"]
    return knn.fit(kept.known, kept.params["knn"]["k"], settings["sensitivity"], specificity, *shares)


def metrics(
    gallery: Gallery, vectors: Floats, features: Floats, right: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Return accuracy over all images, and the shares that are answered, and answered wrongly."""
    predicted = predict(gallery.probabilities(vectors), gallery.thresholds)
    answered = ~gallery.is_ood(features, predicted)
    hit = np.array([gallery.classes[each] in names for each, names in zip(predicted, right, strict=True)])
    return {
        "accuracy": float(hit.mean()),
        "coverage": float(answered.mean()),
        "wrong_and_answered": float((answered & ~hit).mean()),
    }


def at_home(kept: Kept, gallery: Gallery, vectors: Floats) -> dict[str, float]:
    """Return macro F1, and the shares of normal images and of sick ones that are told to be so."""
    labels, normal = kept.known.labels[kept.known.evaluated("val")], kept.known.without_disease
    predicted = predict(gallery.probabilities(vectors), gallery.thresholds)
    return {
        "f1_macro": float(f1_score(labels, predicted, average="macro")),
        "specificity": float(normal[predicted][normal[labels]].mean()),
        "sensitivity": float((~normal[predicted])[~normal[labels]].mean()),
    }


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Means over the trainings in Markdown: a row per specificity, a column per set with its metrics."""
    sets = {
        name: list(dict.fromkeys(str(row[3]) for row in rows if row[2] == name))
        for name in dict.fromkeys(str(row[2]) for row in rows)
    }
    heads = [f"{name}: {', '.join(metrics)}" for name, metrics in sets.items()]
    lines = [f"| specificity | {' | '.join(heads)} |", "| --- " * (1 + len(sets)) + "|"]
    for specificity in SPECIFICITIES:
        cells = []
        for name, metrics in sets.items():
            of_set = [row for row in rows if (row[1], row[2]) == (specificity, name)]
            values = [[float(str(row[4])) for row in of_set if row[3] == metric] for metric in metrics]
            cells.append(", ".join(f"{np.mean(each):.3f}" for each in values))
        lines.append(f"| {'none' if specificity is None else specificity} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Try every specificity on every system that is named, write the csv and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("systems", nargs="+", metavar="SYSTEM@EXPERIMENT")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/operating_points.csv"))
    options = parser.parse_args()
    rows = [row for named in options.systems for row in rows_of(named)]
    tables.write(options.output, tables.of(COLUMNS, rows))
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
