"""Result tables of a system: headline metrics, the long report, and predictions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from oncovec.core import tables

if TYPE_CHECKING:
    from oncovec.data.embeddings import Embeddings
    from oncovec.evaluation.predictions import PredictionOutput
    from oncovec.evaluation.scores import Score

REPORT_COLUMNS = ("split", "model", "subset", "class", "metric", "value", "low", "high")
MODELS = ("knn", "head")
ALL = "all"
"""Name of the subset and of the class that contain all images."""

THRESHOLD, NORMAL_THRESHOLD = "threshold", "normal_threshold"
"""Rows with operating points: of the positive class of a binary task, and of a normal class."""

OWN_IMAGES = "own training images"
"""Name of the subset that is predicted with itself as gallery."""

Row = tuple[Any, ...]
"""Row of the report: split, model, subset, class, metric, value, low, high."""


def headline(
    source: str,
    outputs: Sequence["PredictionOutput"],
    few_shot: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Return `{"source", "n_val", "n_test", "val": {model: metrics}, "test": …}` of the evaluated splits.

    Args:
        source: phantom, remote or local.
        outputs: predictions of the system.
        few_shot: for each split, recall on few-shot classes; it is added beside the models if there is any.
    """
    splits = dict.fromkeys(output.split for output in outputs)
    content: dict[str, Any] = {"source": source}
    for split in splits:
        content[f"n_{split}"] = next(len(each.rows) for each in outputs if each.split == split)
    for split in splits:
        content[split] = {each.model: each.metrics() for each in outputs if each.split == split}
        if few_shot and few_shot.get(split):
            content[split]["few_shot"] = dict(few_shot[split])
    return content


def report(
    outputs: Sequence["PredictionOutput"],
    scores: Sequence["Score"],
    k: Mapping[str, int],
    ood_limit: float = math.inf,
    own_images: float | None = None,
) -> pd.DataFrame:
    """Return the report: `scores` with their intervals, metrics per class, and values that are chosen on val.

    The class is `all` for scores, and `macro` or `weighted` for averages over classes. The rows of k, of the
    thresholds and of the system's temperatures have the split `val`, since they are chosen on val.

    Args:
        outputs: predictions of the system and of the baselines.
        scores: scores of the same models.
        k: k of each model that has one.
        ood_limit: see `knn.choose_ood_limit`; an infinite one has no row.
        own_images: accuracy of KNN on its own training images; its row has the subset `OWN_IMAGES`.
    """
    own = (
        [] if own_images is None else [("train", "knn", OWN_IMAGES, ALL, "accuracy", own_images, None, None)]
    )
    rows = [
        *((split, model, subset, ALL, *rest) for split, model, subset, *rest in scores),
        *(row for each in outputs for row in _of_classes(each)),
        *(row for each in outputs if each.split == "val" for row in _chosen(each, k, ood_limit)),
        *own,
    ]
    return tables.of(REPORT_COLUMNS, rows)


def _of_classes(each: "PredictionOutput") -> Iterator[Row]:
    from oncovec.evaluation.predictions import per_class

    if each.model in MODELS:
        for name, metric, value in per_class(each):
            yield each.split, each.model, ALL, name, metric, value, None, None


def _chosen(each: "PredictionOutput", k: Mapping[str, int], ood_limit: float) -> Iterator[Row]:
    where = each.split, each.model, ALL
    if each.model in k:
        yield *where, ALL, "k", k[each.model], None, None
    if each.model == "knn" and math.isfinite(ood_limit):
        yield *where, ALL, "ood_limit", ood_limit, None, None
    if each.thresholds is not None:
        positive = each.positive_index
        for label in np.flatnonzero(~np.isnan(each.thresholds)).tolist():
            of, metric = (label, NORMAL_THRESHOLD) if positive is None else (positive, THRESHOLD)
            yield *where, each.classes[of], metric, exact(each.thresholds[label]), None, None
    if each.model in MODELS and each.temperature is not None:
        yield *where, ALL, "temperature", each.temperature, None, None


def exact(number: float) -> str:
    """Return a probability as text with all of its digits, for a cell that is not rounded.

    Votes of far classes are often below 1e-6, and still rank images: rounded, they would make ties, and other
    metrics than those of the report.

    Raises:
        ValueError: for NaN or infinity.
    """
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {number}")
    return repr(float(number))


def predictions(embeddings: "Embeddings", outputs: Sequence["PredictionOutput"]) -> pd.DataFrame:
    """Return the table of predictions, sorted by split, then by image.

    `predicted` is the prediction of KNN. `p_<class>` are the probabilities of KNN, `head_p_<class>` those of
    the head.
    """
    classes = np.array(embeddings.classes)
    of_splits = []
    for split in dict.fromkeys(each.split for each in outputs):
        knn, *head = (each for each in outputs if each.split == split)
        table = pd.DataFrame(
            {
                "image": embeddings.images[knn.rows],
                "group": embeddings.groups[knn.rows],
                "split": split,
                "label": classes[knn.labels],
                "predicted": classes[knn.predicted],
            }
        )
        for prefix, each in (("p_", knn), *(("head_p_", each) for each in head)):
            names = [prefix + name for name in embeddings.classes]
            table = table.join(pd.DataFrame(each.probabilities, columns=names).map(exact))
        of_splits.append(table)
    return pd.concat(of_splits).sort_values(["split", "image"], ignore_index=True)
