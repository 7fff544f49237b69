"""Pairs of duplicates in a split, sorted from the worst, and a sheet of images that shows them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from oncovec.core import sheets, tables
from oncovec.data.audit.leaks import EXACT, NEAR, TRAIN, Audited, splits_of

COLUMNS = (
    *("first", "second", "split_first", "split_second", "label_first", "label_second"),
    *("kind", "inliers", "correlation"),
)
MOST = 24
"""Largest number of pairs on a sheet."""

A_ROW, CELL = 3, 150
"""Number of pairs in a row of a sheet, and side of an image in px."""

TWO_LABELS, LEAK, APART, TOGETHER = range(4)
"""Ranks of pairs from the worst: two labels, train and another split, two other splits, one (or no) split."""


@dataclass(frozen=True)
class DuplicatePair:
    """Two duplicates as rows of the audited images; if only one of them is in train, it is `second`.

    `inliers` and `correlation` are the values that confirmed a near-duplicate; None for an exact duplicate.
    """

    first: int
    second: int
    rank: int
    inliers: int | None = None
    correlation: float | None = None

    @property
    def kind(self) -> str:
        """`exact_duplicate` or `near_duplicate`."""
        return EXACT if self.inliers is None else NEAR

    @property
    def called(self) -> str:
        """The kind as text for a reader."""
        return "exact duplicate" if self.inliers is None else "near-duplicate"


def pairs(audited: Audited, confirmed: Iterable[tuple[int, int, int, float]]) -> list[DuplicatePair]:
    """List all confirmed pairs, and enough pairs of exact duplicates to include each image that has one.

    A confirmed pair of two files also holds for their exact duplicates. Of these, the first in each split and
    of each label is listed.

    Args:
        audited: the split.
        confirmed: near-duplicates as two rows, inliers and correlation. Exact duplicates are skipped, because
            the hashes find them, and so are pairs that were not joined into one cluster.

    Returns:
        The pairs sorted by rank, then exact before near-duplicates, then from the most to the least certain.
    """
    places = {split: place for place, split in enumerate([*splits_of(audited.splits)[::-1], ""])}
    same = _by_content(audited)
    found: dict[tuple[int, int], DuplicatePair] = {}
    for one, other, inliers, correlation in confirmed:
        if audited.sha256[one] == audited.sha256[other]:
            continue
        if audited.duplicates[one] != audited.duplicates[other]:
            continue
        ones, others = ({row, *_heads(same.get(audited.sha256[row]))} for row in (one, other))
        for ends in {(min(ends), max(ends)) for ends in product(ones, others)}:
            pair = _pair(audited, places, *ends, inliers, correlation)
            if ends not in found or _order(audited, pair) < _order(audited, found[ends]):
                found[ends] = pair
    for content in same.values():
        for ends in content.pairs:
            found[ends] = _pair(audited, places, *ends)
    return sorted(found.values(), key=lambda pair: _order(audited, pair))


def _pair(audited: Audited, places: dict[str, int], one: int, other: int, *confirmed: Any) -> DuplicatePair:
    """Rank a pair and order its images: test before val before train, and by path within one split."""
    first, second = sorted(
        (one, other), key=lambda row: (places[audited.splits[row]], audited.images[row], row)
    )
    split, other_split = audited.splits[first], audited.splits[second]
    if audited.disagree(first, second):
        rank = TWO_LABELS
    elif not split or not other_split or split == other_split:
        rank = TOGETHER
    else:
        rank = LEAK if TRAIN in (split, other_split) or TRAIN not in places else APART
    return DuplicatePair(first, second, rank, *confirmed)


@dataclass
class _Content:
    """Images with the same bytes: `heads`, the first in each split and of each label, and some `pairs`.

    Every image is paired with the heads before it. There are few heads, even if very many images are equal.
    """

    heads: dict[tuple[str, ...], int] = field(default_factory=dict)
    pairs: list[tuple[int, int]] = field(default_factory=list)


def _by_content(audited: Audited) -> dict[str, _Content]:
    """Group images with the same bytes by their hash; only hashes of several images are included."""
    count = Counter(audited.sha256)
    found: dict[str, _Content] = defaultdict(_Content)
    for row, sha256 in enumerate(audited.sha256):
        if sha256 and count[sha256] > 1:
            content = found[sha256]
            content.pairs += [(head, row) for head in content.heads.values()]
            labels = (column[row] for column in audited.labels.values())
            content.heads.setdefault((audited.splits[row], *labels), row)
    return found


def _heads(content: _Content | None) -> Iterable[int]:
    return content.heads.values() if content else ()


def _order(audited: Audited, pair: DuplicatePair) -> tuple[Any, ...]:
    sure = (-(pair.inliers or 0), -(pair.correlation or 0.0))
    names = audited.images[pair.first], audited.images[pair.second]
    return (pair.rank, pair.kind, *sure, *names, pair.first, pair.second)


def read(path: Path, audited: Audited) -> list[tuple[int, int, int, float]]:
    """Read confirmed pairs in the form that `pairs` takes; pairs with an unaudited image are skipped."""
    row_of = {image: row for row, image in enumerate(audited.images)}
    columns = ["first", "second", "inliers", "correlation"]
    table = tables.read(path, columns)
    known = table[table["first"].isin(row_of) & table["second"].isin(row_of)]
    return [
        (row_of[first], row_of[second], int(inliers), float(correlation))
        for first, second, inliers, correlation in known[columns].itertuples(index=False)
    ]


def write(audited: Audited, found: Sequence[DuplicatePair], path: Path) -> None:
    """Write pairs as a table, with the paths, splits and labels of both images."""
    labels = {row: audited.label(row) for pair in found for row in (pair.first, pair.second)}
    columns = (audited.images, audited.splits, labels)
    rows = (
        [
            *(column[row] for column in columns for row in (pair.first, pair.second)),
            *(pair.kind, pair.inliers, pair.correlation),
        ]
        for pair in found
    )
    tables.write(path, tables.of(COLUMNS, rows))


def worst(audited: Audited, found: Sequence[DuplicatePair], most: int = MOST) -> list[DuplicatePair]:
    """Choose pairs for display: one per cluster, at most half of them with two labels, the rest leaks.

    More pairs with two labels are chosen if there are too few others. If nothing leaks, the rest are pairs
    within one split. Near-duplicates get three quarters of the places, if there are enough, because exact
    duplicates need no visual check. Near-duplicates are spaced evenly from the most to the least certain,
    because the least certain may be wrong.
    """
    ranks = [_one_a_cluster(audited, [pair for pair in found if pair.rank == rank]) for rank in range(4)]
    others = ranks[LEAK] + ranks[APART] or ranks[TOGETHER]
    for_labels = max(most - most // 2, most - len(others))
    labels = _spread(ranks[TWO_LABELS], for_labels)
    return labels + _spread(others, most - len(labels))


def _one_a_cluster(audited: Audited, found: Iterable[DuplicatePair]) -> list[DuplicatePair]:
    first: dict[str, DuplicatePair] = {}
    for pair in found:
        first.setdefault(audited.duplicates[pair.first], pair)
    return list(first.values())


def _spread(found: Sequence[DuplicatePair], room: int) -> list[DuplicatePair]:
    exact = [pair for pair in found if pair.kind == EXACT]
    near = [pair for pair in found if pair.kind == NEAR]
    for_near = min(len(near), max(room - room // 4, room - len(exact)))
    places = np.linspace(0, len(near) - 1, for_near).round().astype(int).tolist()
    return exact[: room - for_near] + [near[place] for place in places]


def sheet(audited: Audited, found: Sequence[DuplicatePair], pixels: Callable[[int], sheets.Pixels]) -> Figure:
    """Draw the worst pairs, three per row of the sheet.

    Pairs that leak or have two labels have the frame `WRONG`; other pairs have the frame `RIGHT`.

    Args:
        audited: the split.
        found: all pairs.
        pixels: function that returns the image of an audited row, (H, W, 3) uint8.
    """
    shown = worst(audited, found)
    images, captions, borders = [], [], []
    for pair in shown:
        how = "" if pair.inliers is None else f"{pair.inliers} inliers, r {pair.correlation:.2f}"
        for row, last in ((pair.first, pair.called), (pair.second, how)):
            images.append(pixels(row))
            where = " ".join(filter(None, (audited.splits[row], audited.label(row))))
            captions.append(f"{PurePosixPath(audited.images[row]).stem}\n{where}\n{last}")
            borders.append(sheets.RIGHT if pair.rank == TOGETHER else sheets.WRONG)
    return sheets.grid(images, captions, 2 * A_ROW, CELL, borders, title=_title(audited, found, len(shown)))


def _title(audited: Audited, found: Sequence[DuplicatePair], shown: int) -> str:
    if not found:
        return "no duplicates at all: no two images come from the same original"
    count = [sum(pair.rank == rank for pair in found) for rank in range(4)]
    in_splits = [{audited.splits[pair.first], audited.splits[pair.second]} - {""} for pair in found]
    leak = sum(len(splits) > 1 for splits in in_splits)
    together = _pairs(count[TOGETHER])
    said = [f"{_pairs(count[TWO_LABELS])} with two labels"] if count[TWO_LABELS] else []
    if leak:
        said.append(f"{_pairs(leak)} in two splits")
    elif splits_of(audited.splits):
        said.append(f"no pair in two splits; {together} kept together")
    else:
        said.append(f"{together} of one label")
    return f"{'; '.join(said)}; {shown} shown, one of a cluster"


def _pairs(count: int) -> str:
    return f"{count} pair{'s' * (count != 1)}"
