"""Plot data of a system: one small table per kind of plot, for the last evaluated split."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import precision_recall_curve, roc_curve
from threadpoolctl import threadpool_limits

from oncovec.core import tables
from oncovec.evaluation.overlay import COLUMNS
from oncovec.evaluation.predictions import PredictionOutput
from oncovec.evaluation.report import ALL
from oncovec.evaluation.scores import HEADLINE
from oncovec.metrics import calibration
from oncovec.metrics.classification import confusion as counted

if TYPE_CHECKING:
    from oncovec.data.embeddings import Embeddings
    from oncovec.evaluation.few_shot import FewShotMetric

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
PLOTTED = (*HEADLINE, "sensitivity", "specificity")
"""Metrics in the plot of metrics; the last two exist only for binary tasks."""

CURVE_POINTS = 100
"""Largest number of points of a ROC or precision-recall curve."""

SCATTER_DIGITS = 4


def of_system(
    embeddings: "Embeddings",
    last: Sequence[PredictionOutput],
    report: pd.DataFrame,
    few_shot_metrics: Sequence["FewShotMetric"],
    points: int,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Return the table of every kind of plot for the last evaluated split; a table may have no rows.

    Args:
        embeddings: embeddings of the system, of all splits.
        last: predictions for that split: first those of KNN, then those of the head if there is one.
        report: report of the system, for any splits.
        few_shot_metrics: metrics of the recognition of few-shot classes, for any splits.
        points: largest number of points of the scatter plot; see `scatter`.
        seed: random seed of the choice of these points.
    """
    split = last[0].split
    return {
        "metrics": metrics(report, split),
        "confusion": confusion(last[0]),
        "roc": roc(last),
        "precision_recall": precision_recall(last),
        "reliability": reliability(last),
        "subgroups": subgroups(report, split),
        "few_shot": few_shot([each for each in few_shot_metrics if each.split == split]),
        "embedding": scatter(embeddings, list(dict.fromkeys(["train", "val", split])), points, seed),
    }


