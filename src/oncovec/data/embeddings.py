"""A system's embeddings on disk: written by the stage embed, read by evaluate."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


class Embedded(NamedTuple):
    """What a network says of N images.

    Attributes:
        vectors: (N, D) float32, embeddings of length 1.
        probabilities: (N, C) of a classifier, else None.
        ood_features: (N, A) float32, what the images look like: an embedding keeps what tells classes apart,
            this whether an image looks like a training image.
    """

    vectors: NDArray[np.float32]
    probabilities: Floats | None
    ood_features: NDArray[np.float32]


@dataclass(frozen=True)
class Embeddings:
    """A system's embeddings of all splits, those of the classes that it learned.

    `images`, `splits`, `groups` are (N,) strings, `labels` (N,) indices into `classes`, `vectors` (N, d)
    float32 of length 1, `head` the (N, C) class probabilities of a classifier's head, else None,
    `ood_features` (N, A) float32 what the images look like (`Embedded`), None without a network.
    `positive` is '' where the task is not binary, `tta` whether test-time augmentation was on.
    `weights` is the sha256 of the weights that made them.
    `few_shot` holds the images of the classes kept out of training, which are its `classes`, without a head
    and a positive class; None where there are none.
    """

    images: NDArray[np.str_]
    splits: NDArray[np.str_]
    groups: NDArray[np.str_]
    labels: Ints
    vectors: NDArray[np.float32]
    head: Floats | None
    classes: tuple[str, ...]
    positive: str
    source: str
    task: str
    dataset: str
    tta: bool = False
    ood_features: NDArray[np.float32] | None = None
    weights: str = ""
    few_shot: "Embeddings | None" = None

    @property
    def positive_index(self) -> int | None:
        """Column of the positive class, None where the task is not binary."""
        return self.classes.index(self.positive) if self.positive else None

    @property
    def ood_vectors(self) -> Floats:
        """What tells whether an image is like the training images: its ood_features, else its embedding."""
        return self.vectors if self.ood_features is None else self.ood_features

    def rows(self, split: str) -> Ints:
        """Positions of one split's images, in the file's order."""
        return np.flatnonzero(self.splits == split)


def write(
    path: Path,
    table: pd.DataFrame,
    facts: Mapping[str, Any],
    embedded: Embedded,
    tta: bool = False,
) -> None:
    """Write embeddings beside the split's columns, as plain arrays that load without pickle.

    Images of few-shot classes are among them; the array `few_shot` names these.

    Args:
        path: the file.
        table: `image,label,group,split`, in the order of the embeddings.
        facts: of the system that made them, with the sha256 of its weights.
        embedded: what it says of them.
        tta: whether test-time augmentation was on.
    """
    columns = {name: table[name].to_numpy(np.str_) for name in ("image", "split", "label", "group")}
    told = {name: np.array(facts[name] or "") for name in ("positive", "source", "task", "dataset")}
    probabilities = embedded.probabilities
    head = {} if probabilities is None else {"head_probability": probabilities.astype(np.float32)}
    with replacing(path) as part:
        np.savez(
            part,
            allow_pickle=False,
            **columns,
            **told,
            **head,
            classes=np.array(facts["classes"]),
            few_shot=np.array(facts["few_shot_classes"], np.str_),
            weights=np.array(facts["sha256"]),
            tta=np.array(tta),
            embedding=embedded.vectors.astype(np.float32),
            ood_features=embedded.ood_features.astype(np.float32),
        )


def read(path: Path) -> Embeddings:
    """Read a system's embeddings, those of few-shot classes apart.

    Raises:
        OncovecError: if the file is missing or damaged, or an embedding is not finite.
    """
    names = (
        "image",
        "split",
        "group",
        "label",
        "embedding",
        "classes",
        "positive",
        "source",
        "task",
        "dataset",
        "tta",
        "ood_features",
        "few_shot",
        "weights",
    )
    system = path.stem
    content = read_arrays(path, names, f"dvc repro evaluate@{system}")
    if not np.isfinite(content["embedding"]).all():
        raise OncovecError(
            f"{path}: embeddings are not finite, training diverged; lower its learning rate and run "
            f"`dvc repro evaluate@{system}`"
        )
    classes = tuple(content["classes"].tolist())
    held_out = tuple(content["few_shot"].tolist())
    found = _of_classes(content, classes)
    if not held_out:
        return found
    return replace(found, few_shot=replace(_of_classes(content, held_out), head=None, positive=""))


def _of_classes(content: Mapping[str, NDArray[Any]], classes: tuple[str, ...]) -> Embeddings:
    """Those of some classes, whose order numbers the labels."""
    rows = np.isin(content["label"], classes)
    number = {name: index for index, name in enumerate(classes)}
    head = content.get("head_probability")
    return Embeddings(
        content["image"][rows],
        content["split"][rows],
        content["group"][rows],
        np.array([number[label] for label in content["label"][rows].tolist()], np.int64),
        content["embedding"][rows],
        None if head is None else head[rows],
        classes,
        str(content["positive"]),
        str(content["source"]),
        str(content["task"]),
        str(content["dataset"]),
        bool(content["tta"]),
        content["ood_features"][rows],
        str(content["weights"]),
    )


def read_arrays(path: Path, names: Sequence[str], command: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file, without pickles.

    Args:
        path: the file.
        names: arrays that must be there.
        command: what makes it anew.

    Raises:
        OncovecError: if it is missing or damaged, or lacks one of `names`.
    """
    if not path.is_file():
        raise OncovecError(f"{path} does not exist; run `{command}`")
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OncovecError(f"{path} is damaged ({reason}); delete it and run `{command}`") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise OncovecError(f"{path} lacks {', '.join(missing)}; delete it and run `{command}`")
    return content
