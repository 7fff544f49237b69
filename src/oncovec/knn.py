"""The fitted gallery: nearest neighbours among the training embeddings, and what val chose for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec import calibration
from oncovec.embeddings import Embeddings, Floats, Ints, read_arrays
from oncovec.errors import OncovecError
from oncovec.files import replacing
from oncovec.ranking import Ranking

CHOSEN = ("threshold", "head_threshold", "temperature", "head_temperature")
"""Fields that a gallery may lack."""

FAR = 0.99
"""Share of val's images that are not far from the gallery."""

QUERIES = 256
"""Compared with the gallery at a time: of 23,000 images, 47 MB of distances."""

SAME = 1e-12
"""Squared distances below this are rounding: differences of float64 squares of vectors of length about 1."""


@dataclass(frozen=True)
class Gallery:
    """Labelled training embeddings that answer queries, with what was chosen on val.

    `embeddings` (G, d) float32, `labels` (G,) indices into `classes`, `images` (G,) strings. `threshold` and
    `head_threshold` apply to the positive class's probability; None where the task is not binary, or there
    is no head. `tta`: the embeddings are means over mirrored views, so a query's must be, too. `temperature`
    and `head_temperature` are those of `calibration`: neither `probabilities` nor the thresholds know them.
    `appearance` (G, A) float32 is what the training images look like (`inference.Embedded`); a query whose
    own is further than `far` from each is far from everything (see `far_threshold`). None: embeddings tell.
    """

    embeddings: NDArray[np.float32]
    labels: Ints
    images: NDArray[np.str_]
    classes: tuple[str, ...]
    positive: str
    k: int
    threshold: float | None = None
    head_threshold: float | None = None
    tta: bool = False
    temperature: float | None = None
    head_temperature: float | None = None
    far: float = np.inf
    appearance: NDArray[np.float32] | None = None

    @property
    def positive_index(self) -> int | None:
        """Column of the positive class, None where the task is not binary."""
        return self.classes.index(self.positive) if self.positive else None

    def neighbours(self, queries: Floats, k: int | None = None) -> tuple[Floats, Ints]:
        """Find each query's k nearest gallery rows (default: the fitted k), nearest first.

        Args:
            queries: (M, d), of length 1.
            k: cut to the gallery's size.

        Returns:
            Euclidean distances (M, k) in [0, 2] and gallery rows (M, k).
        """
        return nearest(self.embeddings, queries, min(k or self.k, len(self.labels)))

    def unlikeness(self, queries: Floats) -> Floats:
        """Distance (M,) from each query's appearance (M, A) to that of the gallery image most like it."""
        known = self.embeddings if self.appearance is None else self.appearance
        return nearest(known, queries, 1)[0][:, 0]

    def is_far(self, queries: Floats) -> NDArray[np.bool_]:
        """Tell which queries, by their appearance (M, A), are far from every gallery image."""
        return self.unlikeness(queries) > self.far

    def probabilities(self, queries: Floats) -> Floats:
        """Return the distance-weighted votes of each query's k neighbours: (M, C), rows sum to 1."""
        distances, rows = self.neighbours(queries)
        return vote(distances, self.labels[rows], len(self.classes))


