"""Data behind the plots: small tables in Git that `dvc plots show` and `dvc plots diff` draw."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import precision_recall_curve, roc_curve
from threadpoolctl import threadpool_limits

from oncovec.evaluation.predictions import Judgement
from oncovec.metrics import calibration

if TYPE_CHECKING:
    from oncovec.data.embeddings import Embeddings
    from oncovec.evaluation.unseen import Recognition

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]

CURVE_POINTS = 200
"""Points kept of a ROC or precision-recall curve."""

BINS = 10
"""Bars of a probability histogram."""

SCATTER_DIGITS = 4


def tables(
    embeddings: "Embeddings",
    last: Sequence[Judgement],
    newcomers: Sequence["Recognition"],
    points: int,
    seed: int,
) -> dict[str, Table]:
    """Return the table of every kind of plot, about the last side judged.

    Args:
        embeddings: the system's, of all sides.
        last: what was answered on that side: its KNN comes first, then the head where there is one.
        newcomers: how unseen classes are recognised, on any side.
        points: of the scatter; see `scatter`.
        seed: of its choice.
    """
    side = last[0].side
    return {
        "confusion": confusion(last[0]),
        "roc": roc(last),
        "precision_recall": precision_recall(last),
        "class_distribution": class_distribution(embeddings),
        "prediction_distribution": prediction_distribution(last[0]),
        "probability": probability(last[0]),
        "reliability": reliability(last),
        "unseen": unseen([each for each in newcomers if each.side == side]),
        "scatter": scatter(embeddings, list(dict.fromkeys(["train", "val", side])), points, seed),
    }


def confusion(judgement: Judgement) -> Table:
    """Return (actual, predicted), one row an image, sorted."""
    names = judgement.classes
    pairs = zip(judgement.labels.tolist(), judgement.predicted.tolist(), strict=True)
    return ("actual", "predicted"), sorted((names[actual], names[predicted]) for actual, predicted in pairs)


def roc(judgements: Sequence[Judgement]) -> Table:
    """Return (model, class, fpr, tpr): each class against the rest, in a binary task the positive one's."""

    def curve(mine: NDArray[np.bool_], probability: Floats) -> tuple[Floats, Floats]:
        false_positives, true_positives, _ = roc_curve(mine, probability)
        return false_positives, true_positives

    return ("model", "class", "fpr", "tpr"), list(_curves(judgements, curve))


def precision_recall(judgements: Sequence[Judgement]) -> Table:
    """Return (model, class, recall, precision), recall ascending; classes as in `roc`."""

    def curve(mine: NDArray[np.bool_], probability: Floats) -> tuple[Floats, Floats]:
        precision, recall, _ = precision_recall_curve(mine, probability, drop_intermediate=True)
        return recall[::-1], precision[::-1]

    return ("model", "class", "recall", "precision"), list(_curves(judgements, curve))


def _curves(
    judgements: Sequence[Judgement],
    curve: Callable[[NDArray[np.bool_], Floats], tuple[Floats, Floats]],
) -> Iterator[tuple[Any, ...]]:
    for each in judgements:
        columns = range(len(each.classes)) if each.positive is None else [each.positive]
        for column in columns:
            mine = each.labels == column
            if mine.all() or not mine.any():
                continue
            x, y = curve(mine, each.probabilities[:, column])
            kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE_POINTS)).round().astype(int))
            for point in kept.tolist():
                yield each.model, each.classes[column], float(x[point]), float(y[point])


def class_distribution(embeddings: "Embeddings") -> Table:
    """Return (side, class, images), every class on every side."""
    rows = []
    for side in ("train", "val", "test"):
        counts = np.bincount(embeddings.labels[embeddings.rows(side)], minlength=len(embeddings.classes))
        rows += [(side, name, int(n)) for name, n in zip(embeddings.classes, counts, strict=True)]
    return ("side", "class", "images"), rows


def prediction_distribution(judgement: Judgement) -> Table:
    """Return (kind, class, images): how many images a class has, and how many are called by its name."""
    rows = []
    for kind, labels in (("actual", judgement.labels), ("predicted", judgement.predicted)):
        counts = np.bincount(labels, minlength=len(judgement.classes))
        rows += [(kind, name, int(n)) for name, n in zip(judgement.classes, counts, strict=True)]
    return ("kind", "class", "images"), rows


