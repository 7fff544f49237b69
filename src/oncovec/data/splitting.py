"""The split: leak-free, or random or as published, to measure the effect of a leak on the metrics."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.files import new_folder
from oncovec.core.params import Split
from oncovec.data import index
from oncovec.data.split_names import SPLITS, leaked
from oncovec.data.stratify import draw

COLUMNS = ("image", "group", "split", "val_part")

_REFUSED = "split.strategy = 'published': dataset {!r}"


@dataclass(frozen=True)
class Labelled:
    """Images that can be split, and counts of the images that were left out.

    Attributes:
        images, groups: of equal length, sorted by image.
        labels: for each label column, the label of each image; empty if it has none.
        stratify: the label columns by which the draw is stratified.
        published: the published split of each image; empty if there is none.
        two_labels: number of images left out because their exact duplicates disagree in a label column.
        unlabelled: number of images left out because they have no label in any column.
    """

    images: list[str]
    groups: list[str]
    labels: Mapping[str, list[str]]
    stratify: tuple[str, ...]
    published: list[str]
    two_labels: int
    unlabelled: int

    def draw(
        self,
        rows: Sequence[int],
        together: Sequence[str],
        shares: Sequence[float],
        seed: int,
        splits: Sequence[str],
    ) -> list[str]:
        """Draw the split of each of `rows`; images with equal values in `together` stay in one split."""
        columns = [[self.labels[column][row] for row in rows] for column in self.stratify]
        return draw(columns, [together[row] for row in rows], shares, seed, splits)


def labelled(
    table: pd.DataFrame, groups: Mapping[str, str], dataset: str, stratify: Sequence[str] | None = None
) -> Labelled:
    """Select the images that have a label and no exact duplicate with another label.

    Args:
        table: the dataset's index.
        groups: group of each image.
        dataset: its name, for messages.
        stratify: label columns by which the draw is stratified; None for all.

    Raises:
        OncovecError: if the index lacks one of `stratify`, or has other images than the groups.
    """
    columns = index.label_columns(table)
    if strange := [column for column in stratify or () if column not in columns]:
        raise OncovecError(
            f"datasets.{dataset}.stratify = {list(stratify or ())}: no label column {strange[0]!r} in the "
            f"index; there are {', '.join(columns) or 'none'}"
        )
    files = paths.group_table(dataset), paths.index(dataset)
    _refuse_others(*files, groups, table["image"], f"group@{dataset}")
    kept, two_labels, unlabelled = _kept(table)
    images = kept["image"].tolist()
    return Labelled(
        images=images,
        groups=[groups[image] for image in images],
        labels={column: kept[column].tolist() for column in columns},
        stratify=tuple(stratify or columns),
        published=kept["published_split"].tolist() if "published_split" in kept else [""] * len(kept),
        two_labels=two_labels,
        unlabelled=unlabelled,
    )


def _kept(table: pd.DataFrame) -> tuple[pd.DataFrame, int, int]:
    """Select the images that can be split, sorted; count those with two labels, and those without a label."""
    one = table[~index.contradicted(table)]
    kept = one[(one[index.label_columns(table)] != "").any(axis=1)]
    return kept.sort_values("image"), len(table) - len(one), len(one) - len(kept)


def _refuse_others(one: Path, other: Path, ones: Iterable[str], others: Iterable[str], stage: str) -> None:
    """Refuse two tables that do not have the same images."""
    if odd := sorted(set(ones) ^ set(others)):
        raise OncovecError(
            f"{one} does not belong to {other}: {len(odd)} images are of one alone, {odd[0]} for one; "
            f"run `dvc repro {stage}`"
        )


def assign(data: Labelled, settings: Split, dataset: str) -> list[str]:
    """Assign every image to a split by the strategy of `settings`.

    - `grouped` keeps groups whole.
    - `random` draws single images, as is common practice, so that groups leak.
    - `published` takes the published split of the dataset. If that has no val, val is drawn from train, by
      group.

    Args:
        data: the images.
        settings: strategy, shares of train, val and test, and random seed.
        dataset: its name, for messages.

    Raises:
        OncovecError: if the published split is missing for some images, or a split lacks a class.
    """
    published = settings.strategy == "published"
    if published and (without := [row for row, split in enumerate(data.published) if split not in SPLITS]):
        raise OncovecError(
            f"{_REFUSED.format(dataset)} brings no split for {len(without)} of {len(data.images)} images, "
            f"{data.images[without[0]]} for one; take grouped or random"
        )
    if published:
        return _published(data, settings, dataset)
    together = data.groups if settings.strategy == "grouped" else data.images
    return data.draw(range(len(data.images)), together, _shares(settings), settings.seed, SPLITS)


def _shares(settings: Split) -> tuple[float, float, float]:
    return settings.train, settings.val, settings.test


def _published(data: Labelled, settings: Split, dataset: str) -> list[str]:
    splits = list(data.published)
    for column in data.stratify:
        for split, missing in _missing(data.labels[column], splits).items():
            if missing and (split in splits or split != "val"):
                lacking = f"{column} {', '.join(missing)}"
                raise OncovecError(f"{_REFUSED.format(dataset)} brings no image of {lacking} for {split}")
    if "val" in splits:
        return splits
    rows = [row for row, split in enumerate(splits) if split == "train"]
    both = settings.train + settings.val
    shares = (settings.train / both, settings.val / both)
    drawn = data.draw(rows, data.groups, shares, settings.seed, ("train", "val"))
    for row, split in zip(rows, drawn, strict=True):
        splits[row] = split
    return splits


def _missing(classes: Sequence[str], splits: Sequence[str]) -> dict[str, list[str]]:
    """Find, for each split, the classes without an image in it; '' is not a class."""
    on = set(zip(splits, classes, strict=True))
    names = sorted(set(classes) - {""})
    return {split: [name for name in names if (split, name) not in on] for split in SPLITS}


def warnings(data: Labelled, splits: Sequence[str], dataset: str, strategy: str) -> list[str]:
    """List lines to print: the number of leaks if groups were divided, and classes that a split lacks.

    The draw is stratified only by the columns `stratify`; a split may lack a class of another column.
    """
    lines = []
    if strategy != "grouped":
        found, all_of_it = leaked(data.groups, splits, "test"), splits.count("test")
        line = f"strategy {strategy}: {found} of {all_of_it} test images have their group in train"
        lines.append(f"{line}; metrics will be too high" if found else line)
    for column, labels in data.labels.items():
        for split, missing in _missing(labels, splits).items():
            if missing:
                more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
                lines.append(
                    f"no image in {split} of {column} {', '.join(missing[:5])}{more}; "
                    f"datasets.{dataset}.stratify looks after {', '.join(data.stratify)} alone"
                )
    return lines


def table(data: Labelled, splits: Sequence[str], settings: Split) -> dict[str, Any]:
    """Count images and groups per split and class, leaks, and images left out, for `metrics/splits/`.

    `deviation` has, for each class of the columns `stratify`, the largest difference between the share of its
    images in a split and the requested share. Published splits have no `deviation`, because no shares are
    requested.
    """
    sizes = Counter(data.groups)
    content: dict[str, Any] = {
        "strategy": settings.strategy,
        "images": len(data.images),
        "groups": len(sizes),
        "largest_group": max(sizes.values(), default=0),
        "left_out": {"two_labels": data.two_labels, "unlabelled": data.unlabelled},
    }
    for split in SPLITS:
        rows = [row for row, other in enumerate(splits) if other == split]
        content[split] = {
            "images": len(rows),
            "groups": len({data.groups[row] for row in rows}),
            "classes": {
                column: _counts([(labels[row], data.groups[row]) for row in rows])
                for column, labels in data.labels.items()
            },
        }
        if split != "train":
            found = leaked(data.groups, splits, split)
            content[split]["leaked"] = {"images": found, "share": found / max(len(rows), 1)}
    if settings.strategy != "published":
        content["deviation"] = {
            column: _deviation(data.labels[column], splits, _shares(settings)) for column in data.stratify
        }
    return content


def _counts(rows: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Count images and groups of each class, from rows of class and group; '' is not a class."""
    images, groups = Counter(name for name, _ in rows), Counter(name for name, _ in set(rows))
    return {name: {"images": images[name], "groups": groups[name]} for name in sorted(set(images) - {""})}


