"""The stratified draw: groups stay whole, and every class keeps its shares as well as the groups allow."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.core.errors import OncovecError
from oncovec.data.split_names import SPLITS

FEW = 2000
"""Largest number of groups for which swaps are tried. With more groups swaps improve little, and the table of
pairs grows."""

SWAPS = 200
"""Largest number of swaps."""

TRIES = 50
"""Number of orders that are tried before a table of up to `FEW` groups is refused."""

ALL = 10
"""Largest number of groups for which every possible split is tried before a table is refused."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def draw(
    columns: Sequence[Sequence[str]],
    groups: Sequence[str],
    shares: Sequence[float],
    seed: int,
    splits: Sequence[str] = SPLITS,
) -> list[str]:
    """Assign every image to a split so that groups stay whole and classes keep their shares.

    Groups are taken class by class, the rarest class first. Within a class they are taken from large to
    small, and groups of equal size in random order. Each group goes to the split for which the deviation from
    the requested shares is smallest: the sum over splits and classes of (share - requested)² / requested. If
    the rest of a class is only just enough for the splits that are below their minimum of it, these splits
    get it. Next, groups are swapped or moved, the best pair first, as long as that reduces the deviation. If
    a split is still below its minimum of a class, the draw is repaired, see `_rescue`.

    With several label columns, their joint values count in the deviation like classes. They have no minimum,
    because a value that is in only two groups cannot be in three splits.

    Args:
        columns: label of each image in each label column; '' means none.
        groups: group of each image, as long as each column.
        shares: share of each split, above 0; the shares add up to 1.
        seed: random seed of the order.
        splits: names of the splits.

    Returns:
        The split of each image.

    Raises:
        OncovecError: if no column has two classes, a class has fewer groups than splits, or a split is below
            its minimum of a class (see `_least`).
    """
    group_names, members = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    names, counts = _classes(columns, members, len(group_names), splits)
    asked = np.asarray(shares, dtype=np.float64)
    least = _least(asked, counts.sum(axis=0), len(names))
    split_of, filled = _assign(counts, asked, least, [seed])
    if len(counts) <= FEW:
        _refine(counts, asked, least, split_of, filled)
        if (filled < least).any():
            split_of, filled = _rescue(counts, asked, least, seed) or (split_of, filled)
    _check_splits(names, group_names, counts, filled, least, shares, splits)
    return [splits[split] for split in split_of[members]]


def halve(
    columns: Sequence[Sequence[str]], groups: Sequence[str], seed: int, halves: Sequence[str]
) -> list[str]:
    """Assign every image to one of two halves as `draw` does, but without a minimum.

    A class of one group is in one half. With one group, all images are in the first half.

    Args:
        columns: label of each image in each label column.
        groups: group of each image, as long as each column.
        seed: random seed of the order.
        halves: names of the halves.

    Returns:
        The half of each image.
    """
    group_names, members = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    if not len(group_names):
        return []
    # Images of any class are a class, too, so that the halves have equal sizes.
    tables = [_counted(labels, members, len(group_names))[1] for labels in (*columns, [""] * len(members))]
    counts = np.concatenate(tables, axis=1)
    shares, least = np.array([0.5, 0.5]), np.zeros((2, counts.shape[1]))
    half_of, filled = _assign(counts, shares, least, [seed])
    if len(counts) <= FEW:
        _refine(counts, shares, least, half_of, filled)
    return [halves[half] for half in half_of[members]]


def _classes(
    columns: Sequence[Sequence[str]], members: Ints, groups: int, splits: Sequence[str]
) -> tuple[list[str], Ints]:
    """List the classes, and count images per group and class; the joint values follow the classes."""
    found = [_counted(labels, members, groups) for labels in columns]
    known = [(own[1:], table[:, 1:]) if own[:1] == [""] else (own, table) for own, table in found]
    if all(len(own) < 2 for own, _ in known):
        raise OncovecError(f"only one class, {', '.join(known[0][0])!r}: a split needs at least two")
    for own, table in known:
        _check_classes(own, table, splits)
    joint = list(map(repr, zip(*columns, strict=True)))
    tables = [table for _, table in known]
    # The joint values of one column without gaps would only repeat the classes.
    if len(columns) > 1 or "" in columns[0]:
        tables.append(_counted(joint, members, groups)[1])
    return [name for own, _ in known for name in own], np.concatenate(tables, axis=1)


def _counted(labels: Sequence[str], members: Ints, groups: int) -> tuple[list[str], Ints]:
    """List the labels, sorted, and count images per group and label."""
    names, codes = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    counts = np.zeros((groups, len(names)), dtype=np.int64)
    np.add.at(counts, (members, codes), 1)
    return names.tolist(), counts


