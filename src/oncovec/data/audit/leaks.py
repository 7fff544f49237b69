"""Count the leaks of a split: duplicates, patients, lesions and slides in two splits."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from oncovec.data.split_names import SPLITS

TRAIN, VAL, TEST = SPLITS
LABEL = "label"
"""Name of the label column, if a split has one label column without a name of its own."""
EXACT, NEAR, ANY = "exact_duplicate", "near_duplicate", "any"

KEYS = {
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id", "person"),
    "lesion": ("lesion", "lesion_id", "lesionid", "nodule", "nodule_id"),
    "slide": ("slide", "slide_id", "slideid", "wsi", "wsi_id"),
    "group": ("group", "group_id", "groupid", "case", "case_id", "study", "study_id", "series", "series_id"),
}
"""Kinds of groups that images may share, and the usual names of their columns."""

RESERVED = ("images", "two_labels", "within_a_split")
"""Keys of an audit's table that are not splits."""

IN_VAL, BY_CLASS = "in_val", "any_by_class"
IN_A_SPLIT = ("images", EXACT, NEAR, ANY, IN_VAL, BY_CLASS)
"""Keys of a split's block in an audit's table that are not keys of groups."""


@dataclass(frozen=True)
class Audited:
    """The images of a split, as columns of equal length; an empty string is unknown and joins nothing.

    Attributes:
        images: paths of the images.
        splits: train, val, test, or another name of a split; empty for an image that was left out.
        labels: one label per image, by label column.
        sha256: hash of the bytes of each file; empty for a blank image.
        duplicates: name of the cluster of exact and near-duplicates of each image.
        keys: groups that must not be in two splits, by kind: patient, lesion, slide or group.
    """

    images: Sequence[str]
    splits: Sequence[str]
    labels: Mapping[str, Sequence[str]]
    sha256: Sequence[str]
    duplicates: Sequence[str]
    keys: Mapping[str, Sequence[str]]

    def label(self, row: int) -> str:
        """Return the labels of an image as text for a reader; empty if it has none."""
        return " / ".join(filter(None, (labels[row] for labels in self.labels.values())))

    def disagree(self, one: int, other: int) -> bool:
        """Whether two images have different labels in a label column; '' means no label."""
        pairs = ((labels[one], labels[other]) for labels in self.labels.values())
        return any(first and second and first != second for first, second in pairs)


def splits_of(splits: Sequence[str]) -> list[str]:
    """List the splits that occur: train, val and test in this order, then others by name."""
    present = set(splits) - {""}
    return [split for split in SPLITS if split in present] + sorted(present - set(SPLITS))


def key_of(column: str) -> str:
    """Return the kind of group in a column of a user's table: patient, lesion, slide, else group."""
    return next((key for key, names in KEYS.items() if plain(column) in names), "group")


def plain(column: str) -> str:
    """Return a column's name in lower case, with _ for blanks and hyphens."""
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def of_split(
    index: pd.DataFrame,
    split_of: Mapping[str, str],
    duplicates: Mapping[str, str],
    columns: Sequence[str],
    group: str,
) -> Audited:
    """Combine the pipeline's own tables; images that the split left out are kept, without a split.

    Args:
        index: index of the dataset.
        split_of: train, val or test for each image that was not left out.
        duplicates: cluster of each image; empty for a blank image, which is no duplicate.
        columns: the label columns of the index.
        group: the kind of group in the index's column `group`: patient, slide or group.
    """
    images = index["image"].tolist()
    keys = {group: index["group"].tolist(), "lesion": index["lesion"].tolist() if "lesion" in index else []}
    return Audited(
        images=images,
        splits=[split_of.get(image, "") for image in images],
        labels={column: index[column].tolist() for column in columns},
        sha256=[sha if duplicates[image] else "" for image, sha in zip(images, index["sha256"], strict=True)],
        duplicates=[duplicates[image] for image in images],
        keys={name: values for name, values in keys.items() if any(values)},
    )


def leaks(audited: Audited, source: str = TRAIN) -> dict[str, list[bool]]:
    """Find the images that share a duplicate or a group with the images of another split, usually train.

    If no split is called `source` (as in cross-validation folds), an image is compared with all splits other
    than its own.

    Args:
        audited: the split.
        source: the split with which the images are compared.

    Returns:
        One bool per image, by kind: `exact_duplicate` (the same bytes), `near_duplicate` (an image of the
        same cluster, including exact duplicates, so that its count is never smaller), the audited keys, and
        `any` of these. It is False for images of `source`, and for images without a split.
    """
    exact = _shared(audited.sha256, audited.splits, source)
    near = _shared(audited.duplicates, audited.splits, source)
    found = {EXACT: exact, NEAR: [a or b for a, b in zip(exact, near, strict=True)]}
    found |= {key: _shared(values, audited.splits, source) for key, values in audited.keys.items()}
    return found | {ANY: [any(each) for each in zip(*found.values(), strict=True)]}


def _shared(values: Sequence[str], splits: Sequence[str], source: str) -> list[bool]:
    """Whether the split `source` has an image of the same value; without such a split, any other split."""
    placed = [(value, split) for value, split in zip(values, splits, strict=True) if value and split]
    shared = {value for value, split in placed if split == source} if source in splits else _several(placed)
    return [
        bool(split) and split != source and value in shared
        for value, split in zip(values, splits, strict=True)
    ]