def _deviation(classes: Sequence[str], splits: Sequence[str], shares: Sequence[float]) -> dict[str, float]:
    """Compute the largest difference between the share of each class in a split and the requested share."""
    total, got = Counter(classes), Counter(zip(splits, classes, strict=True))
    return {
        name: max(
            abs(got[split, name] / total[name] - share) for split, share in zip(SPLITS, shares, strict=True)
        )
        for name in sorted(total)
        if name
    }


def write(data: Labelled, splits: Sequence[str], val_parts: Sequence[str], dataset: str) -> None:
    """Write the table `image,group,split,val_part`."""
    path = paths.split(dataset)
    with new_folder(path.parent) as folder:
        rows = zip(data.images, data.groups, splits, val_parts, strict=True)
        tables.write(folder / path.name, tables.of(COLUMNS, rows))


def read(path: Path) -> pd.DataFrame:
    """Read a table `image,group,split,val_part`.

    Raises:
        OncovecError: if the table is missing, has an image twice, or has an unknown split.
    """
    table = tables.read(path, COLUMNS)
    repeated = int(table["image"].duplicated().sum())
    strange = sorted(set(table["split"]) - set(SPLITS))
    if repeated or strange:
        reason = f"{repeated} images are there twice" if repeated else f"{strange[0]!r} is no split"
        raise OncovecError(f"{path}: {reason}; run `dvc repro --force split@{path.parent.name}`")
    return table


def of_task(dataset: str, label: str) -> pd.DataFrame:
    """Join a dataset's split with the labels that a task learns: `image,label,group,split,val_part`.

    Args:
        dataset: its name.
        label: a label column of its index.

    Returns:
        The table sorted by image; images without a label in that column are left out.

    Raises:
        OncovecError: if there is no such label column, or index and split do not have the same images.
    """
    table = index.read(paths.index(dataset))
    columns = index.label_columns(table)
    if label not in columns:
        raise OncovecError(
            f"a task's label = {label!r}: dataset {dataset!r} has no such label column; "
            f"there are {', '.join(columns) or 'none'}"
        )
    kept, _, _ = _kept(table)
    drawn = read(paths.split(dataset))
    _refuse_others(
        paths.split(dataset), paths.index(dataset), drawn["image"], kept["image"], f"split@{dataset}"
    )
    labels = pd.DataFrame({"image": kept["image"], "label": kept[label]})
    joined = labels[labels["label"] != ""].merge(drawn, on="image", validate="one_to_one")
    return joined[["image", "label", "group", "split", "val_part"]]