def _assign(counts: Ints, shares: Floats, least: Floats, seed: Sequence[int]) -> tuple[Ints, Floats]:
    """Assign each group to a split, and count images per split and class."""
    total = counts.sum(axis=0)
    target = np.outer(shares, total)
    needed = least.any(axis=0)
    filled = np.zeros_like(target)
    left, rest = (counts > 0).sum(axis=0), total
    split_of = np.empty(len(counts), dtype=np.int64)
    for group in _order(counts, left, seed):
        mine = counts[group]
        present = mine > 0
        without = (filled == 0) & needed
        kept = without & present & (left <= without.sum(axis=0))
        lacking = np.maximum(least - filled, 0)
        short = (lacking > 0) & present & (rest - mine < lacking.sum(axis=0))
        urgency = kept.sum(axis=1) * (len(total) + 1) + short.sum(axis=1)
        worse = (mine * (2 * (filled - target) + mine) / target / total).sum(axis=1)
        split = int(np.where(urgency == urgency.max(), worse, np.inf).argmin())
        filled[split] += mine
        left, rest = left - present, rest - mine
        split_of[group] = split
    return split_of, filled


def _refine(counts: Ints, shares: Floats, least: Floats, split_of: Ints, filled: Floats) -> None:
    """Swap groups in place, as long as that reduces the deviation.

    No swap takes a split below its minimum of a class.
    """
    total = counts.sum(axis=0)
    target = np.outer(shares, total)
    least = np.minimum(least, filled)
    for _ in range(SWAPS):
        found = []
        for one, other in combinations(range(len(shares)), 2):
            pair = [one, other]
            mine, theirs = np.flatnonzero(split_of == one), np.flatnonzero(split_of == other)
            off, scale = (filled - target)[pair], (target * total)[pair]
            gain, leaving, coming = _best_swap(counts[mine], counts[theirs], off, scale)
            taken = counts[theirs[coming]].sum(axis=0) - counts[mine[leaving]].sum(axis=0)
            after = filled[pair] + np.stack([taken, -taken])
            if gain > 0 and (after >= least[pair]).all():
                found.append((gain, pair, mine[leaving], theirs[coming], after))
        if not found:
            return
        _, pair, from_one, from_other, after = max(found, key=lambda each: each[0])
        split_of[from_one], split_of[from_other] = pair[1], pair[0]
        filled[pair] = after


def _rescue(counts: Ints, shares: Floats, least: Floats, seed: int) -> tuple[Ints, Floats] | None:
    """Find a draw in which every split has its minimum of each class.

    Draws in several orders are repaired by swaps. With at most `ALL` groups, every possible split is tried
    next; with more groups, a possible draw may be missed.

    Returns:
        The split of each group, and images per split and class; None if no such draw is found.
    """
    if _is_held_by_one(counts, least).any():
        return None
    for again in range(TRIES):
        split_of, filled = _assign(counts, shares, least, [seed, again] if again else [seed])
        if _repair(counts, least, split_of, filled):
            _refine(counts, shares, least, split_of, filled)
            return split_of, filled
    if len(counts) > ALL:
        return None
    every = np.indices((len(shares),) * len(counts)).reshape(len(counts), -1)
    filled_by = np.stack(
        [np.tensordot(every == split, counts, (0, 0)) for split in range(len(shares))], axis=1
    )
    possible = np.flatnonzero((filled_by >= least).all(axis=(1, 2)))
    if not len(possible):
        return None
    target = np.outer(shares, counts.sum(axis=0))
    worse = ((filled_by[possible] - target) ** 2 / target / counts.sum(axis=0)).sum(axis=(1, 2))
    best = possible[np.round(worse, 9).argmin()]
    return every[:, best].astype(np.int64), filled_by[best].astype(np.float64)


def _is_held_by_one(counts: Ints, least: Floats) -> NDArray[np.bool_]:
    """Whether the largest group of each class leaves too few images for the splits without that group."""
    return np.asarray(counts.sum(axis=0) - counts.max(axis=0) < least.sum(axis=0) - least.max(axis=0))


def _repair(counts: Ints, least: Floats, split_of: Ints, filled: Floats) -> bool:
    """Swap or move groups in place until every split has its minimum of each class.

    Each swap is the one that reduces the shortfall most. The shortfall is the sum over splits and classes of
    the missing images, as a share of the minimum.

    Returns:
        Whether every split has its minimum of each class.
    """
    for _ in range(SWAPS):
        if (filled >= least).all():
            return True
        found = []
        for one, other in combinations(range(len(least)), 2):
            pair = [one, other]
            mine, theirs = np.flatnonzero(split_of == one), np.flatnonzero(split_of == other)
            nothing = np.zeros((1, counts.shape[1]))
            leaving, coming = np.vstack([nothing, counts[mine]]), np.vstack([nothing, counts[theirs]])
            now = _shortfall(filled[one], least[one]) + _shortfall(filled[other], least[other])
            taken = coming - leaving[:, None]
            after = _shortfall(filled[one] + taken, least[one]) + _shortfall(
                filled[other] - taken, least[other]
            )
            row, column = divmod(int(np.round(after, 9).argmin()), after.shape[1])
            gain = round(float(now - after[row, column]), 9)
            found.append((gain, pair, mine[_one(row)], theirs[_one(column)], taken[row, column]))
        gain, pair, from_one, from_other, taken = max(found, key=lambda each: each[0])
        if gain <= 0:
            return False
        split_of[from_one], split_of[from_other] = pair[1], pair[0]
        filled[pair] += np.stack([taken, -taken])
    return False


