"""What a finder found, against what is known: recall of copies, false joins, groups of tiles."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from copies_pool import Pool, Row
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import beta

from oncovec.core.errors import OncovecError
from oncovec.data import stratify

SHARES = (0.7, 0.15, 0.15)
SEEDS = 10
"""Splits that shares of test images are averaged over."""


@dataclass(frozen=True)
class Found:
    """What was found in a pool: rows joined directly (P, 2), cluster of each row (N,), seconds a phase."""

    pairs: NDArray[np.int64]
    clusters: NDArray[np.int64]
    seconds: dict[str, float]


def components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join whatever a chain of pairs connects, as those do who use a tool that gives pairs."""
    ones = np.ones(len(pairs), np.int8)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def upper_bound(hits: int, trials: int) -> float:
    """Exact one-sided 95 % bound of a share (Clopper and Pearson 1934); about 3 / trials for no hit."""
    return 1.0 if hits >= trials else float(beta.ppf(0.95, hits + 1, trials - hits))


def recall(pool: Pool, clusters: NDArray[np.int64]) -> dict[tuple[str, str], tuple[int, int]]:
    """By modality and kind: copies in the cluster of their original, and copies."""
    counts: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    lost = set(missed(pool, clusters))
    for row in pool.rows:
        if row.kind:
            hits, copies = counts[row.modality, row.kind]
            counts[row.modality, row.kind] = hits + (row not in lost), copies + 1
    return dict(counts)


def missed(pool: Pool, clusters: NDArray[np.int64]) -> list[Row]:
    """Copies that are not in the cluster of their original."""
    cluster_of = {row.file: cluster for row, cluster in zip(pool.rows, clusters, strict=True)}
    return [row for row in pool.rows if cluster_of[row.file] != cluster_of[row.origin]]


def unrelated(pool: Pool, found: Found) -> dict[str, dict[str, Any]]:
    """By modality, and across modalities: pairs known to be unrelated, and how many of them were joined.

    `joined` counts pairs in one cluster, `confirmed` those joined directly. `wrong` is the largest share of
    a class's images that are in a cluster with an unrelated image.
    """
    modality = np.array([row.modality for row in pool.rows])
    source, kin = pool.codes("source"), pool.codes("modality", "kin")
    false = false_pairs(pool, found.pairs)
    content: dict[str, dict[str, Any]] = {}
    parts = {name: modality == name for name in sorted(set(modality))}
    for name, inside in {**parts, "all": np.ones(len(modality), bool)}.items():
        total, joined = _count(found.clusters[inside], kin[inside], source[inside])
        direct = int((inside[false[:, 0]] & inside[false[:, 1]]).sum())
        content[name] = {"pairs": total, "joined": joined, "confirmed": direct}
        content[name]["largest"] = int(np.bincount(found.clusters[inside]).max())
    across = {key: content["all"][key] - sum(content[name][key] for name in parts) for key in _COUNTS}
    for name in parts:
        content[name]["wrong"] = _wrong(pool, found.clusters, parts[name])
    del content["all"]
    return {**content, "across modalities": across} if len(parts) > 1 else content


_COUNTS = ("pairs", "joined", "confirmed")


def false_pairs(pool: Pool, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those pairs that are known to be unrelated."""
    source, kin = pool.codes("source"), pool.codes("modality", "kin")
    one, other = pairs[:, 0], pairs[:, 1]
    return pairs[(kin[one] != kin[other]) & (source[one] != source[other])]


def chained_pairs(pool: Pool, clusters: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Unrelated images in one cluster, joined directly or not; from small clusters first, `most` of them."""
    sizes = np.bincount(clusters)
    found: list[tuple[int, int]] = []
    for cluster in sorted(np.flatnonzero(sizes > 1), key=lambda cluster: sizes[cluster]):
        members = np.flatnonzero(clusters == cluster)
        one, other = np.triu_indices(min(len(members), 200), 1)
        found += [tuple(pair) for pair in false_pairs(pool, np.stack([members[one], members[other]], 1))]
        if len(found) >= most:
            break
    return np.array(found[:most], np.int64).reshape(-1, 2)


def pairs_within(*codes: NDArray[np.int64]) -> int:
    """Pairs of rows that agree in all codes."""
    sizes = np.unique(np.stack(codes, 1), axis=0, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())


def _count(clusters: NDArray[np.int64], kin: NDArray[np.int64], source: NDArray[np.int64]) -> tuple[int, int]:
    """Pairs of unrelated images among some rows, and those in one cluster; by counting sizes, not pairs."""
    everywhere = np.zeros_like(clusters)
    return tuple(
        pairs_within(place)
        - pairs_within(place, kin)
        - (pairs_within(place, source) - pairs_within(place, source, kin))
        for place in (everywhere, clusters)
    )


def _wrong(pool: Pool, clusters: NDArray[np.int64], inside: NDArray[np.bool_]) -> float:
    """Largest share, over the classes, of images that share their cluster with an unrelated image."""
    source, kin = pool.codes("source"), pool.codes("modality", "kin")
    members: dict[int, list[int]] = defaultdict(list)
    for row, cluster in enumerate(clusters):
        members[cluster].append(row)
    wrong, images = Counter[str](), Counter[str]()
    for row in np.flatnonzero(inside):
        label, others = pool.rows[row].label, members[clusters[row]]
        images[label] += 1
        wrong[label] += any(kin[o] != kin[row] and source[o] != source[row] for o in others)
    return max(wrong[label] / images[label] for label in images)


def tiles(pool: Pool, clusters: NDArray[np.int64]) -> dict[str, Any]:
    """Clusters against true tiles: precision and recall of pairs, groups, and siblings across a split.

    `test_with_sibling` is the share of test images with an image of their tile in train, under a split by
    cluster: the mean of several seeds, left out where no split can be drawn.
    """
    truth = pool.codes("kin")
    both, joined, true = pairs_within(clusters, truth), pairs_within(clusters), pairs_within(truth)
    content: dict[str, Any] = {
        "precision": both / joined if joined else 1.0,
        "recall": both / true,
        "groups": len(np.unique(clusters)),
        "true_groups": len(np.unique(truth)),
        "largest": int(np.bincount(clusters).max()),
        "largest_true": int(np.bincount(truth).max()),
    }
    shares = siblings([row.label for row in pool.rows], clusters, truth)
    if shares is not None:
        content["test_with_sibling"] = shares
    return content


def siblings(labels: Sequence[str], groups: NDArray[np.int64], truth: NDArray[np.int64]) -> float | None:
    """Share of test images with a true sibling in train when the split is drawn by `groups`."""
    shares = []
    for seed in range(SEEDS):
        try:
            drawn = np.array(stratify.draw([labels], [str(group) for group in groups], SHARES, seed))
        except OncovecError:
            return None
        test, train = truth[drawn == "test"], truth[drawn == "train"]
        shares.append(float(np.isin(test, train).mean()))
    return float(np.mean(shares))
