"""Names of splits: our names, and the names in folders and tables of datasets."""

import re
from collections.abc import Iterable, Sequence

SPLITS = ("train", "val", "test")

VAL_PARTS = ("choose", "calibrate")
"""Halves of val: values are chosen on the first; the second calibrates, and metrics of val are of it."""


_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Usual names of splits, in lower case, and our name for each."""

_BESIDE = r"(?:sets?|splits?|folders?|data(?:sets?)?|images?|imgs?|aug(?:mented|mentation)?|full)"
"""Words that may be added to the name of a split: `test_set`, `trainset`, `train_augmented`."""

_HELD_OUT, _EVALUATED = ("holdout", "heldout"), ("eval", "evaluation")
_TRAIN_AND_VAL = r"train(?:ing)?(?:val|valid|validation|dev)"

HOW = (
    "splits are told by names such as train, Training, train_set, trainval; val, valid, dev; "
    "test, Testing, holdout, eval"
)
"""Text for messages about a split that was not recognised."""


def split_of(name: str) -> str | None:
    """Recognise the split in the name of a folder or a cell: train, val or test; None for anything else.

    Names of train and val together, such as `trainval`, are train, because these images were trained on.
    `holdout` and `eval` are test.
    """
    said = _said(name)
    if re.fullmatch(_TRAIN_AND_VAL, said):
        return "train"
    return "test" if said in (*_HELD_OUT, *_EVALUATED) else _NAMES.get(said)


def splits_by_name(names: Iterable[str]) -> dict[str, str | None]:
    """Recognise the split of each name; `eval` is val if other names include a test split and no val."""
    found = {name: split_of(name) for name in names}
    evaluated = {name for name in found if _said(name) in _EVALUATED}
    others = {split for name, split in found.items() if name not in evaluated}
    if "test" in others and "val" not in others:
        found |= dict.fromkeys(evaluated, "val")
    return found


def _said(name: str) -> str:
    """Reduce a name to its letters in lower case, without the words of `_BESIDE`, each word once."""
    words = re.findall("[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return "".join(dict.fromkeys(re.sub(f"{_BESIDE}+$", "", word) for word in words))


def leaked(groups: Sequence[str], splits: Sequence[str], split: str) -> int:
    """Count the images of `split` whose group is also in train."""
    trained = {group for group, other in zip(groups, splits, strict=True) if other == "train"}
    return sum(group in trained for group, other in zip(groups, splits, strict=True) if other == split)
