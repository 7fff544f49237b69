"""The split: leak-free, or at random or as published, to show what a leak is worth."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import write_csv, write_json
from oncovec.core.params import Split
from oncovec.core.tables import read_table
from oncovec.data.sides import SIDES, leaked
from oncovec.data.stratify import draw

COLUMNS = ("image", "label", "group", "side")


@dataclass(frozen=True)
class Labelled:
    """Images that can be split, and what was left out.

    Attributes:
        images, labels, groups: equally long and sorted by image.
        published: the side that the dataset brings for each image, empty where it brings none.
        two_labels: images left out because their byte-copies carry different labels.
        unlabelled: images left out because the label column is empty.
    """

    images: list[str]
    labels: list[str]
    groups: list[str]
    published: list[str]
    two_labels: int
    unlabelled: int


def labelled(index: Sequence[Mapping[str, str]], groups: Mapping[str, str], label: str) -> Labelled:
    """Take the images that have exactly one label.

    Raises:
        OncovecError: when the index has no such label column.
    """
    if index and label not in index[0]:
        raise OncovecError(f"no label column {label!r} in the index; there are {', '.join(index[0])}")
    seen: dict[str, set[str]] = defaultdict(set)
    for row in index:
        if row[label]:
            seen[row["sha256"]].add(row[label])
    rows = sorted(index, key=lambda row: row["image"])
    one = [row for row in rows if len(seen[row["sha256"]]) < 2]
    kept = [row for row in one if row[label]]
    return Labelled(
        [row["image"] for row in kept],
        [row[label] for row in kept],
        [groups[row["image"]] for row in kept],
        [row.get("side", "") for row in kept],
        two_labels=len(rows) - len(one),
        unlabelled=len(one) - len(kept),
    )


def assign(data: Labelled, settings: Split, dataset: str) -> list[str]:
    """Give every image a side by the strategy of `settings`.

    `grouped` keeps groups whole; `random` draws image by image, as is usual, so that groups leak;
    `published` takes the dataset's own sides, and draws val from its train, by group, where it brings none.

    Args:
        data: the images.
        settings: strategy, shares of train, val and test, seed.
        dataset: its name, for messages.

    Raises:
        OncovecError: where the dataset brings no sides or not for all images, and for a class that does
            not come on every side.
    """
    if settings.strategy == "published":
        return _published(data, settings, dataset)
    together = data.groups if settings.strategy == "grouped" else data.images
    return draw(data.labels, together, _shares(settings), settings.seed)


def _shares(settings: Split) -> tuple[float, float, float]:
    return settings.train, settings.val, settings.test


def _published(data: Labelled, settings: Split, dataset: str) -> list[str]:
    refused = f"split.strategy = 'published': dataset {dataset!r}"
    sides = list(data.published)
    without = [image for image, side in zip(data.images, sides, strict=True) if side not in SIDES]
    if without:
        raise OncovecError(
            f"{refused} brings no side for {len(without)} of {len(sides)} images, {without[0]} for one; "
            "take grouped or random"
        )
    for side in SIDES:
        here = {label for label, other in zip(data.labels, sides, strict=True) if other == side}
        missing = sorted(set(data.labels) - here)
        if missing and (here or side != "val"):
            raise OncovecError(f"{refused} brings no image of {', '.join(missing)} for {side}")
    if "val" in sides:
        return sides
    rows = [row for row, side in enumerate(sides) if side == "train"]
    both = settings.train + settings.val
    shares = (settings.train / both, settings.val / both)
    labels, groups = [data.labels[row] for row in rows], [data.groups[row] for row in rows]
    for row, side in zip(rows, draw(labels, groups, shares, settings.seed, ("train", "val")), strict=True):
        sides[row] = side
    return sides


def warning(data: Labelled, sides: Sequence[str], task: str, strategy: str) -> str:
    """Return the line that says how much leaks; empty for the strategy `grouped`, where nothing does."""
    if strategy == "grouped":
        return ""
    found, all_of_it = leaked(data.groups, sides, "test"), sides.count("test")
    line = f"split: {task}: strategy {strategy}: {found} of {all_of_it} test images have their group in train"
    return f"{line}; figures will be too high" if found else line


def no_classes(data: Labelled, settings: Split, task: str) -> str:
    """Return the line that says which of `split.unseen_classes` the task lacks; empty where it has all."""
    named = settings.unseen_classes
    strange = [name for name in named if name not in data.labels]
    if not strange:
        return ""
    if len(strange) == len(named):
        return f"split@{task}: none of split.unseen_classes is a class of {task}"
    which = f"{', '.join(strange)} {'is' if len(strange) == 1 else 'are'}"
    return f"split@{task}: split.unseen_classes: {which} no class of {task}"


def table(data: Labelled, sides: Sequence[str], settings: Split) -> dict[str, Any]:
    """Images and groups a side and class, what leaks and what was left out, for `metrics/splits/`.

    `deviation` has, for each class, the largest difference between the share of its images that a side
    got and the share that was asked; there is none where sides are published, since nothing was asked.
    `unseen_classes` stand there only where there are some; their images are counted like all others.
    """
    sizes = Counter(data.groups)
    content: dict[str, Any] = {
        "strategy": settings.strategy,
        "images": len(data.images),
        "groups": len(sizes),
        "largest_group": max(sizes.values(), default=0),
        "left_out": {"two_labels": data.two_labels, "unlabelled": data.unlabelled},
    }
    for side in SIDES:
        chosen = [(g, c) for g, c, s in zip(data.groups, data.labels, sides, strict=True) if s == side]
        images = Counter(c for _, c in chosen)
        groups = Counter(c for _, c in set(chosen))
        content[side] = {
            "images": len(chosen),
            "groups": len({g for g, _ in chosen}),
            "classes": {c: {"images": images[c], "groups": groups[c]} for c in sorted(images)},
        }
        if side != "train":
            found = leaked(data.groups, sides, side)
            content[side]["leaked"] = {"images": found, "share": found / max(len(chosen), 1)}
    if settings.strategy != "published":
        content["deviation"] = _deviation(content, Counter(data.labels), _shares(settings))
    if unseen := _unseen(data, settings):
        content["unseen_classes"] = unseen
    return content


def _deviation(
    content: Mapping[str, Any], total: Mapping[str, int], shares: Sequence[float]
) -> dict[str, float]:
    """For each class the largest difference between a side's share of its images and what was asked."""
    got = {side: content[side]["classes"] for side in SIDES}
    return {
        name: max(
            abs(got[side].get(name, {"images": 0})["images"] / total[name] - share)
            for side, share in zip(SIDES, shares, strict=True)
        )
        for name in sorted(total)
    }