def probability(judgement: Judgement) -> Table:
    """Return (actual, probability, images): a histogram a class, bins named by their middles.

    The probability is the positive class's in a binary task, else that of the image's own class.
    """
    rows = []
    for column, name in enumerate(judgement.classes):
        judged = column if judgement.positive is None else judgement.positive
        values = judgement.probabilities[judgement.labels == column, judged]
        # Rounded, since 0.3 may arrive as 0.29999999999999993 and change bins with the machine.
        bins = np.clip((values.round(9) * BINS).round(6).astype(int), 0, BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        rows += [(name, (index + 0.5) / BINS, int(n)) for index, n in enumerate(counts)]
    return ("actual", "probability", "images"), rows


def reliability(judgements: Sequence[Judgement]) -> Table:
    """Return (series, confidence, accuracy, images): of each bin of confidence its means, before and after.

    The series are each model and, by its temperature, `<model> calibrated`; bins without images are left out.
    Both figures are of the likeliest class, whatever the threshold (see `calibration.binned`).
    """
    rows = []
    for each in judgements:
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
    return ("series", "confidence", "accuracy", "images"), rows


def unseen(found: Sequence["Recognition"]) -> Table:
    """Return (examples, rule, figure, value, low, high); no row where no class is unseen."""
    rows = [
        (each.examples, each.rule, each.figure, each.found.value, each.found.low, each.found.high)
        for each in found
    ]
    return ("examples", "rule", "figure", "value", "low", "high"), rows


def scatter(embeddings: "Embeddings", sides: Sequence[str], points: int, seed: int) -> Table:
    """Return (method, x, y, label, side): embeddings in the plane, by PCA and by t-SNE.

    PCA is fitted on train. Both show the same images, at most `points`. t-SNE (van der Maaten and Hinton
    2008) starts from PCA and is left out where it is undefined: below five images, or all in one point.

    Args:
        embeddings: of all sides.
        sides: those to show.
        points: most images to show, over all sides.
        seed: of the choice of images and of t-SNE.
    """
    chosen = _chosen(embeddings, sides, points, seed)
    vectors = embeddings.vectors.astype(np.float64)
    train = vectors[embeddings.rows("train")]
    with np.errstate(invalid="ignore"):  # 0 / 0 in a figure that is not read, where all are one point
        pca = PCA(n_components=min(2, *train.shape), svd_solver="full").fit(train)
    flat = pca.transform(vectors[chosen])
    planes = {"pca": np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))}
    spread = np.ptp(vectors[chosen], axis=0).max(initial=0.0)
    if len(chosen) >= 5 and vectors.shape[1] >= 2 and spread > 1e-6:
        planes["tsne"] = _tsne(vectors[chosen], seed)
    rows = []
    for method, plane in planes.items():
        for row, (x, y) in zip(chosen.tolist(), plane.round(SCATTER_DIGITS).tolist(), strict=True):
            label, side = embeddings.classes[embeddings.labels[row]], str(embeddings.sides[row])
            rows.append((method, x, y, label, side))
    return ("method", "x", "y", "label", "side"), rows


def _chosen(embeddings: "Embeddings", sides: Sequence[str], points: int, seed: int) -> Ints:
    """Rows to show: train is thinned first, the others only beyond half of `points`."""
    generator = np.random.default_rng(seed)

    def thinned(rows: Ints, most: int) -> Ints:
        return rows if len(rows) <= most else generator.choice(rows, most, replace=False)

    train = embeddings.rows("train") if "train" in sides else np.zeros(0, np.int64)
    others = np.concatenate([embeddings.rows(side) for side in sides if side != "train"])
    others = thinned(others, max(points // 2, points - len(train)))
    return np.sort(np.concatenate([thinned(train, points - len(others)), others]))


def _tsne(vectors: Floats, seed: int) -> Floats:
    # The usual 30 needs more than 90 images: t-SNE looks at three times as many neighbours.
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    # Its thousand short steps wait for the slowest thread: on a busy machine one is ten times as fast as two.
    with threadpool_limits(1):
        plane = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(vectors)
    return np.asarray(plane, np.float64)
