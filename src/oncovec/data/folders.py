"""Information from the folders of images: the split, the class, and images in no split."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from oncovec.data.split_names import split_of, splits_by_name


@dataclass(frozen=True)
class Place:
    """The folders of an image: those above and below the folder of its split.

    If no folder names a split, all folders are in `below`.
    """

    above: tuple[str, ...]
    split: str
    below: tuple[str, ...]

    @property
    def is_twofold(self) -> bool:
        """Whether a folder above names another split, as in `trainval/val`; the inner folder counts."""
        return any(split_of(folder) not in (None, self.split) for folder in self.above)


def places(images: Sequence[str]) -> list[Place]:
    """Find the place of each image by its innermost folder that names a split."""
    folders = [tuple(image.split("/")[:-1]) for image in images]
    split = splits_by_name({folder for parents in folders for folder in parents})
    found = []
    for parents in folders:
        at = max((level for level, folder in enumerate(parents) if split[folder]), default=None)
        if at is None:
            found.append(Place((), "", parents))
        else:
            found.append(Place(parents[:at], split[parents[at]] or "", parents[at + 1 :]))
    return found


def strays(found: Iterable[Place]) -> Counter[str]:
    """Count the images in folders next to the folders of the splits, by folder.

    Images directly in the parent folder of the splits are not counted.
    """
    found = list(found)
    above = {parents for place in found if place.split for parents in _down(place.above)}
    counts: Counter[str] = Counter()
    for place in found:
        if above and not place.split:
            beside = next((parents for parents in _down(place.below) if parents not in above), None)
            if beside:
                counts["/".join(beside)] += 1
    return counts


def labels(found: Sequence[Place]) -> list[str]:
    """Find the class of each image: the folder at the class level below its split, or else above it.

    A level that is a candidate of `class_level` comes first, so that patients below the splits are no classes
    if there are classes above them. The class is '' if there is no such folder. Images in no split are
    treated separately.
    """
    classes = [""] * len(found)
    for in_a_split in (True, False):
        rows = [row for row, place in enumerate(found) if bool(place.split) == in_a_split]
        splits = [found[row].split for row in rows]
        above = [[folder for folder in found[row].above if not split_of(folder)] for row in rows]
        both = ([found[row].below for row in rows], above)
        known = [folders for folders in both if _levels(folders, splits)[1]]
        for folders in known or both:
            level = class_level(folders, splits)
            if level is not None:
                for row, parents in zip(rows, folders, strict=True):
                    classes[row] = parents[level] if parents else ""
                break
    return classes


def class_level(folders: Sequence[Sequence[str]], splits: Sequence[str]) -> int | None:
    """Find the folder level of the classes, where 0 is the outermost level.

    A candidate level has more than one name and few names: their square is at most the number of images. At
    least half of the names must also occur in another split or under another folder; without splits this is
    not required. The class level is the innermost candidate. So classes within patients are found, and
    patients within classes are not taken for classes, if their names do not occur in several classes or
    splits. Without a candidate, the class level is the outermost level with more than one name.

    Returns:
        The level; None if every level has one name.
    """
    varied, candidates = _levels(folders, splits)
    return candidates[-1] if candidates else next(iter(varied), None)


def class_names(found: Sequence[Place]) -> list[list[str]]:
    """List the names of each level below the splits that is a candidate of `class_level`, sorted."""
    below = [place.below for place in found]
    _, candidates = _levels(below, [place.split for place in found])
    return [sorted({parents[level] for parents in below if parents}) for level in candidates]


def _levels(folders: Sequence[Sequence[str]], splits: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the levels with more than one name, and the candidates for that of the classes."""
    deep = [(tuple(parents), split) for parents, split in zip(folders, splits, strict=True) if parents]
    varied, alike = [], []
    for level in range(min((len(parents) for parents, _ in deep), default=0)):
        met: dict[str, tuple[set[str], set[tuple[str, ...]]]] = defaultdict(lambda: (set(), set()))
        for parents, split in deep:
            met[parents[level]][0].add(split)
            met[parents[level]][1].add(parents[:level])
        again = sum(len(on) > 1 or len(under) > 1 for on, under in met.values())
        if len(met) > 1:
            varied.append(level)
            if len(met) ** 2 <= len(deep) and (2 * again >= len(met) or not any(splits)):
                alike.append(level)
    return varied, alike


def _down(parents: Sequence[str]) -> list[tuple[str, ...]]:
    """List each folder on the path, as a tuple of its parts; the first is the top, an empty tuple."""
    return list(accumulate(((folder,) for folder in parents), initial=()))