def metrics(report: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return (model, metric, value, low, high) for the system's models and the baselines."""
    everything = report[(report["split"] == split) & (report["subset"] == ALL) & (report["class"] == ALL)]
    chosen = everything[everything["metric"].isin(PLOTTED) & everything["low"].notna()]
    return chosen[list(COLUMNS["metrics"])]


def subgroups(report: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return (subset, metric, value, low, high, images) of KNN for every subset of the images.

    The rows of all images come first. Without subsets there are no rows. If units are evaluated, `images` is
    the number of units.
    """
    own = report[(report["split"] == split) & (report["model"] == "knn") & (report["class"] == ALL)]
    sizes = own[own["metric"].isin(["images", "units"])].drop_duplicates("subset", keep="last")
    sizes = sizes[["subset", "value"]].rename(columns={"value": "images"})
    found = own[own["metric"].isin(HEADLINE) & own["low"].notna()].merge(sizes, on="subset")
    found = found[list(COLUMNS["subgroups"])]
    return found if set(found["subset"]) != {ALL} else found.iloc[:0]


def confusion(output: PredictionOutput) -> pd.DataFrame:
    """Return (actual, predicted, images, share) for every pair of classes; `share` is of the actual class."""
    names = output.classes
    counts = counted(output.labels, output.predicted, len(names))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        (actual, predicted, int(counts[i, j]), float(shares[i, j]))
        for i, actual in enumerate(names)
        for j, predicted in enumerate(names)
    ]
    return tables.of(COLUMNS["confusion"], rows)


def roc(outputs: Sequence[PredictionOutput]) -> pd.DataFrame:
    """Return (model, class, fpr, tpr) for each class against the rest, or only for the positive class."""
    rows: list[tuple[Any, ...]] = []
    for model, name, mine, probabilities in _against_the_rest(outputs):
        fpr, tpr, _ = roc_curve(mine, probabilities)
        rows += [(model, name, *point) for point in _thinned(fpr, tpr)]
    return tables.of(COLUMNS["roc"], rows)


def precision_recall(outputs: Sequence[PredictionOutput]) -> pd.DataFrame:
    """Return (model, class, recall, precision, prevalence) for the classes of `roc`.

    A curve goes from recall 1 to recall 0. Each precision holds down to the recall of the next point, as in
    average precision; a straight line between two points would be too high (Davis and Goadrich 2006). The
    last point, precision 1 at recall 0, is by definition. `prevalence` is the share of the class.
    """
    rows: list[tuple[Any, ...]] = []
    for model, name, mine, probabilities in _against_the_rest(outputs):
        precision, recall, _ = precision_recall_curve(mine, probabilities, drop_intermediate=True)
        rows += [(model, name, *point, float(mine.mean())) for point in _thinned(recall, precision)]
    return tables.of(COLUMNS["precision_recall"], rows)


def _against_the_rest(
    outputs: Sequence[PredictionOutput],
) -> Iterator[tuple[str, str, NDArray[np.bool_], Floats]]:
    """Yield model, class, which images are of the class, and its probabilities; no class without a rest."""
    for each in outputs:
        for column in range(len(each.classes)) if each.positive_index is None else [each.positive_index]:
            mine = each.labels == column
            if mine.any() and not mine.all():
                yield each.model, each.classes[column], mine, each.probabilities[:, column]


def _thinned(x: Floats, y: Floats) -> list[tuple[float, float]]:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE_POINTS)).round().astype(int))
    return list(zip(x[kept].tolist(), y[kept].tolist(), strict=True))


def reliability(outputs: Sequence[PredictionOutput]) -> pd.DataFrame:
    """Return (series, confidence, accuracy, images): the means of each bin, before and after calibration.

    The series are each model and, if it has a temperature, `<model> calibrated`. Bins without images are left
    out. Confidence and accuracy are those of the likeliest class; thresholds are ignored (see
    `calibration.binned`).
    """
    rows = []
    for each in outputs:
        series = {each.model: each.probabilities}
        if each.temperature is not None:
            tempered = calibration.calibrated(each.probabilities, each.temperature, each.model)
            series[f"{each.model} calibrated"] = tempered
        for name, probabilities in series.items():
            confidence, right, bins = calibration.binned(each.labels, probabilities)
            counts = np.bincount(bins, minlength=calibration.BINS)
            for index in np.flatnonzero(counts).tolist():
                inside = bins == index
                means = float(confidence[inside].mean()), float(right[inside].mean())
                rows.append((name, *means, int(counts[index])))
    return tables.of(COLUMNS["reliability"], rows)


def few_shot(found: Sequence["FewShotMetric"]) -> pd.DataFrame:
    """Return (examples, rule, metric, value, low, high); there are no rows without few-shot classes."""
    rows = [
        (each.examples, each.rule, each.metric, each.found.value, each.found.low, each.found.high)
        for each in found
    ]
    return tables.of(COLUMNS["few_shot"], rows)


def scatter(embeddings: "Embeddings", splits: Sequence[str], points: int, seed: int) -> pd.DataFrame:
    """Return (method, x, y, label, split): embeddings in the plane, by PCA and by t-SNE.

    PCA is fitted on train. Both methods show the same images, at most `points`. t-SNE (van der Maaten and
    Hinton 2008) starts from PCA. It is left out if it is undefined: for fewer than five images, or if all are
    in one point.

    Args:
        embeddings: embeddings of all splits.
        splits: splits to show.
        points: largest number of images to show, over all splits.
        seed: random seed of the choice of images and of t-SNE.
    """
    chosen = _chosen(embeddings, splits, points, seed)
    vectors = embeddings.vectors.astype(np.float64)
    train = vectors[embeddings.rows("train")]
    with np.errstate(invalid="ignore"):  # 0 / 0 in an unused metric if all are one point
        pca = PCA(n_components=min(2, *train.shape), svd_solver="full").fit(train)
    flat = pca.transform(vectors[chosen])
    planes = {"pca": np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))}
    spread = np.ptp(vectors[chosen], axis=0).max(initial=0.0)
    if len(chosen) >= 5 and vectors.shape[1] >= 2 and spread > 1e-6:
        planes["tsne"] = _tsne(vectors[chosen], seed)
    rows = []
    for method, plane in planes.items():
        for row, (x, y) in zip(chosen.tolist(), plane.round(SCATTER_DIGITS).tolist(), strict=True):
            label, split = embeddings.classes[embeddings.labels[row]], str(embeddings.splits[row])
            rows.append((method, x, y, label, split))
    return tables.of(COLUMNS["embedding"], rows)


def _chosen(embeddings: "Embeddings", splits: Sequence[str], points: int, seed: int) -> Ints:
    """Return the rows to show; train is reduced first, the others only if they exceed half of `points`."""
    generator = np.random.default_rng(seed)

    def thinned(rows: Ints, most: int) -> Ints:
        return rows if len(rows) <= most else generator.choice(rows, most, replace=False)

    train = embeddings.rows("train") if "train" in splits else np.zeros(0, np.int64)
    others = np.concatenate([embeddings.rows(split) for split in splits if split != "train"])
    others = thinned(others, max(points // 2, points - len(train)))
    return np.sort(np.concatenate([thinned(train, points - len(others)), others]))


def _tsne(vectors: Floats, seed: int) -> Floats:
    # The usual perplexity of 30 needs more than 90 images, since t-SNE uses three times as many neighbours.
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    # Each of its thousand short steps waits for the slowest thread. On a busy machine, one thread is ten
    # times as fast as two.
    with threadpool_limits(1):
        plane = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(vectors)
    return np.asarray(plane, np.float64)
