"""The gallery: labelled training embeddings, what is nearest to a query, and what val chose for them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.core.files import replacing
from oncovec.data.embeddings import read_arrays
from oncovec.metrics.classification import Floats, Ints
from oncovec.metrics.neighbours import nearest, votes

CHOSEN = ("threshold", "head_threshold", "temperature", "head_temperature")
"""Fields that a gallery may lack."""


@dataclass(frozen=True)
class Gallery:
    """Labelled training embeddings that answer queries, with what was chosen on val.

    `embeddings` (G, d) float32, `labels` (G,) indices into `classes`, `images` (G,) strings. `threshold` and
    `head_threshold` apply to the positive class's probability; None where the task is not binary, or there
    is no head. `tta`: the embeddings are means over mirrored views, so a query's must be, too. `temperature`
    and `head_temperature` are those of `calibration`: neither `probabilities` nor the thresholds know them.
    `ood_features` (G, A) float32 is what the training images look like (`inference.Embedded`); a query
    whose OOD score, the distance to the nearest of them, is above `ood_threshold` is out of distribution
    (`knn.choose_ood_threshold`). None: the embeddings are used instead.
    `weights` is the sha256 of the weights that made the embeddings: only queries that the same weights
    embedded may be asked.
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
    ood_features: NDArray[np.float32] | None = None

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

    def ood_score(self, queries: Floats) -> Floats:
        """Distance (M,) from each query's ood_features (M, A) to that of the gallery image most like it.

        Each of the A numbers is measured by its standard deviation in the gallery.
        """
        if self.ood_features is None:
            return nearest(self.embeddings, queries, 1)[0][:, 0]
        spread = self.ood_features.std(axis=0)
        spread[spread == 0] = 1
        return nearest(self.ood_features / spread, queries / spread, 1)[0][:, 0]

    def is_ood(self, queries: Floats) -> NDArray[np.bool_]:
        """Tell which queries, by their ood_features (M, A), are far from every gallery image."""
        return self.ood_score(queries) > self.ood_threshold

    def probabilities(self, queries: Floats) -> Floats:
        """Return the distance-weighted votes of each query's k neighbours: (M, C), rows sum to 1."""
        k = min(self.k, len(self.labels))
        return votes(self.embeddings, self.labels, queries, [k], len(self.classes))[k]

    def save(self, path: Path) -> None:
        """Write as npz without pickles; equal galleries give equal bytes."""
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
        if self.ood_features is not None:
            arrays["ood_features"] = self.ood_features
        for name in CHOSEN:
            value = getattr(self, name)
            if value is not None:
                arrays[name] = np.array(value)
        with replacing(path) as part:
            np.savez(part, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Gallery":
        """Read one that `save` has written.

        Raises:
            OncovecError: if the file is missing, damaged, or of an older form.
        """
        names = ("embedding", "label", "image", "classes", "positive", "weights", "k", "tta", "ood_threshold")
        content = read_arrays(path, names, f"dvc repro evaluate@{path.parent.name}")
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
            ood_features=content.get("ood_features"),
            **{name: _number(content.get(name)) for name in CHOSEN},
        )


def _number(value: NDArray[Any] | None) -> float | None:
    return None if value is None else float(value)