def _several(pairs: Iterable[tuple[str, str]]) -> set[str]:
    """Return the first elements that are paired with more than one second element."""
    first: dict[str, str] = {}
    return {one for one, other in pairs if first.setdefault(one, other) != other}


def two_labels(audited: Audited) -> dict[str, dict[str, list[bool]]]:
    """Find the images that have a duplicate with another label, by label column and kind."""
    found = {}
    for column, labels in audited.labels.items():
        exact = _disagree(audited.sha256, labels)
        near = _disagree(audited.duplicates, labels)
        found[column] = {EXACT: exact, NEAR: [a or b for a, b in zip(exact, near, strict=True)]}
    return found


def _disagree(values: Sequence[str], labels: Sequence[str]) -> list[bool]:
    """Whether an image has a label, and an image of the same value has another label."""
    pairs = list(zip(values, labels, strict=True))
    several = _several((value, label) for value, label in pairs if value and label)
    return [bool(label) and value in several for value, label in pairs]


def within_a_split(audited: Audited) -> dict[str, list[bool]]:
    """Find the images that have a duplicate in their own split, by kind."""
    exact = _repeated(audited.sha256, audited.splits)
    near = _repeated(audited.duplicates, audited.splits)
    return {EXACT: exact, NEAR: [a or b for a, b in zip(exact, near, strict=True)]}


def _repeated(values: Sequence[str], splits: Sequence[str]) -> list[bool]:
    """Whether the value of an image occurs twice in its split.

    The result is False for an image without a split, unless no image has a split.
    """
    count = Counter(zip(values, splits, strict=True))
    without = not any(splits)
    return [
        bool(value and (split or without)) and count[value, split] > 1
        for value, split in zip(values, splits, strict=True)
    ]


def table(audited: Audited) -> dict[str, Any]:
    """Count leaks into each split, duplicates with two labels, and duplicates within a split.

    Each count has a share: of the images of the split, or of all images for `two_labels` (by label column)
    and `within_a_split`. `any_by_class` is the share of leaking test images of each class, by label column;
    it is left out if no label is known. `in_val` counts the leaks between test and val, because choices are
    made on val. It is left out if train or val is missing, because without train all other splits are
    compared.
    """
    everywhere = [True] * len(audited.images)
    content: dict[str, Any] = {
        "images": len(audited.images),
        "two_labels": {column: _all(flags, everywhere) for column, flags in two_labels(audited).items()},
        "within_a_split": _all(within_a_split(audited), everywhere),
    }
    found = leaks(audited)
    for split in splits_of(audited.splits):
        here = [other == split for other in audited.splits]
        content[split] = {"images": sum(here)}
        if split != TRAIN:
            content[split] |= _all(found, here)
        if split == TEST and {TRAIN, VAL} <= set(audited.splits):
            content[split][IN_VAL] = _all(leaks(audited, VAL), here)
        known = {column: labels for column, labels in audited.labels.items() if any(labels)}
        if split == TEST and known:
            content[split][BY_CLASS] = {
                column: _by_class(found[ANY], here, labels) for column, labels in known.items()
            }
    return content


def _all(found: Mapping[str, Sequence[bool]], here: Sequence[bool]) -> dict[str, Any]:
    return {kind: _counted(flags, here) for kind, flags in found.items()}


def _counted(flags: Sequence[bool], here: Sequence[bool]) -> dict[str, Any]:
    count = sum(flag and is_here for flag, is_here in zip(flags, here, strict=True))
    return {"images": count, "share": count / max(1, sum(here))}


def _by_class(flags: Sequence[bool], here: Sequence[bool], labels: Sequence[str]) -> dict[str, float]:
    found = defaultdict(list)
    for flag, is_here, label in zip(flags, here, labels, strict=True):
        if is_here and label:
            found[label].append(flag)
    return {label: sum(found[label]) / len(found[label]) for label in sorted(found)}


def leak_count(content: Mapping[str, Any]) -> int:
    """Read from a table how many images of all splits leak; leaks only between test and val do not count."""
    return sum(
        split[ANY]["images"] for split in content.values() if isinstance(split, Mapping) and ANY in split
    )


def in_val_count(content: Mapping[str, Any]) -> int:
    """Read from a table how many images of test leak into val."""
    count: int = content.get(TEST, {}).get(IN_VAL, {}).get(ANY, {}).get("images", 0)
    return count


def summary(content: Mapping[str, Any]) -> str:
    """Summarise the leaks of a table in one line."""
    return (
        f"{leak_count(content)} images of val and test have something of theirs in train, "
        f"{in_val_count(content)} of test in val"
    )


def is_leaking(content: Mapping[str, Any]) -> bool:
    """Whether a table has any leak."""
    return bool(leak_count(content) or in_val_count(content))


def has_splits(content: Mapping[str, Any]) -> bool:
    """Whether a table has two splits or more; with fewer splits leaks cannot be found."""
    return len(content.keys() - set(RESERVED)) > 1
