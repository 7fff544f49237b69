"""The gallery: labelled training embeddings, search for nearest images, and values that are chosen on val."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.core.files import replacing
from oncovec.data.embeddings import read_arrays
from oncovec.evaluation.ood import Appearance
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
    `appearance` gives the OOD score of a query. A query with a score above `ood_threshold` is out of
    distribution (`knn.choose_ood_threshold`). If `appearance` is None, the score is the distance to the
    nearest embedding.
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
    ood_threshold: float = np.inf
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

    def ood_score(self, queries: Floats) -> Floats:
        """Return the OOD score (M,) of each query, by its ood_features (M, A), see `ood.Appearance`."""
        if self.appearance is None:
            return nearest(self.embeddings, queries, 1)[0][:, 0]
        return self.appearance.score(queries)

    def is_ood(self, queries: Floats) -> NDArray[np.bool_]:
        """Return which queries, by their ood_features (M, A), are out of distribution: (M,)."""
        return self.ood_score(queries) > self.ood_threshold

    def probabilities(self, queries: Floats) -> Floats:
        """Return the distance-weighted votes of each query's k neighbours: (M, C); rows sum to 1."""
        k = min(self.k, len(self.labels))
        return votes(self.embeddings, self.labels, queries, [k], len(self.classes))[k]

    def save(self, path: Path) -> None:
        """Write the gallery as npz without pickles; equal galleries give equal bytes."""
        arrays: dict[str, Any] = {
            "embedding": self.embeddings,
            "label": self.labels,
            "image": self.images,
            "classes": np.array(self.classes),
            "positive": np.array(self.positive),
            "weights": np.array(self.weights),
            "k": np.array(self.k),
            "tta": np.array(self.tta),
            "ood_threshold": np.array(self.ood_threshold),
        }
        if self.appearance is not None:
            arrays |= self.appearance.arrays()
        for name in CHOSEN:
            value = getattr(self, name)
            if value is not None:
                arrays[name] = np.array(value)
        with replacing(path) as part:
            np.savez(part, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Gallery":
        """Read a gallery that `save` wrote.

        Raises:
            OncovecError: if the file is missing, damaged, or in an older format.
        """
        names = ("embedding", "label", "image", "classes", "positive", "weights", "k", "tta", "ood_threshold")
        content = read_arrays(path, names, f"evaluate@{path.parent.name}")
        return cls(
            content["embedding"],
            content["label"],
            content["image"],
            tuple(content["classes"].tolist()),
            str(content["positive"]),
            str(content["weights"]),
            int(content["k"]),
            tta=bool(content["tta"]),
            ood_threshold=float(content["ood_threshold"]),
            appearance=_appearance(content),
            **{name: _number(content.get(name)) for name in CHOSEN},
        )


def _appearance(content: Mapping[str, NDArray[Any]]) -> Appearance | None:
    if "ood_means" not in content or "ood_whitening" not in content:
        return None
    return Appearance(content["ood_means"], content["ood_whitening"])


def _number(value: NDArray[Any] | None) -> float | None:
    return None if value is None else float(value)
