"""A system's embeddings on disk: written by the stage embed, read by knn and evaluate."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.errors import OncovecError
from oncovec.files import replacing

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Embeddings:
    """A system's embeddings of all sides, as `data/embeddings/<system>.npz` holds them.

    `images`, `sides`, `groups` are (N,) strings, `labels` (N,) indices into `classes`, `vectors` (N, d)
    float32 of length 1, `head` the (N, C) class probabilities of a classifier's head, else None.
    `positive` is '' where the task is not binary, `tta` whether test-time augmentation was on.
    """

    images: NDArray[np.str_]
    sides: NDArray[np.str_]
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

    @property
    def positive_index(self) -> int | None:
        """Column of the positive class, None where the task is not binary."""
        return self.classes.index(self.positive) if self.positive else None

    def rows(self, side: str) -> Ints:
        """Positions of one side's images, in the file's order."""
        return np.flatnonzero(self.sides == side)


def write(
    path: Path,
    table: Sequence[Mapping[str, str]],
    facts: Mapping[str, Any],
    embeddings: np.ndarray,
    probabilities: np.ndarray | None,
    tta: bool = False,
) -> None:
    """Write embeddings beside the split's columns, as plain arrays that load without pickle."""
    columns = {name: np.array([row[name] for row in table]) for name in ("image", "side", "label", "group")}
    told = {name: np.array(facts[name] or "") for name in ("positive", "source", "task", "dataset")}
    head = {} if probabilities is None else {"head_probability": probabilities.astype(np.float32)}
    with replacing(path) as part:
        np.savez(
            part,
            allow_pickle=False,
            **columns,
            **told,
            **head,
            classes=np.array(facts["classes"]),
            tta=np.array(tta),
            embedding=embeddings.astype(np.float32),
        )


def read(path: Path) -> Embeddings:
    """Read a system's embeddings.

    Raises:
        OncovecError: if the file is missing or damaged, or an embedding is not finite.
    """
    names = (
        "image",
        "side",
        "group",
        "label",
        "embedding",
        "classes",
        "positive",
        "source",
        "task",
        "dataset",
        "tta",
    )
    system = path.stem
    content = read_arrays(path, names, f"dvc repro embed@{system}")
    if not np.isfinite(content["embedding"]).all():
        raise OncovecError(
            f"{path}: embeddings are not finite, training diverged; lower its learning rate and run "
            f"`dvc repro train@{system}`"
        )
    classes = tuple(content["classes"].tolist())
    number = {name: index for index, name in enumerate(classes)}
    return Embeddings(
        content["image"],
        content["side"],
        content["group"],
        np.array([number[label] for label in content["label"].tolist()], np.int64),
        content["embedding"],
        content.get("head_probability"),
        classes,
        str(content["positive"]),
        str(content["source"]),
        str(content["task"]),
        str(content["dataset"]),
        bool(content["tta"]),
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
