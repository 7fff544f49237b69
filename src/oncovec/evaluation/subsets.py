"""Parts of a dataset in which a system is judged by itself, and units (patients, lesions) judged whole."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.data import index

if TYPE_CHECKING:
    from oncovec.core.params import Dataset
    from oncovec.evaluation.predictions import PredictionOutput
    from oncovec.metrics.classification import Ints

Names = NDArray[np.str_]

SUBGROUPS = ("sex", "age", "site")
"""Facts of the index that part the people; `age` does in bands."""

AGES = (0, 20, 40, 60, 80)
"""Years at which a band of ages begins."""

MOST_VALUES = 50
"""A column of more values names images rather than subgroups."""

UNITS = {"isic2020": "patient", "pcam": "slide"}
"""What the column `group` of a published dataset names."""


@dataclass(frozen=True)
class Parts:
    """How the images of a task are parted; every array is (N,), '' where an image's value is not known.

    `labels` are by further label columns, `subgroups` by facts, `units` by what belongs together.
    """

    labels: Mapping[str, Names]
    subgroups: Mapping[str, Names]
    units: Mapping[str, Names]


def find(table: pd.DataFrame, images: Names, labels: "Ints", unit: str = "group") -> Parts:
    """Find out by which columns of a dataset's index a task's images can be parted.

    A further label column is taken where it leaves something to tell: a value of it holds images of two
    learned classes or more. So the learned column itself and finer ones are passed over.

    Args:
        table: the dataset's index.
        images: (N,), those of the task.
        labels: (N,) their learned classes.
        unit: what the column `group` names.
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
    """What the column `group` of a dataset's index names: a user's own table says so by its column's name."""
    if dataset.layout == "csv":
        return dataset.columns.group or "group"
    return UNITS.get(dataset.layout, "group")


def band(age: str) -> str:
    """The band of ages in years that a cell falls into, as in `40-59`; '' where it is no age."""
    try:
        years = float(age)
    except ValueError:
        return ""
    for start, end in pairwise(AGES):
        if start <= years < end:
            return f"{start}-{end - 1}"
    return f"{AGES[-1]}+" if years >= AGES[-1] else ""


def whole(output: "PredictionOutput", units: Names) -> tuple["PredictionOutput", "Ints", int]:
    """Judge units instead of images, by the same threshold.

    In a binary task a unit is positive if any of its images is, and has the greatest of their probabilities
    of being so: a patient with one melanoma has melanoma. Of more classes, the probabilities are averaged,
    and units whose images have two labels are left out. So are images of no known unit.

    Args:
        output: of images.
        units: (n,) name of each image's unit.

    Returns:
        The output of units, sorted by name; for each unit the position of its first image in the
        output of images; and how many units are left out.
    """
    from oncovec.metrics.classification import predict

    members: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(units.tolist()):
        if name:
            members[name].append(position)
    positive, labels = output.positive, output.labels
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
        predicted=predict(probabilities, output.threshold, positive),
    )
    return judged, first, len(members) - len(kept)


def _column(rows: pd.DataFrame, name: str) -> Names:
    return np.asarray(rows[name].str.strip().to_numpy(np.str_))


def _values(column: Names) -> list[str]:
    return sorted(set(column.tolist()) - {""})


def _leaves_something(values: Names, labels: "Ints") -> bool:
    """Whether some value (none counts as one) holds images of two labels, and there are two values."""
    pairs = set(zip(values.tolist(), labels.tolist(), strict=True))
    counts = Counter(value for value, _ in pairs if value)
    return 1 < len(counts) <= MOST_VALUES and max(counts.values()) > 1
