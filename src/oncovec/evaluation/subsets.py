"""Subsets of a dataset for separate evaluation, and units (patients, lesions) for evaluation as a whole."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.data import index
from oncovec.data.layouts import GROUPS

if TYPE_CHECKING:
    from oncovec.core.datasets import Dataset
    from oncovec.evaluation.predictions import PredictionOutput
    from oncovec.metrics.classification import Ints

Names = NDArray[np.str_]

SUBGROUPS = ("sex", "age", "site")
"""Columns of the index that define subgroups; `age` is divided into bands."""

AGES = (0, 20, 40, 60, 80)
"""First years of the age bands."""

UNITS = (
    dict.fromkeys(("", "y", "yr", "yrs", "yo", "year", "years"), 1)
    | dict.fromkeys(("m", "mo", "month", "months"), 12)
    | dict.fromkeys(("w", "week", "weeks"), 52)
    | dict.fromkeys(("d", "day", "days"), 365)
)
"""How many of each unit of an age make a year."""

MOST_VALUES = 50
"""Largest number of values of a subgroup column; a column with more values identifies images."""


@dataclass(frozen=True)
class Parts:
    """Subsets and units of the images of a task; every array is (N,), with '' if a value is not known.

    `labels` contains further label columns, `subgroups` contains facts such as age, `units` contains the
    units that images belong to.
    """

    labels: Mapping[str, Names]
    subgroups: Mapping[str, Names]
    units: Mapping[str, Names]


def find(table: pd.DataFrame, images: Names, labels: "Ints", unit: str = "group") -> Parts:
    """Find the columns of a dataset's index that divide a task's images into subsets and units.

    A further label column is used if one of its values has images of two learned classes or more. So the
    learned column itself and finer label columns are not used.

    Args:
        table: the dataset's index.
        images: (N,) images of the task.
        labels: (N,) their learned classes.
        unit: name of the units in the column `group`.
    """
    rows = table.iloc[index.rows_of(table, images)]
    further = {name: _column(rows, name) for name in index.label_columns(table)}
    facts = {name: _column(rows, name) for name in SUBGROUPS if name in rows}
    if "age" in facts:
        facts["age"] = np.array([band(cell) for cell in facts["age"].tolist()], np.str_)
    named = {"lesion": "lesion", unit: "group"}
    units = {name: _column(rows, column) for name, column in named.items() if column in rows}
    return Parts(
        {name: values for name, values in further.items() if _leaves_something(values, labels)},
        {name: values for name, values in facts.items() if 0 < len(_values(values)) <= MOST_VALUES},
        {name: values for name, values in units.items() if (values != "").any()},
    )


def unit_of(dataset: "Dataset") -> str:
    """Return the unit that the column `group` of a dataset's index identifies.

    For a user's own CSV, it is the name of the group column.
    """
    if dataset.layout == "csv":
        return dataset.columns.group or "group"
    return GROUPS.get(dataset.layout, "group")


def band(age: str) -> str:
    """Return the age band of a cell, in years, as in `40-59`; '' if the cell is not an age.

    A unit is understood: `45 years`, `45y`, `18 months`, and DICOM's `045Y` and `018M`. After a number of
    other than three digits, the letter M may mean something else.
    """
    match = re.fullmatch(r"\s*([\d.,]+(?:e-?\d+)?)\s*(\b|[a-z]{2,}|y|(?<=^\d{3})[mwd])\.?\s*", age.lower())
    try:
        years = float(match[1].replace(",", ".")) / UNITS[match[2]] if match else -1
    except (ValueError, KeyError):
        return ""
    for start, end in pairwise(AGES):
        if start <= years < end:
            return f"{start}-{end - 1}"
    return f"{AGES[-1]}+" if years >= AGES[-1] else ""


def whole(output: "PredictionOutput", units: Names) -> tuple["PredictionOutput", "Ints", int]:
    """Combine the predictions of images into predictions of units, with the same thresholds.

    In a binary task, a unit is positive if any of its images is positive: a patient with one melanoma has
    melanoma. Its probability of the positive class is the greatest of its images. With more classes, the
    probabilities are averaged, so that a normal unit is above its threshold more often than a normal image,
    and units whose images have two labels are left out. Images without a known
    unit are left out too.

    Args:
        output: predictions of images.
        units: (n,) name of each image's unit.

    Returns:
        The output of units, sorted by name; for each unit, the position of its first image in the output of
        images; and the number of units left out.
    """
    from oncovec.metrics.classification import predict

    members: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(units.tolist()):
        if name:
            members[name].append(position)
    positive, labels = output.positive_index, output.labels
    kept = [
        places
        for _, places in sorted(members.items())
        if positive is not None or len(set(labels[places].tolist())) == 1
    ]
    first = np.array([places[0] for places in kept], np.int64)
    its_labels = labels[first]
    probabilities = np.zeros((len(kept), len(output.classes)))
    for unit, places in enumerate(kept):
        if positive is None:
            probabilities[unit] = output.probabilities[places].mean(axis=0)
        else:
            greatest = output.probabilities[places, positive].max()
            probabilities[unit, [positive, 1 - positive]] = greatest, 1 - greatest
            its_labels[unit] = positive if (labels[places] == positive).any() else 1 - positive
    judged = replace(
        output,
        rows=output.rows[first],
        labels=its_labels,
        probabilities=probabilities,
        predicted=predict(probabilities, output.thresholds),
    )
    return judged, first, len(members) - len(kept)


def _column(rows: pd.DataFrame, name: str) -> Names:
    return np.asarray(rows[name].str.strip().to_numpy(np.str_))


def _values(column: Names) -> list[str]:
    return sorted(set(column.tolist()) - {""})


def _leaves_something(values: Names, labels: "Ints") -> bool:
    """Return whether there are two values or more, and one of them has images of two labels."""
    pairs = set(zip(values.tolist(), labels.tolist(), strict=True))
    counts = Counter(value for value, _ in pairs if value)
    return 1 < len(counts) <= MOST_VALUES and max(counts.values()) > 1
