"""The stratified draw: groups stay whole, and every class keeps its shares as well as the groups allow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncovec.core.errors import OncovecError
from oncovec.data.split_names import SPLITS
from oncovec.data.swaps import refine, repair

FEW = 2000
"""Largest number of groups for which swaps are tried. With more groups swaps improve little, and the table of
pairs grows."""

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
        refine(counts, asked, least, split_of, filled)
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
        refine(counts, shares, least, half_of, filled)
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
        if repair(counts, least, split_of, filled):
            refine(counts, shares, least, split_of, filled)
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
