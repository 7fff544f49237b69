"""Fitting of KNN: the values that are chosen on val for a gallery of training embeddings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.core.errors import OncovecError
from oncovec.data.embeddings import Embeddings, Floats, Ints
from oncovec.evaluation.gallery import Gallery
from oncovec.evaluation.ood import Centres
from oncovec.metrics import calibration, conformal
from oncovec.metrics.classification import auroc, disease, predict, recall
from oncovec.metrics.intervals import CELLS
from oncovec.metrics.neighbours import votes
from oncovec.metrics.ranking import Ranking

LEAST = 1e-12
"""Probability of disease below which nothing is told apart by a threshold."""

ROOTS = 2
"""Factor of the upper limit for k, this factor times the square root of the number of training images."""


def fit(
    embeddings: Embeddings,
    candidates: Sequence[int],
    sensitivity: float | None = None,
    specificity: float | None = None,
    coverage: float = 1.0,
    set_coverage: float = 0.95,
) -> Gallery:
    """Make a gallery of the train split and choose k, thresholds and temperatures on val.

    `few_enough` and `choose` select k. k, the operating points and the temperatures are chosen on one half of
    val, the threshold of prediction sets on the other, the limit of the OOD score on all of val. Operating
    points apply to uncalibrated probabilities. The temperatures change neither the probabilities nor the
    thresholds. Test labels are not read.

    Args:
        embeddings: embeddings of all splits.
        candidates: values of k; a single value is used without a choice.
        sensitivity: see `operating_point`; for binary tasks.
        specificity: see `normal_threshold`; for tasks that name normal classes. Without it the likeliest
            class is predicted.
        coverage: see `choose_ood_limit`.
        set_coverage: share of prediction sets that hold the true class, see `metrics.conformal`.

    Raises:
        OncovecError: if there is no training image or no candidate fits.
    """
    train, val = embeddings.rows("train"), embeddings.chosen_on()
    fitting = few_enough(candidates, len(train))
    gallery = Gallery(
        embeddings.vectors[train],
        embeddings.labels[train],
        embeddings.images[train],
        embeddings.classes,
        embeddings.positive,
        embeddings.weights,
        fitting[-1],
        Centres.fit(
            embeddings.ood_vectors[train],
            embeddings.labels[train],
            len(embeddings.classes),
            whiten=embeddings.ood_features is not None,
        ),
        tta=embeddings.tta,
    )
    labels, positive, n_classes = embeddings.labels[val], embeddings.positive_index, len(embeddings.classes)
    voted = votes(gallery.embeddings, gallery.labels, embeddings.vectors[val], fitting, n_classes)
    k = choose(labels, embeddings.groups[val], voted, positive)
    chosen: dict[str, Any] = {"temperature": calibration.temperature(voted[k], labels, "knn")}
    if embeddings.head is not None:
        chosen["head_temperature"] = calibration.temperature(embeddings.head[val], labels, "head")
    chosen["thresholds"] = thresholds(embeddings, voted[k], sensitivity, specificity)
    if embeddings.head is not None:
        chosen["head_thresholds"] = thresholds(embeddings, embeddings.head[val], sensitivity, specificity)
    fitted = replace(gallery, k=k, **chosen)
    return replace(fitted, **_calibrated(fitted, embeddings, coverage, set_coverage))


def _calibrated(gallery: Gallery, embeddings: Embeddings, coverage: float, set_coverage: float) -> Any:
    """Choose the fields of a gallery that promise a share of images.

    Few images decide the OOD limit, the most unusual ones of val, so all of val is used. The threshold of
    prediction sets is chosen on the half of val for calibration alone, because the epoch and k of the other
    half are those with the most right classes there.
    """
    every, rows = embeddings.rows("val"), embeddings.evaluated("val")
    predicted = predict(gallery.probabilities(embeddings.vectors[every]), gallery.thresholds)
    distances = gallery.ood_centres.distances(embeddings.ood_vectors[every], predicted)
    ratios = conformal.ratios(
        gallery.embeddings, gallery.labels, embeddings.vectors[rows], len(gallery.classes)
    )
    return {
        "ood_limit": choose_ood_limit(distances, coverage),
        "set_threshold": conformal.threshold(
            ratios[np.arange(len(rows)), embeddings.labels[rows]], set_coverage
        ),
    }


def few_enough(candidates: Sequence[int], images: int) -> list[int]:
    """Return the candidates for k, ascending, that are suitable for a gallery of `images` images.

    These are the candidates up to twice the square root of the number of images, and always the smallest one.
    With a larger k, most votes come from images that are unrelated to the query and do not explain the
    prediction. Still, a binary task would often choose such a k, since it uses the largest k that is about as
    good as the best. The square root is the usual rule of thumb (Duda, Hart & Stork, "Pattern
    Classification", 2001, chapter 4).

    Raises:
        OncovecError: if even the smallest is larger than the gallery.
    """
    smallest = min(candidates)
    if smallest > images:
        raise OncovecError(
            f"knn.k: no candidate of {list(candidates)} fits a gallery of {images} training images; "
            "add a smaller k or more images"
        )
    return sorted({k for k in candidates if k == smallest or k <= min(images, ROOTS * math.sqrt(images))})


def choose(labels: Ints, groups: NDArray[np.str_], votes: Mapping[int, Floats], positive: int | None) -> int:
    """Choose k by a metric of its votes on val.

    Thresholds are chosen afterwards. With more than two classes, the k with the best balanced accuracy of the
    likeliest class is chosen, and the smallest one at a tie, since a large k is a disadvantage for rare
    classes. In a binary task, the largest k with an AUROC within one standard error of the best is chosen
    (the rule of Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3). The reason is
    that few neighbours rank coarsely, and that the best of several AUROC of few groups is partly random. The
    standard error comes from a jackknife over groups (Efron & Stein, Annals of Statistics 9, 1981).
    If val defines none of these metrics, the smallest k is chosen.

    Args:
        labels: (N,) class indices.
        groups: (N,).
        votes: probabilities (N, C) for each k.
        positive: column of the positive class; None if the task is not binary.
    """
    fitting = sorted(votes)
    merits = {k: _merit(labels, votes[k], positive) for k in fitting}
    # `max` keeps the first of equals.
    best = max(fitting, key=lambda k: merits[k])
    if positive is None or not merits[best]:
        return best
    error = _standard_error(labels == positive, votes[best][:, positive], groups)
    return max(k for k in fitting if merits[k] >= merits[best] - error)


def choose_ood_limit(distances: Floats, coverage: float) -> float:
    """Choose the distance to the predicted class above which an image is out of distribution.

    Another image of the same kind is within the limit with a probability of about `coverage`. The limit is
    the distance of rank ceil((N + 1) · coverage). So the probability would be at least `coverage`, as in
    split conformal prediction (Papadopoulos et al., ECML 2002), if k and the thresholds were not chosen on
    some of the same images. If N is too small for this rank, the limit is the largest distance, and fewer
    images are within it.

    Args:
        distances: (N,) of val images to their predicted classes, see `ood.Centres.distances`.
        coverage: share of images to be answered, above 0, at most 1.

    Returns:
        The limit; infinite if val is empty.
    """
    if not len(distances):
        return math.inf
    rank = math.ceil((len(distances) + 1) * coverage)
    return float(np.sort(distances)[min(rank, len(distances)) - 1])


def thresholds(
    embeddings: Embeddings, probabilities: Floats, sensitivity: float | None, specificity: float | None
) -> NDArray[np.float64]:
    """Choose the operating point of a model: a threshold for each class without disease.

    Args:
        embeddings: embeddings of all splits.
        probabilities: (N, C) of the images of val on which values are chosen.
        sensitivity: see `operating_point`; for binary tasks.
        specificity: see `normal_threshold`; for other tasks.

    Returns:
        (C,), as `classification.predict` uses them; NaN for classes with disease, and for all classes of a
        task that is not binary without `specificity`.
    """
    normal, positive = embeddings.without_disease, embeddings.positive_index
    found = np.full(len(normal), np.nan)
    if not normal.any():
        return found
    labels = embeddings.labels[embeddings.chosen_on()]
    against, of_disease = disease(probabilities.astype(np.float64), normal)
    for label in np.flatnonzero(normal).tolist():
        if positive is not None:
            found[label] = operating_point(labels == positive, of_disease, sensitivity)
        elif specificity is not None:
            found[label] = normal_threshold(of_disease[normal[labels] & (against == label)], specificity)
    return found


def normal_threshold(of_disease: Floats, specificity: float) -> float:
    """Choose the threshold of a normal class from normal images of val that it is the likeliest one for.

    Images of other collections that show a disease get more votes for it than normal images of the training
    collections do, but often fewer than for the normal class. So the threshold is low: another normal image
    of the same kind is below it with a probability of about `specificity`, by the rule of split conformal
    prediction (Papadopoulos et al., ECML 2002), though k is chosen on the same images. It lies between the
    probabilities of rank ceil((N + 1) · specificity) and of the next rank, at their geometric mean, because
    they differ by orders of magnitude. It is at most 0.5, so a disease that is likelier than the normal class
    is predicted in any case. It is 0.5 if N is too small for this rank: below 6 for a specificity of 0.85.

    Args:
        of_disease: (N,) probability of disease, see `classification.disease`.
        specificity: above 0, below 1.
    """
    rank = math.ceil((len(of_disease) + 1) * specificity)
    if rank > len(of_disease):
        return 0.5
    low, high = np.append(np.sort(of_disease), 0.5).clip(LEAST, 0.5)[[rank - 1, rank]].tolist()
    return math.sqrt(low * high)


def operating_point(
    is_positive: NDArray[np.bool_], probability: Floats, sensitivity: float | None = None
) -> float:
    """Choose the threshold t; an image is predicted positive if its probability is at least t.

    Candidates are 0 and the midpoints between neighbouring distinct probabilities. Without `sensitivity`, the
    candidate with the best balanced accuracy is chosen; at a tie, the one nearest to 0.5. With `sensitivity`,
    the largest candidate that predicts at least this share of the positives as positive is chosen. Without
    positives or without negatives, t is 0.5.

    Args:
        is_positive: (N,).
        probability: (N,) in [0, 1].
        sensitivity: above 0, below 1, or None.
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
    # Balanced accuracy times 2 * n_positive * n_negative; integers make ties exact.
    merit = hits * n_negative + rejections * n_positive
    best = thresholds[merit == merit.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _merit(labels: Ints, probabilities: Floats, positive: int | None) -> float:
    """Return the metric on val that is used to choose k; 0 if val does not define it."""
    if positive is not None:
        merit = auroc(labels, probabilities, positive) or 0.0
    else:
        recalls = recall(labels, predict(probabilities))
        merit = float(np.mean(list(recalls.values()))) if recalls else 0.0
    # Rounded, so that the order of a sum does not break a tie.
    return round(merit, 12)


def _standard_error(is_positive: NDArray[np.bool_], probability: Floats, groups: NDArray[np.str_]) -> float:
    """Return the standard error of the AUROC by leaving out each group once; 0 if it is undefined."""
    names, group_of = np.unique(groups, return_inverse=True)
    ranking, rows = Ranking(probability, is_positive), max(1, CELLS // len(groups))
    parts = []
    with np.errstate(invalid="ignore"):  # undefined if the only group of a class is left out
        for start in range(0, len(names), rows):
            left_out = np.arange(start, min(start + rows, len(names)))[:, None]
            parts.append(ranking.metrics((group_of != left_out).astype(np.float64), ())["auroc"])
    areas = np.concatenate(parts)
    areas = areas[np.isfinite(areas)]
    return float(np.sqrt((len(areas) - 1) * areas.var())) if len(areas) else 0.0
