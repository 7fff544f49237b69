"""What the folders that images lie in say of them: the side, the class, and which are on no side."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from oncovec.data.audit.named import side_of, sides_by_name

_MASK = re.compile(r"_mask(_\d+)?$", re.IGNORECASE)
_SHEET, _BESIDE_SHEET = "pairs.png", ("audit.json", "pairs.csv")


@dataclass(frozen=True)
class Place:
    """Where an image lies: folders above and below the one of its side; all are below where none is."""

    above: tuple[str, ...]
    side: str
    below: tuple[str, ...]

    @property
    def is_twofold(self) -> bool:
        """Whether another side's folder is above, as in `trainval/val`; the inner one counts."""
        return any(side_of(folder) not in (None, self.side) for folder in self.above)


def places(images: Sequence[str]) -> list[Place]:
    """The place of each image, by its innermost folder that names a side."""
    folders = [tuple(image.split("/")[:-1]) for image in images]
    side = sides_by_name({folder for parents in folders for folder in parents})
    found = []
    for parents in folders:
        at = max((level for level, folder in enumerate(parents) if side[folder]), default=None)
        if at is None:
            found.append(Place((), "", parents))
        else:
            found.append(Place(parents[:at], side[parents[at]] or "", parents[at + 1 :]))
    return found


def strays(found: Iterable[Place]) -> Counter[str]:
    """Count the images in folders beside those of the sides, by folder.

    Images that lie loosely where the folders of the sides lie are none of them.
    """
    found = list(found)
    above = {parents for place in found if place.side for parents in _down(place.above)}
    counts: Counter[str] = Counter()
    for place in found:
        if above and not place.side:
            beside = next((parents for parents in _down(place.below) if parents not in above), None)
            if beside:
                counts["/".join(beside)] += 1
    return counts


def labels(found: Sequence[Place]) -> list[str]:
    """Class of each image: the folder at the class level below its side, or else above it; '' without one.

    Images on no side are looked at by themselves.
    """
    classes = [""] * len(found)
    for on_a_side in (True, False):
        rows = [row for row, place in enumerate(found) if bool(place.side) == on_a_side]
        sides = [found[row].side for row in rows]
        above = [[folder for folder in found[row].above if not side_of(folder)] for row in rows]
        for folders in ([found[row].below for row in rows], above):
            level = class_level(folders, sides)
            if level is not None:
                for row, parents in zip(rows, folders, strict=True):
                    classes[row] = parents[level] if parents else ""
                break
    return classes


def class_level(folders: Sequence[Sequence[str]], sides: Sequence[str]) -> int | None:
    """Find the level of folders that are classes, where 0 is the outermost; None where all have one name.

    It is the innermost level of few names (their square is at most the number of images) half of which
    are met again, on another side or under another folder: so classes within patients are found, and
    patients within classes are not taken for classes. Without sides the names need not be met again.
    If no level is like that, it is the outermost with more than one name.
    """
    deep = [(tuple(parents), side) for parents, side in zip(folders, sides, strict=True) if parents]
    varied, alike = [], []
    for level in range(min((len(parents) for parents, _ in deep), default=0)):
        met: dict[str, tuple[set[str], set[tuple[str, ...]]]] = defaultdict(lambda: (set(), set()))
        for parents, side in deep:
            met[parents[level]][0].add(side)
            met[parents[level]][1].add(parents[:level])
        again = sum(len(on) > 1 or len(under) > 1 for on, under in met.values())
        if len(met) > 1:
            varied.append(level)
            if len(met) ** 2 <= len(deep) and (2 * again >= len(met) or not any(sides)):
                alike.append(level)
    return alike[-1] if alike else next(iter(varied), None)


def masks(images: Iterable[str]) -> set[str]:
    """Files named as masks of images that lie beside them, as in breast ultrasound."""
    stem_of = {image: image.rpartition(".")[0] for image in images}
    stems = set(stem_of.values())
    return {image for image, stem in stem_of.items() if _MASK.search(stem) and _MASK.sub("", stem) in stems}


def without_sheets(paths: Sequence[str]) -> list[str]:
    """Leave out the sheets of pairs that an audit has written: they are no images of the split."""
    there = set(paths)

    def is_sheet(path: str) -> bool:
        folder, slash, name = path.rpartition("/")
        return name == _SHEET and all(f"{folder}{slash}{beside}" in there for beside in _BESIDE_SHEET)

    return [path for path in paths if not is_sheet(path)]


def _down(parents: Sequence[str]) -> list[tuple[str, ...]]:
    """Each folder on the way down, as all its parts; the first is the top, of no parts."""
    return list(accumulate(((folder,) for folder in parents), initial=()))
