"""The sides of a split: ours, and those that a dataset brings, under whatever name."""

from collections.abc import Sequence

SIDES = ("train", "val", "test")

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
"""What published sides are called, in lower case, and the side that each of them is."""


def side_of(name: str) -> str | None:
    """The side that a published name stands for, in whatever case; None where it is none."""
    return NAMES.get(name.strip().lower())


def leaked(groups: Sequence[str], sides: Sequence[str], side: str) -> int:
    """Count the images of `side` whose group is also in train."""
    trained = {group for group, other in zip(groups, sides, strict=True) if other == "train"}
    return sum(group in trained for group, other in zip(groups, sides, strict=True) if other == side)
