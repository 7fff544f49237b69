"""The two halves of val: values are chosen on one, the other calibrates and gives the metrics of val."""

from collections import Counter
from collections.abc import Sequence

from oncovec.data.split_names import VAL_PARTS
from oncovec.data.splitting import Labelled
from oncovec.data.stratify import halve


def halves(data: Labelled, splits: Sequence[str], strategy: str, seed: int) -> list[str]:
    """Assign every image of val to one of `VAL_PARTS`, by group; '' for images of train and test.

    Under the strategy `random` images are assigned one by one. If a class of the columns `stratify` has one
    group in val, one half would lack it; val is then not cut, and all images have ''.

    Args:
        data: the images.
        splits: the split of each image.
        strategy: strategy of the split.
        seed: random seed of the order in which groups are assigned.
    """
    rows = [row for row, split in enumerate(splits) if split == "val"]
    if of_one_group(data, splits, strategy):
        return [""] * len(splits)
    columns = [[data.labels[column][row] for row in rows] for column in data.stratify]
    together = _together(data, strategy)
    parts = halve(columns, [together[row] for row in rows], seed, VAL_PARTS)
    part_of = dict(zip(rows, parts, strict=True))
    return [part_of.get(row, "") for row in range(len(splits))]


def of_one_group(data: Labelled, splits: Sequence[str], strategy: str) -> list[str]:
    """List the classes of the columns `stratify` that have one group in val."""
    together, found = _together(data, strategy), list[str]()
    for column in data.stratify:
        labels = zip(data.labels[column], together, splits, strict=True)
        counts = Counter(label for label, _ in {(a, b) for a, b, split in labels if split == "val"})
        found += sorted(label for label, groups in counts.items() if label and groups == 1)
    return found


def warnings(data: Labelled, splits: Sequence[str], strategy: str) -> list[str]:
    """Return a line to print if val is not cut in two."""
    if single := of_one_group(data, splits, strategy):
        return [
            f"val is not cut in two, as {single[0]} has one group there: its metrics are over the images on "
            "which values are chosen"
        ]
    return []


def _together(data: Labelled, strategy: str) -> list[str]:
    return data.images if strategy == "random" else data.groups