def write(data: Labelled, sides: Sequence[str], task: str, positive: str | None, settings: Split) -> None:
    """Write the split's table, its counts, and the classes that stand beside it.

    Unseen ones stand apart from those to learn; their images have the sides that they would have anyway.

    Raises:
        OncovecError: when the positive class has no image or is to be unseen, there are more classes than two
            beside a positive one, or fewer than two are left to train on.
    """
    classes, unseen = sorted(set(data.labels)), _unseen(data, settings)
    if positive is not None and (positive not in classes or len(classes) != 2):
        raise OncovecError(
            f"tasks.{task}.positive = {positive!r}: needs two classes, this one among them; "
            f"there are {', '.join(classes)}"
        )
    seen = [name for name in classes if name not in unseen]
    _refuse_unseen(task, positive, seen, unseen)
    write_csv(paths.split(task), COLUMNS, zip(data.images, data.labels, data.groups, sides, strict=True))
    write_json(paths.split_facts(task), {"classes": seen, "unseen": unseen, "positive": positive})
    write_json(paths.split_metrics(task), table(data, sides, settings))


def _unseen(data: Labelled, settings: Split) -> list[str]:
    """The task's own among the classes that are kept out of training, sorted."""
    return sorted(set(settings.unseen_classes) & set(data.labels))


def _refuse_unseen(task: str, positive: str | None, seen: Sequence[str], unseen: Sequence[str]) -> None:
    if positive in unseen:
        raise OncovecError(
            f"split.unseen_classes: {positive} is the positive class of {task}, which it must be trained on"
        )
    if unseen and len(seen) < 2:
        raise OncovecError(
            f"split.unseen_classes: without {', '.join(unseen)} task {task} has "
            f"{f'only {seen[0]}' if seen else 'nothing'} to train on; it needs at least two classes"
        )


def read(path: Path) -> list[dict[str, str]]:
    """Read a split: rows of `image,label,group,side`."""
    return read_table(path, COLUMNS)
