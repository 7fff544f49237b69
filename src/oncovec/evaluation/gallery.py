"""The gallery: labelled training embeddings, search for nearest images, and values that are chosen on val."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.core import paths
from oncovec.core.files import replacing, write_npz
from oncovec.core.parts import Parts
from oncovec.data.embeddings import arrays_of
from oncovec.evaluation.ood import Appearance
from oncovec.metrics import conformal
from oncovec.metrics.classification import Floats, Ints
from oncovec.metrics.neighbours import nearest, votes

CHOSEN = ("threshold", "head_threshold", "temperature", "head_temperature")
"""Optional fields of a gallery."""


@dataclass(frozen=True)
class Gallery:
    """Labelled training embeddings for the prediction of queries, with the values that are chosen on val.

    `embeddings` is float32 (G, d), `labels` (G,) are indices into `classes`, `images` (G,) are strings.
    `threshold` and `head_threshold` apply to the probability of the positive class. They are None if the task
    is not binary or there is no head. If `tta` is true, the embeddings are means over mirrored views, and the
    embeddings of queries must be such means too. `temperature` and `head_temperature` are those of
    `calibration`; `probabilities` and the thresholds do not use them.
    `appearance` gives the distance of a query to the images of the class that is predicted for it; if it is
    None, that distance is the one to the nearest embedding. The OOD score is its ratio to the limit of this
    class, one of `ood_limits` (C,), see `knn.choose_ood_limits`. Above 1 the query is out of distribution.
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
    threshold: float | None = None
    head_threshold: float | None = None
    tta: bool = False
    temperature: float | None = None
    head_temperature: float | None = None
    set_threshold: float = np.inf
    ood_limits: NDArray[np.float64] | None = None
    appearance: Appearance | None = None

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

    def ood_score(self, queries: Floats, predicted: Ints) -> Floats:
        """Return the OOD score (M,) of queries: the distance to the predicted class, as a ratio to its limit.

        Args:
            queries: their ood_features (M, A), or embeddings if there is no `appearance`.
            predicted: (M,) index of the class that is predicted for each.
        """
        distances, limits = self.ood_distance(queries, predicted), self.ood_limits
        if limits is None:
            return np.zeros(len(queries))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(distances <= 0, 0.0, distances / limits[predicted])

    def ood_distance(self, queries: Floats, classes: Ints) -> Floats:
        """Return the distance (M,) of each query to one class, see `ood_score`."""
        if self.appearance is None:
            return nearest(self.embeddings, queries, 1)[0][:, 0]
        return self.appearance.distances(queries)[np.arange(len(queries)), classes]

    def is_ood(self, queries: Floats, predicted: Ints) -> NDArray[np.bool_]:
        """Return which queries are out of distribution: (M,); arguments as in `ood_score`."""
        return self.ood_score(queries, predicted) > 1

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
        }
        if self.ood_limits is not None:
            arrays["ood_limits"] = self.ood_limits
        if self.appearance is not None:
            arrays |= self.appearance.arrays()
        for name in CHOSEN:
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
        names = ("embedding", "label", "image", "classes", "positive", "weights", "k", "tta", "set_threshold")
        content = arrays_of(io.BytesIO(parts.read(path)), names, parts.where(path), parts.again)
        return cls(
            content["embedding"],
            content["label"],
            content["image"],
            tuple(content["classes"].tolist()),
            str(content["positive"]),
            str(content["weights"]),
            int(content["k"]),
            tta=bool(content["tta"]),
            set_threshold=float(content["set_threshold"]),
            ood_limits=content.get("ood_limits"),
            appearance=_appearance(content),
            **{name: _number(content.get(name)) for name in CHOSEN},
        )


def _appearance(content: Mapping[str, NDArray[Any]]) -> Appearance | None:
    if "ood_means" not in content or "ood_whitening" not in content:
        return None
    return Appearance(content["ood_means"], content["ood_whitening"])


def _number(value: NDArray[Any] | None) -> float | None:
    return None if value is None else float(value)