def nearest(known: Floats, queries: Floats, k: int) -> tuple[Floats, Ints]:
    """Find the k rows of `known` that are nearest to each query, nearest first, by comparing with all.

    scikit-learn's brute force does the same and takes two seconds to import. Of equal distances the lower row
    comes first, except that any may be the last one kept.

    Args:
        known: (G, d).
        queries: (M, d).
        k: in [1, G].

    Returns:
        Euclidean distances (M, k), 0 where two vectors are the same but for rounding, and rows (M, k).
    """
    known = known.astype(np.float64)
    lengths = np.einsum("ij,ij->i", known, known)
    distances, rows = np.zeros((len(queries), k)), np.zeros((len(queries), k), np.int64)
    for start in range(0, len(queries), QUERIES):
        asked = queries[start : start + QUERIES].astype(np.float64)
        squares = np.einsum("ij,ij->i", asked, asked)[:, None] + lengths - 2 * asked @ known.T
        squares[squares < SAME] = 0
        # Sorted by row, so that a stable sort by distance leaves equal ones in their order.
        chosen = np.sort(np.argpartition(squares, k - 1, axis=1)[:, :k], axis=1)
        found = np.take_along_axis(squares, chosen, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        distances[start : start + QUERIES] = np.sqrt(np.take_along_axis(found, order, axis=1))
        rows[start : start + QUERIES] = np.take_along_axis(chosen, order, axis=1)
    return distances, rows


def vote(distances: Floats, labels: Ints, classes: int) -> Floats:
    """Turn neighbours into class probabilities, each neighbour weighted by 1 / distance.

    This is scikit-learn's `KNeighborsClassifier(weights="distance")`, from a search that is already done, so
    that one search serves every k. Neighbours at distance 0 outvote all others (Dudani 1976).

    Args:
        distances: (M, k), at least 0.
        labels: (M, k) in [0, classes).
        classes: C; a class without neighbours gets 0.

    Returns:
        (M, C), rows sum to 1.
    """
    same = distances == 0
    with np.errstate(divide="ignore"):
        weights = np.where(same.any(axis=1, keepdims=True), same, 1 / distances)
    votes = np.zeros((len(distances), classes))
    np.add.at(votes, (np.arange(len(distances))[:, None], labels), weights)
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def fit(embeddings: Embeddings, candidates: Sequence[int], sensitivity: float | None = None) -> Gallery:
    """Make the train side the gallery and choose k, operating point, temperatures and what is far on val.

    k: see `choose`. Thresholds are of probabilities as they are; the temperatures change neither. Test labels
    are not read.

    Args:
        embeddings: of all sides.
        candidates: values of k; those above the gallery's size are skipped.
        sensitivity: see `operating_point`; binary tasks only.

    Raises:
        OncovecError: if there is no training image or no candidate fits.
    """
    train, val = embeddings.rows("train"), embeddings.rows("val")
    fitting = sorted({k for k in candidates if 1 <= k <= len(train)})
    if not fitting:
        raise OncovecError(
            f"knn.k: no candidate of {list(candidates)} fits a gallery of {len(train)} training images; "
            "add a smaller k or more images"
        )
    gallery = Gallery(
        embeddings.vectors[train],
        embeddings.labels[train],
        embeddings.images[train],
        embeddings.classes,
        embeddings.positive,
        k=fitting[-1],
        tta=embeddings.tta,
        appearance=None if embeddings.appearance is None else embeddings.appearance[train],
    )
    unlike = gallery.unlikeness(embeddings.looks[val])
    distances, rows = gallery.neighbours(embeddings.vectors[val])
    labels, positive, n_classes = embeddings.labels[val], embeddings.positive_index, len(embeddings.classes)
    votes = {k: vote(distances[:, :k], gallery.labels[rows[:, :k]], n_classes) for k in fitting}
    k = choose(labels, embeddings.groups[val], votes, positive)
    chosen = {"temperature": calibration.temperature(votes[k], labels, "knn")}
    if embeddings.head is not None:
        chosen["head_temperature"] = calibration.temperature(embeddings.head[val], labels, "head")
    if positive is not None:
        chosen["threshold"] = operating_point(labels == positive, votes[k][:, positive], sensitivity)
        if embeddings.head is not None:
            head = embeddings.head[val, positive]
            chosen["head_threshold"] = operating_point(labels == positive, head, sensitivity)
    return replace(gallery, k=k, far=far_threshold(unlike), **chosen)  # type: ignore[arg-type]


def choose(labels: Ints, groups: NDArray[np.str_], votes: Mapping[int, Floats], positive: int | None) -> int:
    """Choose k by what its votes are worth on val.

    With more than two classes it is the one of best balanced accuracy, the smallest at a tie: rare classes
    lose by a large k. In a binary task, whose threshold is chosen afterwards, it is the largest whose AUROC
    is within one standard error of the best (the rule of Breiman et al., "Classification and Regression
    Trees", 1984, section 3.4.3): few neighbours rank coarsely, and the best of several AUROC of few groups is
    a matter of luck. The error is that of a jackknife over groups (Efron & Stein, Annals of Statistics 9,
    1981).
    Where val defines none of these figures, it is the smallest.

    Args:
        labels: (N,) class indices.
        groups: (N,).
        votes: probabilities (N, C) of each k.
        positive: column of the positive class; None where the task is not binary.
    """
    fitting = sorted(votes)
    merits = {k: _merit(labels, votes[k], positive) for k in fitting}
    # `max` keeps the first of equals.
    best = max(fitting, key=lambda k: merits[k])
    if positive is None or not merits[best]:
        return best
    error = _standard_error(labels == positive, votes[best][:, positive], groups)
    return max(k for k in fitting if merits[k] >= merits[best] - error)


def far_threshold(nearest: Floats) -> float:
    """Choose the distance beyond which an image is far from all training images: val's 99th percentile.

    It is the smallest of val's own distances that at least 99 % of them do not exceed, so that of images
    like val's about 1 % are far. Below 100 images that is the largest. Infinite where val is empty: nothing
    is far then.

    Args:
        nearest: (N,) how unlike each val image is to the gallery image most like it.
    """
    return float(np.quantile(nearest, FAR, method="inverted_cdf")) if len(nearest) else np.inf


def operating_point(
    is_positive: NDArray[np.bool_], probability: Floats, sensitivity: float | None = None
) -> float:
    """Choose the threshold t of `positive where probability >= t`.

    Candidates are 0 and the midpoints between neighbouring distinct probabilities. Without `sensitivity` the
    one of best balanced accuracy is taken, at a tie the one nearest to 0.5; with it the largest one that
    calls at least this share of the positives positive. 0.5 where there are no positives or no negatives.

    Args:
        is_positive: (N,).
        probability: (N,) in [0, 1].
        sensitivity: in (0, 1], or None.
    """
    n_positive = int(is_positive.sum())
    n_negative = len(is_positive) - n_positive
    if not n_positive or not n_negative:
        return 0.5
    distinct = np.unique(probability.astype(np.float64))
    thresholds = np.concatenate([[0.0], (distinct[1:] + distinct[:-1]) / 2])
    hits = n_positive - np.searchsorted(np.sort(probability[is_positive]), thresholds)
    rejections = np.searchsorted(np.sort(probability[~is_positive]), thresholds)
    if sensitivity is not None:
        return float(thresholds[hits / n_positive >= sensitivity].max())
    # Balanced accuracy times 2 * n_positive * n_negative: integers, so that ties are exact.
    merit = hits * n_negative + rejections * n_positive
    best = thresholds[merit == merit.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])