def _shortfall(filled: Floats, least: Floats) -> Floats:
    """Sum the missing images of each class (the last axis), as shares of its minimum."""
    return np.asarray((np.maximum(least - filled, 0) / np.maximum(least, 1)).sum(axis=-1))


def _best_swap(mine: Ints, theirs: Ints, off: Floats, scale: Floats) -> tuple[float, slice, slice]:
    """Find the swap between two splits, or the move of one group, that reduces the deviation most.

    Args:
        mine: (A, C) images per group and class of the first split.
        theirs: (B, C) images per group and class of the second split.
        off: (2, C) difference between the images of each split and the requested number.
        scale: (2, C) divisors of the squared differences.

    Returns:
        The reduction of the deviation, and the rows of the groups that leave each split: one row or none.
    """
    nothing = np.zeros((1, mine.shape[1]))
    leaving, coming = np.vstack([nothing, mine]), np.vstack([nothing, theirs])
    slope, curve = 2 * (off[0] / scale[0] - off[1] / scale[1]), 1 / scale[0] + 1 / scale[1]
    worse = (coming @ slope + coming**2 @ curve) + (leaving**2 @ curve - leaving @ slope)[:, None]
    # Rounded, so that another processor with other last bits chooses the same pair among equals.
    worse = np.round(worse - 2 * (leaving * curve) @ coming.T, 9)
    row, column = divmod(int(worse.argmin()), worse.shape[1])
    return -float(worse[row, column]), _one(row), _one(column)


def _one(row: int) -> slice:
    return slice(max(row - 1, 0), row)


def _least(shares: Floats, total: Ints, classes: int) -> Floats:
    """Compute the minimum of images per split and class: half of the requested images, at least 1.

    A draw below the minimum is refused. The minimum is never above an equal part of the class, because three
    groups of equal size can only be divided equally. Joint values, which follow the `classes`, have no
    minimum.
    """
    half = np.outer(shares, total) / 2
    least = np.maximum(np.minimum(half, total / len(shares)) - 1e-6, 1)
    least[:, classes:] = 0
    return least


def _order(counts: Ints, groups_of_class: Ints, seed: Sequence[int]) -> Ints:
    """Order the groups for assignment: by rarest class, then from large to small, then at random.

    Groups within a factor of two count as equally large. With exact sizes, groups of different sizes would
    have only one order, and every random seed would give the same split.
    """
    rarest = np.where(counts > 0, groups_of_class, np.iinfo(np.int64).max).min(axis=1)
    large = np.frexp(counts.sum(axis=1))[1]
    chance = np.random.default_rng(seed).permutation(len(counts))
    return np.lexsort((chance, -large, rarest))


def _check_classes(names: Sequence[str], counts: Ints, splits: Sequence[str]) -> None:
    images_of, groups_of = counts.sum(axis=0).tolist(), (counts > 0).sum(axis=0).tolist()
    small = [
        f"{name!r} has {images} image{'s' * (images != 1)} in {groups} group{'s' * (groups != 1)}"
        for name, images, groups in zip(names, images_of, groups_of, strict=True)
        if groups < len(splits)
    ]
    if small:
        raise OncovecError(
            f"too small for {', '.join(splits)}: class {'; class '.join(small)}; "
            f"at least {len(splits)} groups are needed"
        )


def _check_splits(
    names: Sequence[str],
    groups: NDArray[Any],
    counts: Ints,
    filled: Floats,
    least: Floats,
    shares: Sequence[float],
    splits: Sequence[str],
) -> None:
    """Refuse a draw in which a split is below its minimum of a class, and name the reason."""
    total = counts.sum(axis=0)
    bad = np.argwhere((filled < least).T)
    if not len(bad):
        return
    which, split = bad[0].tolist()
    largest = int(counts[:, which].argmax())
    proven = len(counts) <= ALL or _is_held_by_one(counts, least)[which]
    what = " cannot be split without leaks" if proven else ": no split without leaks was found"
    more = f" (and {len(bad) - 1} more such)" if len(bad) > 1 else ""
    raise OncovecError(
        f"class {names[which]!r}{what}: {splits[split]} gets "
        f"{int(filled[split, which])} of its {total[which]} images, asked were "
        f"{shares[split] * total[which]:.0f}{more}; its largest group, {str(groups[largest])!r}, holds "
        f"{counts[largest, which]}; add images of other origin, leave the class out, or change the shares "
        "or the seed of split"
    )
