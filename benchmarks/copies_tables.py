"""The tables of `near_duplicates.py`, in Markdown: a column a finder."""

from collections.abc import Iterable, Sequence
from typing import Any

import copies_of
import copies_scores
import numpy as np
from copies_pool import Pool

Results = dict[str, dict[str, Any]]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def share(pairs: Iterable[tuple[int, int]]) -> str:
    """Share of all hits in all trials, as text; empty where there was no trial."""
    pairs = list(pairs)
    hits, trials = sum(hits for hits, _ in pairs), sum(trials for _, trials in pairs)
    return f"{hits / trials:.3f}" if trials else ""


def recall_by_kind(results: Results) -> str:
    """Recall of each transformation alone, and of all copies made with it and another."""
    rows = []
    for name in (*copies_of.TRANSFORMATIONS, None):
        row = [name or "all"]
        for content in results.values():
            parts = [(kind.split(" + "), (hits, copies)) for _, kind, hits, copies in content["recall"]]
            alone = share(count for kind, count in parts if len(kind) == 1 and name in (None, *kind))
            twos = share(count for kind, count in parts if len(kind) == 2 and name in (None, *kind))
            row.append(f"{alone} / {twos}")
        rows.append(row)
    return table(["alone / with another", *results], rows)


def recall_by_modality(results: Results) -> str:
    """Recall over all copies of a modality."""
    modalities = dict.fromkeys(row[0] for content in results.values() for row in content["recall"])
    rows = []
    for name in modalities:
        parts = [[row[2:] for row in content["recall"] if row[0] == name] for content in results.values()]
        rows.append([name, *(share(part) for part in parts)])
    return table(["recall", *results], rows)


def false_joins(results: Results) -> str:
    """Unrelated images in one cluster (in brackets: joined directly), and the upper bound of their share."""
    first = next(iter(results.values()))["unrelated"]
    total = sum(part["pairs"] for part in first.values())
    rows = [[name, f"{part['pairs']:,}", *_cells(results, [name])] for name, part in first.items()]
    rows.append(["all", f"{total:,}", *_cells(results, list(first))])
    return table(["false joins (direct); at most a million", "pairs of unrelated images", *results], rows)


def _cells(results: Results, names: Sequence[str]) -> list[str]:
    cells = []
    for content in results.values():
        parts = [content["unrelated"][name] for name in names]
        pairs, joined, direct = (sum(part[key] for part in parts) for key in ("pairs", "joined", "confirmed"))
        bound = 1e6 * copies_scores.upper_bound(joined, pairs)
        digits = 2 if bound < 10 else 0
        cells.append(f"{joined:,} ({direct:,}); {bound:,.{digits}f}" if pairs else "")
    return cells


def wrong_groups(results: Results) -> str:
    """Of the worst class, the share of images grouped with an unrelated one; and the largest group."""
    first = next(iter(results.values()))["unrelated"]
    rows = []
    for name in (name for name, part in first.items() if "wrong" in part):
        parts = [content["unrelated"][name] for content in results.values()]
        rows.append([name, *(f"{part['wrong']:.1%}; {part['largest']}" for part in parts)])
    return table(["grouped with an unrelated image, worst class; largest group", *results], rows)


def tiles(results: Results, pool: Pool) -> str:
    """Groups of tiles, and what they leave between train and test."""
    labels, truth = [row.label for row in pool.rows], pool.codes("kin")
    alone = copies_scores.siblings(labels, np.arange(len(labels)), truth)
    rows = [["every image by itself", "", "", f"{len(labels):,}", "1", f"{alone:.1%}"]]
    for name, content in results.items():
        part = content["tiles"]
        leak = part.get("test_with_sibling")
        shown = "no split possible" if leak is None else f"{leak:.1%}"
        metrics = [f"{part[key]:.3f}" for key in ("precision", "recall")]
        rows.append([name, *metrics, f"{part['groups']:,}", f"{part['largest']:,}", shown])
    metrics = copies_scores.tiles(pool, truth)
    rows.append(["the truth", "1", "1", f"{metrics['groups']}", f"{metrics['largest']}", "0.0%"])
    head = ["lung tiles", "precision of pairs", "recall of pairs", "groups", "largest group"]
    return table([*head, "test images with a sibling in train"], rows)


def seconds(results: Results) -> str:
    """Time over all pools."""
    rows = []
    for name, content in results.items():
        phases = content["seconds"]
        words = "; ".join(f"{phase} {taken:,.0f}" for phase, taken in phases.items())
        rows.append([name, f"{sum(phases.values()):,.0f}", words if len(phases) > 1 else ""])
    return table(["finder", "seconds", "of which"], rows)
