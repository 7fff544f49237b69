"""The gallery: labelled training embeddings, search for nearest images, and values that are chosen on val."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.core import paths
from oncovec.core.files import replacing, write_npz
from oncovec.core.parts import Parts
from oncovec.data.embeddings import arrays_of
from oncovec.evaluation.ood import Centres
from oncovec.metrics import conformal
from oncovec.metrics.classification import Floats, Ints
from oncovec.metrics.neighbours import nearest, votes

OPTIONAL = ("head_thresholds", "temperature", "head_temperature")
"""Fields of a gallery that may be None and are saved as they are."""


@dataclass(frozen=True)
class Gallery:
    """Labelled training embeddings for the prediction of queries, with the values that are chosen on val.

    `embeddings` is float32 (G, d), `labels` (G,) are indices into `classes`, `images` (G,) are strings.
    `thresholds` and `head_thresholds` are float64 (C,), the operating points, see `classification.predict`.
    Without any, KNN predicts the likeliest class; those of the head are None if there is none. If `tta` is
    true, the embeddings are means over mirrored views, and the embeddings of queries must be such means too.
    `temperature` and `head_temperature` are those of `calibration`; `probabilities` and the thresholds do not
    use them.
    `ood_centres` has the centres of the classes among the ood_vectors (`data.embeddings.Embeddings`). The OOD
    score of a query is the distance of its ood_vector to the centre of its predicted class, as a ratio to
    `ood_limit`, see `knn.choose_ood_limit`. Above 1 the query is out of distribution.
    `set_threshold` makes the prediction sets (`metrics.conformal`).
    `weights` is the sha256 of the weights that made the embeddings. Queries must be embedded with the same
    weights.
    """

    embeddings: NDArray[np.float32]
    labels: Ints
    images: NDArray[np.str_]
    classes: tuple[str, ...]
    positive: str
    weights: str
    k: int
    ood_centres: Centres
    thresholds: NDArray[np.float64] | None = None
    head_thresholds: NDArray[np.float64] | None = None
    tta: bool = False
    temperature: float | None = None
    head_temperature: float | None = None
    set_threshold: float = np.inf
    ood_limit: float = np.inf

    @property
    def positive_index(self) -> int | None:
        """Column of the positive class; None if the task is not binary."""
        return self.classes.index(self.positive) if self.positive else None

    def neighbours(self, queries: Floats, k: int | None = None) -> tuple[Floats, Ints]:
        """Find each query's k nearest gallery rows (default: the fitted k), nearest first.

        Args:
            queries: (M, d), of length 1.
            k: number of neighbours; a number above the gallery's size means the whole gallery.

        Returns:
            Euclidean distances (M, k) in [0, 2] and gallery rows (M, k).
        """
        return nearest(self.embeddings, queries, min(k or self.k, len(self.labels)))

    def ood_score(self, ood_vectors: Floats, predicted: Ints) -> Floats:
        """Return the OOD score (M,) of queries: the distance to the centre of the class over the limit.

        Args:
            ood_vectors: (M, A), of the same kind as those of the `ood_centres`.
            predicted: (M,) index of the class that is predicted for each.
        """
        if math.isinf(self.ood_limit):
            return np.zeros(len(predicted))
        distances = self.ood_centres.distances(ood_vectors, predicted)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(distances == 0, 0.0, distances / self.ood_limit)

    def is_ood(self, ood_vectors: Floats, predicted: Ints) -> NDArray[np.bool_]:
        """Return which queries are out of distribution: (M,); arguments as in `ood_score`."""
        return self.ood_score(ood_vectors, predicted) > 1

    def prediction_sets(self, queries: Floats, predicted: Ints) -> NDArray[np.bool_]:
        """Return which classes are in the prediction set of each query: (M, C); see `conformal.sets`."""
        ratios = conformal.ratios(self.embeddings, self.labels, queries, len(self.classes))
        return conformal.sets(ratios, self.set_threshold, predicted)

    def probabilities(self, queries: Floats) -> Floats:
        """Return the votes of the gallery for each query, weighted by distance: (M, C); rows sum to 1.

        See `neighbours.votes`.
        """
        k = min(self.k, len(self.labels))
        return votes(self.embeddings, self.labels, queries, [k], len(self.classes))[k]

    def save(self, path: Path) -> None:
        """Write the gallery as npz without pickles; equal galleries give equal bytes."""
        with replacing(path) as part:
            write_npz(part, self.arrays())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the gallery by the names that `save` gives them."""
        arrays: dict[str, NDArray[Any]] = {
            "embedding": self.embeddings,
            "label": self.labels,
            "image": self.images,
            "classes": np.array(self.classes),
            "positive": np.array(self.positive),
            "weights": np.array(self.weights),
            "k": np.array(self.k),
            "tta": np.array(self.tta),
            "set_threshold": np.array(self.set_threshold),
            "ood_limit": np.array(self.ood_limit),
            "ood_means": self.ood_centres.means,
            "ood_radii": self.ood_centres.radii,
            "thresholds": np.full(len(self.classes), np.nan) if self.thresholds is None else self.thresholds,
        }
        if self.ood_centres.whitening is not None:
            arrays["ood_whitening"] = self.ood_centres.whitening
        for name in OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                arrays[name] = np.array(value)
        return arrays

    @classmethod
    def load(cls, parts: Parts) -> "Gallery":
        """Read the gallery of a system.

        Raises:
            OncovecError: if the file is missing, damaged, or in an older format.
        """
        path = paths.gallery(parts.name)
        chosen = ("k", "tta", "set_threshold", "thresholds", "ood_limit", "ood_means", "ood_radii")
        names = ("embedding", "label", "image", "classes", "positive", "weights", *chosen)
        content = arrays_of(io.BytesIO(parts.read(path)), names, parts.where(path), parts.again)
        return cls(
            content["embedding"],
            content["label"],
            content["image"],
            tuple(content["classes"].tolist()),
            str(content["positive"]),
            str(content["weights"]),
            int(content["k"]),
            Centres(content["ood_means"], content["ood_radii"], content.get("ood_whitening")),
            tta=bool(content["tta"]),
            set_threshold=float(content["set_threshold"]),
            ood_limit=float(content["ood_limit"]),
            thresholds=content["thresholds"],
            head_thresholds=content.get("head_thresholds"),
            temperature=_number(content.get("temperature")),
            head_temperature=_number(content.get("head_temperature")),
        )


def _number(value: NDArray[Any] | None) -> float | None:
    return None if value is None else float(value)
