"""Swaps of groups between splits, which bring the shares of the classes nearer to those requested."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

SWAPS = 200
"""Largest number of swaps."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def refine(counts: Ints, shares: Floats, least: Floats, split_of: Ints, filled: Floats) -> None:
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


def repair(counts: Ints, least: Floats, split_of: Ints, filled: Floats) -> bool:
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
