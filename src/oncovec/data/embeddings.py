"""Embeddings of a system on disk; the stage embed writes them and the stage evaluate reads them."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.core.errors import OncovecError, not_there
from oncovec.core.files import replacing, write_npz
from oncovec.data.split_names import VAL_PARTS

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


class Embedded(NamedTuple):
    """Outputs of a network for N images.

    Attributes:
        vectors: (N, D) float32, embeddings of length 1.
        probabilities: (N, C) class probabilities of a classifier, else None.
        ood_features: (N, A) float32, features for OOD detection. An embedding separates the classes; these
            features show whether an image looks like the training images.
    """

    vectors: NDArray[np.float32]
    probabilities: Floats | None
    ood_features: NDArray[np.float32]


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of a system for the images of all splits, of the classes that it learned.

    Attributes:
        images, splits, groups: (N,) strings.
        labels: (N,) indices into `classes`.
        vectors: (N, d) float32 of length 1.
        head: (N, C) class probabilities of a classifier's head, else None.
        classes: names of the classes.
        positive: the positive class; '' if the task is not binary.
        normal: the classes without disease, if the task is not binary and names such.
        source, task, dataset: facts of the system.
        tta: whether test-time augmentation was on.
        ood_features: (N, A) float32, see `Embedded`; None without a network.
        weights: sha256 of the weights of the network.
        val_parts: (N,) the half of val that an image is in (`split_names.VAL_PARTS`), '' elsewhere; None if
            val is not cut in two.
        few_shot: embeddings of the few-shot classes, which were kept out of training. These are its
            `classes`; it has no head and no positive class. None if there are no few-shot classes.
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
    val_parts: NDArray[np.str_] | None = None
    few_shot: "Embeddings | None" = None
    normal: tuple[str, ...] = ()

    @property
    def positive_index(self) -> int | None:
        """Index of the positive class; None if the task is not binary."""
        return self.classes.index(self.positive) if self.positive else None

    @property
    def without_disease(self) -> NDArray[np.bool_]:
        """Whether each class is without disease: (C,); in a binary task the negative class is."""
        if self.positive:
            return np.array([name != self.positive for name in self.classes])
        return np.array([name in self.normal for name in self.classes])

    @property
    def ood_vectors(self) -> Floats:
        """Vectors for OOD detection: the ood_features if there are some, else the embeddings."""
        return self.vectors if self.ood_features is None else self.ood_features

    def rows(self, split: str) -> Ints:
        """Return the positions of the images of one split, in the order of the file."""
        return np.flatnonzero(self.splits == split)

    def chosen_on(self) -> Ints:
        """Return the positions of the images of val on which k, temperatures and thresholds are chosen."""
        return self._half_of_val(VAL_PARTS[0])

    def evaluated(self, split: str) -> Ints:
        """Return the positions of the images over which the metrics of a split are computed.

        For val these are the other half of `chosen_on`. Only the OOD limit is chosen on them, too.
        """
        return self._half_of_val(VAL_PARTS[1]) if split == "val" else self.rows(split)

    def _half_of_val(self, part: str) -> Ints:
        """Return the positions of one half of val; all of val if the half is empty."""
        half = np.zeros(0, np.int64) if self.val_parts is None else np.flatnonzero(self.val_parts == part)
        return half if len(half) else self.rows("val")


def write(
    path: Path,
    table: pd.DataFrame,
    facts: Mapping[str, Any],
    embedded: Embedded,
    tta: bool = False,
) -> None:
    """Write embeddings and the columns of the split as plain arrays that load without pickle.

    Images of few-shot classes are included; the array `few_shot` contains the names of these classes.

    Args:
        path: the file.
        table: `image,label,group,split,val_part`, in the order of the embeddings.
        facts: facts of the system, with the sha256 of its weights.
        embedded: outputs of the system for the images of `table`.
        tta: whether test-time augmentation was on.
    """
    columns = {
        name: table[name].to_numpy(np.str_) for name in ("image", "split", "label", "group", "val_part")
    }
    told = {name: np.array(facts[name] or "") for name in ("positive", "source", "task", "dataset")}
    probabilities = embedded.probabilities
    head = {} if probabilities is None else {"head_probability": probabilities.astype(np.float32)}
    known = {
        "classes": np.array(facts["classes"]),
        "normal": np.array(facts["normal"], np.str_),
        "few_shot": np.array(facts["few_shot_classes"], np.str_),
        "weights": np.array(facts["sha256"]),
        "tta": np.array(tta),
        "embedding": embedded.vectors.astype(np.float32),
        "ood_features": embedded.ood_features.astype(np.float32),
    }
    with replacing(path) as part:
        write_npz(part, columns | told | head | known)


def read(path: Path) -> Embeddings:
    """Read the embeddings of a system; those of few-shot classes are kept apart in `few_shot`.

    Raises:
        OncovecError: if the file is missing or damaged, or an embedding is not finite.
    """
    names = (
        "image",
        "split",
        "val_part",
        "group",
        "label",
        "embedding",
        "classes",
        "positive",
        "normal",
        "source",
        "task",
        "dataset",
        "tta",
        "ood_features",
        "few_shot",
        "weights",
    )
    system = path.stem
    content = read_arrays(path, names, f"evaluate@{system}")
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
    return replace(found, few_shot=replace(_of_classes(content, held_out), head=None, positive="", normal=()))


def _of_classes(content: Mapping[str, NDArray[Any]], classes: tuple[str, ...]) -> Embeddings:
    """Select the embeddings of some classes; a label is the position of its class in `classes`."""
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
        content["val_part"][rows],
        normal=tuple(content["normal"].tolist()),
    )


def read_arrays(path: Path, names: Sequence[str], target: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file, without pickles.

    Args:
        path: the file.
        names: arrays that the file must contain.
        target: the stage that writes the file again, for messages.

    Raises:
        OncovecError: if the file is missing or damaged, or lacks one of `names`.
    """
    if not path.is_file():
        raise not_there(path, target)
    return arrays_of(path, names, str(path), f"delete it and run `dvc repro {target}`")


def arrays_of(
    file: Path | io.BytesIO, names: Sequence[str], where: str, again: str
) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file on disk or in memory, without pickles.

    Args:
        file: the file, or its content.
        names: arrays that it must contain.
        where: name of the file, for messages.
        again: what to do if it is damaged, for messages.

    Raises:
        OncovecError: if the file is damaged, or lacks one of `names`.
    """
    try:
        with zipfile.ZipFile(file), np.load(file, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OncovecError(f"{where} is damaged ({reason}); {again}") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise OncovecError(f"{where} lacks {', '.join(missing)}; {again}")
    return content