def save(gallery: Gallery, path: Path) -> None:
    """Write a gallery as npz without pickles; equal galleries give equal bytes."""
    arrays: dict[str, Any] = {
        "embedding": gallery.embeddings,
        "label": gallery.labels,
        "image": gallery.images,
        "classes": np.array(gallery.classes),
        "positive": np.array(gallery.positive),
        "k": np.array(gallery.k),
        "tta": np.array(gallery.tta),
        "far": np.array(gallery.far),
    }
    if gallery.appearance is not None:
        arrays["appearance"] = gallery.appearance
    for name in CHOSEN:
        value = getattr(gallery, name)
        if value is not None:
            arrays[name] = np.array(value)
    with replacing(path) as part:
        np.savez(part, **arrays)


def load(path: Path) -> Gallery:
    """Read a gallery.

    Raises:
        OncovecError: if the file is missing or damaged.
    """
    system = path.name.removesuffix(".npz").removesuffix(".knn")
    names = ("embedding", "label", "image", "classes", "positive", "k", "tta", "far")
    content = read_arrays(path, names, f"dvc repro knn@{system}")
    return Gallery(
        content["embedding"],
        content["label"],
        content["image"],
        tuple(content["classes"].tolist()),
        str(content["positive"]),
        int(content["k"]),
        tta=bool(content["tta"]),
        far=float(content["far"]),
        appearance=content.get("appearance"),
        **{name: _number(content.get(name)) for name in CHOSEN},
    )


def _merit(labels: Ints, probabilities: Floats, positive: int | None) -> float:
    """Return the figure on val by which k is chosen; 0 where val does not define it."""
    from oncovec.evaluation import metrics, predict

    found = metrics(labels, probabilities, predict(probabilities, None, None), positive)
    # Rounded, so that the order of a sum does not break a tie.
    return round(found.get("balanced_accuracy" if positive is None else "auroc", 0.0), 12)


def _standard_error(is_positive: NDArray[np.bool_], probability: Floats, groups: NDArray[np.str_]) -> float:
    """Return the standard error of the AUROC by leaving out each group once; 0 where that defines none."""
    names, group_of = np.unique(groups, return_inverse=True)
    without = 1.0 - np.eye(len(names))[:, group_of]
    with np.errstate(invalid="ignore"):  # without the only group of a class
        areas = Ranking(probability, is_positive).figures(without, ())["auroc"]
    areas = areas[np.isfinite(areas)]
    return float(np.sqrt((len(areas) - 1) * areas.var())) if len(areas) else 0.0


def _number(value: NDArray[Any] | None) -> float | None:
    return None if value is None else float(value)
