"""Names of splits: ours, and those that a dataset brings."""

from collections.abc import Sequence

SPLITS = ("train", "val", "test")

NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What published splits are called, in lower case, and the split that each of them is."""


def split_of(name: str) -> str | None:
    """The split that a published name stands for, in whatever case; None where it is none."""
    return NAMES.get(name.strip().lower())


def leaked(groups: Sequence[str], splits: Sequence[str], split: str) -> int:
    """Count the images of `split` whose group is also in train."""
    trained = {group for group, other in zip(groups, splits, strict=True) if other == "train"}
    return sum(group in trained for group, other in zip(groups, splits, strict=True) if other == split)
