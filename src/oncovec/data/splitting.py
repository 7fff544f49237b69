"""The split: leak-free, or at random or as published, to show what a leak is worth."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing_folder
from oncovec.core.params import Split
from oncovec.data import index
from oncovec.data.split_names import SPLITS, leaked
from oncovec.data.stratify import draw

COLUMNS = ("image", "group", "split")

_REFUSED = "split.strategy = 'published': dataset {!r}"


@dataclass(frozen=True)
class Labelled:
    """Images that can be split, and what was left out.

    Attributes:
        images, groups: equally long and sorted by image.
        labels: of each label column the label of each image, empty where it has none.
        stratify: the label columns that the draw looks after.
        published: the split that the dataset brings for each image, empty where it brings none.
        two_labels: images left out because their exact duplicates disagree in a label column.
        unlabelled: images left out because they have no label in any column.
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
        """Draw a split of each of `rows`; images that are equal in `together` stay in one."""
        columns = [[self.labels[column][row] for row in rows] for column in self.stratify]
        return draw(columns, [together[row] for row in rows], shares, seed, splits)


def labelled(
    table: pd.DataFrame, groups: Mapping[str, str], dataset: str, stratify: Sequence[str] | None = None
) -> Labelled:
    """Take the images that have a label, and none that an exact duplicate contradicts.

    Args:
        table: the dataset's index.
        groups: group of each image.
        dataset: its name, for messages.
        stratify: label columns that the draw looks after; None for all.

    Raises:
        OncovecError: when the index lacks one of `stratify`, or is of other images than the groups.
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
    """Images that can be split, sorted; how many have two labels, and how many of the others have none."""
    one = table[~index.contradicted(table)]
    kept = one[(one[index.label_columns(table)] != "").any(axis=1)]
    return kept.sort_values("image"), len(table) - len(one), len(one) - len(kept)


def _refuse_others(one: Path, other: Path, ones: Iterable[str], others: Iterable[str], stage: str) -> None:
    """Refuse two tables that are not of the same images."""
    if odd := sorted(set(ones) ^ set(others)):
        raise OncovecError(
            f"{one} does not belong to {other}: {len(odd)} images are of one alone, {odd[0]} for one; "
            f"run `dvc repro {stage}`"
        )


def assign(data: Labelled, settings: Split, dataset: str) -> list[str]:
    """Give every image a split by the strategy of `settings`.

    `grouped` keeps groups whole; `random` draws image by image, as is usual, so that groups leak;
    `published` takes the dataset's own split, and draws val from its train, by group, where it brings none.

    Args:
        data: the images.
        settings: strategy, shares of train, val and test, seed.
        dataset: its name, for messages.

    Raises:
        OncovecError: where the dataset brings no split or not for all images, and for a class that does
            not come in every split.
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
    """Of each split the classes that have no image in it; '' is no class."""
    on = set(zip(splits, classes, strict=True))
    names = sorted(set(classes) - {""})
    return {split: [name for name in names if (split, name) not in on] for split in SPLITS}


def warnings(data: Labelled, splits: Sequence[str], dataset: str, strategy: str) -> list[str]:
    """Lines worth printing: how much leaks where groups were parted, and classes that a split lacks.

    The draw looks after the classes of the columns `stratify` alone; of the others one may lack in a split.
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
    """Images and groups a split and class, what leaks and what was left out, for `metrics/splits/`.

    `deviation` has, for each class that the draw looks after, the largest difference between the share of its
    images that a split got and the share that was asked; published splits have none, since nothing was asked.
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
    """Images and groups of each class, of rows of class and group; '' is no class."""
    images, groups = Counter(name for name, _ in rows), Counter(name for name, _ in set(rows))
    return {name: {"images": images[name], "groups": groups[name]} for name in sorted(set(images) - {""})}


def _deviation(classes: Sequence[str], splits: Sequence[str], shares: Sequence[float]) -> dict[str, float]:
    """Of each class the largest difference between a split's share of its images and what was asked."""
    total, got = Counter(classes), Counter(zip(splits, classes, strict=True))
    return {
        name: max(
            abs(got[split, name] / total[name] - share) for split, share in zip(SPLITS, shares, strict=True)
        )
        for name in sorted(total)
        if name
    }


def write(data: Labelled, splits: Sequence[str], dataset: str) -> None:
    """Write the table `image,group,split`."""
    path = paths.split(dataset)
    with replacing_folder(path.parent) as folder:
        rows = zip(data.images, data.groups, splits, strict=True)
        tables.write(folder / path.name, tables.of(COLUMNS, rows))


def read(path: Path) -> pd.DataFrame:
    """Read a table `image,group,split`.

    Raises:
        OncovecError: when it is not there, has an image twice, or a split that is none.
    """
    table = tables.read(path, COLUMNS)
    repeated = int(table["image"].duplicated().sum())
    strange = sorted(set(table["split"]) - set(SPLITS))
    if repeated or strange:
        reason = f"{repeated} images are there twice" if repeated else f"{strange[0]!r} is no split"
        raise OncovecError(f"{path}: {reason}; run `dvc repro --force split@{path.parent.name}`")
    return table


def of_task(dataset: str, label: str) -> pd.DataFrame:
    """Join a dataset's split with the labels that a task learns: `image,label,group,split`.

    Args:
        dataset: its name.
        label: a label column of its index.

    Returns:
        Sorted by image; images without a label in that column are left out.

    Raises:
        OncovecError: when there is no such label column, or index and split are not of the same images.
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
    return joined[["image", "label", "group", "split"]]
