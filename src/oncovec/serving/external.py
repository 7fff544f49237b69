"""External test sets: every system of a task predicts the images of another collection."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.core import paths, tables
from oncovec.core.datasets import External
from oncovec.core.errors import OncovecError
from oncovec.core.params import NearDuplicates
from oncovec.data import duplicates, groups, index, layouts, prepare, splitting
from oncovec.data.decode import Square
from oncovec.data.tree import Folder
from oncovec.evaluation.external import COLUMNS, SEPARATOR
from oncovec.evaluation.report import exact
from oncovec.serving.predict import System, load

SEEN = ("train", "val")
"""Splits whose images a system has seen; their near-duplicates are left out."""


@dataclass(frozen=True)
class Predicted:
    """The predictions of several systems for an external test set.

    Attributes:
        table: one row per system and image; columns as in `evaluation.external`.
        left_out: numbers of images that are left out, by reason.
        notes: lines to print.
    """

    table: pd.DataFrame
    left_out: Mapping[str, int]
    notes: Sequence[str]


def predict_set(name: str, row: External, systems: Sequence[str], settings: NearDuplicates) -> Predicted:
    """Predict the images of an external test set as `oncovec predict` does.

    Every image is decoded once. Left out are images that cannot be read, that have no label or one whose
    classes are kept out of training, exact duplicates (all of them if their labels differ), and
    near-duplicates of images that the systems have seen.

    Args:
        name: name of the row, for messages.
        row: the row of `external:`.
        systems: trained systems of the row's task, at least one.
        settings: criteria of near-duplicates.

    Raises:
        OncovecError: if the set cannot be read, or has a label that stands for no class of the task.
    """
    every = [load(system, Path()) for system in systems]
    facts = every[0].facts
    tree = Folder(Path(row.root))
    listing = layouts.read(row.layout, tree, row.columns, row.group, least=1)
    stored = Square.of(facts if row.window is None else facts | {"window": row.window})
    column = facts["label"] if facts["label"] in listing.label_columns else listing.label_columns[0]
    check_labels(name, row, {record.labels[column] for record in listing.records}, facts)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepared = prepare.prepare(tree, listing, folder, stored)
        copies, shapes = (
            np.load(folder / paths.copies("").name, mmap_mode="r"),
            prepare.shapes(prepared.table),
        )
        near = near_duplicates(facts["dataset"], facts["label"], copies, shapes, settings, folder)
        reasons = _reasons(row, facts["classes"], prepared.table, column, near)
        left_out, kept = {"unreadable": len(prepared.unreadable)}, np.ones(len(prepared.table), bool)
        for reason, images in reasons.items():  # an image that is left out for two reasons counts once
            left_out[reason] = int((kept & images).sum())
            kept &= ~images
        if not kept.any():
            raise OncovecError(f"external.{name}: no image is left to predict in {tree}")
        pixels = np.asarray(np.load(folder / paths.images("").name, mmap_mode="r")[kept])
        rows = [_rows(system, prepared.table[kept], column, pixels) for system in every]
    return Predicted(pd.concat(rows, ignore_index=True), left_out, listing.notes)


def _reasons(
    row: External, classes: Sequence[str], table: pd.DataFrame, column: str, near: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """Return which images are left out: (N,) for each reason, the first one that counts first."""
    known = [bool(set(classes_of(row, label)) & set(classes)) for label in table[column]]
    return {
        "unlabelled": ~np.array(known, bool),
        "near_duplicates": near,
        "two_labels": index.contradicted(table).to_numpy(bool),
        "duplicates": table["sha256"].duplicated().to_numpy(bool),
    }


def classes_of(row: External, label: str) -> tuple[str, ...]:
    """Return the classes that a label of the set stands for; none for an empty label."""
    return row.labels.get(label, (label,) if label else ())


def check_labels(name: str, row: External, labels: set[str], facts: Mapping[str, Any]) -> None:
    """Refuse a label that stands for no class of the task, and a class that two labels stand for.

    Raises:
        OncovecError: for the first such label, in sorted order.
    """
    classes = {*facts["classes"], *facts["few_shot_classes"]}
    there = ", ".join(sorted(classes))
    label_of: dict[str, str] = {}
    for label in sorted({*labels, *row.labels} - {""}):
        wrong = sorted(set(classes_of(row, label)) - classes)
        if wrong and label in row.labels:
            raise OncovecError(f"external.{name}.labels.{label}: {wrong[0]!r} is no class; there are {there}")
        if wrong:
            raise OncovecError(
                f"external.{name}: label {label!r} is no class of task {facts['task']}; say under labels: "
                f"which classes it stands for, of {there}"
            )
        for each in classes_of(row, label):
            if (other := label_of.setdefault(each, label)) != label:
                raise OncovecError(
                    f"external.{name}: labels {other!r} and {label!r} both stand for {each}; an image of one "
                    "would be wrong as the other"
                )


def near_duplicates(
    dataset: str,
    label: str,
    copies: NDArray[np.uint8],
    shapes: NDArray[np.int32],
    settings: NearDuplicates,
    folder: Path,
) -> NDArray[np.bool_]:
    """Find the images that are near-duplicates of images of train or val.

    Args:
        dataset: the dataset of the systems.
        label: its label column that is learned.
        copies: (N, 128, 128) small grey copies of the images.
        shapes: (N, 2) their heights and widths.
        settings: criteria of near-duplicates.
        folder: folder for temporary files, 16 KiB per image of train, val and the set, and the keypoints.

    Returns:
        (N,); an image without any texture is never one.
    """
    table = splitting.of_task(dataset, label)
    seen = index.rows_of(index.read(paths.index(dataset)), table["image"][table["split"].isin(SEEN)])
    known, known_shapes = prepare.open_copies(dataset)
    with prepare.growing(folder / "both.npy", known.shape[1:]) as stream:
        for source, rows in ((known, np.sort(seen)), (copies, np.arange(len(copies)))):
            for row in rows.tolist():
                stream.write(source[row].tobytes())
    both = np.load(folder / "both.npy", mmap_mode="r")
    both_shapes = np.concatenate([known_shapes[np.sort(seen)], shapes])
    textured = np.flatnonzero(~prepare.blank(both, both_shapes)).tolist()
    pairs = duplicates.find(both, both_shapes, settings, textured, folder, known=len(seen))
    sets = groups.DisjointSets(len(both))
    for pair in pairs:
        sets.unite(pair.first, pair.second)
    joined = {sets.find(row) for row in range(len(seen))}
    return np.array([sets.find(row) in joined for row in range(len(seen), len(both))], bool)


def _rows(system: System, shown: pd.DataFrame, column: str, pixels: NDArray[np.uint8]) -> pd.DataFrame:
    """Return the rows of the table of predictions of one system."""
    rows = []
    found = system.predict_prepared(pixels)
    for image, group, label, each in zip(shown["image"], shown["group"], shown[column], found, strict=True):
        answered = "false" if each.ood else "true"
        classes = SEPARATOR.join(each.prediction_set)
        known = (system.name, image, group, label, each.voted, answered, each.ood_score, classes)
        rows.append((*known, *map(exact, each.probabilities.values())))
    return tables.of((*COLUMNS, *(f"p_{name}" for name in system.classes)), rows)
