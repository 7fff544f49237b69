"""A small real run: a few images a class, drawn by group, the same ones on every machine."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

import pandas as pd

from oncovec.data import groups
from oncovec.data.layouts.listing import Listing, Record

LEAST_GROUPS = 10
"""No group gives more than the limit divided by this, so that a limited set can still be split by group."""


def limit(listing: Listing, most: int | None) -> Listing:
    """Keep at most `most` images of each class of the first label column; None keeps all.

    Groups (of the layout, and lesions) come in an order drawn from their names alone. Each is taken
    whole if it fits into what is left of its class, and in part where it holds more than a tenth of
    the limit.
    """
    if most is None:
        return listing
    members: dict[str, list[Record]] = defaultdict(list)
    for record, group in zip(listing.records, _groups(listing.records), strict=True):
        members[group].append(record)
    taken: Counter[str] = Counter()
    kept: list[Record] = []
    for group in sorted(members, key=_drawn):
        kept += _take(members[group], listing.label_columns[0], most, taken)
    return replace(listing, records=sorted(kept, key=lambda record: record.image))


def _take(records: list[Record], label: str, most: int, taken: Counter[str]) -> list[Record]:
    """Images of one group that fit, counted in `taken` by class."""
    kept: list[Record] = []
    share = max(1, most // LEAST_GROUPS)
    for name in sorted({record.labels[label] for record in records}):
        same = sorted((r for r in records if r.labels[label] == name), key=lambda r: _drawn(r.image))
        left = most - taken[name]
        if len(same) > share:
            same = same[: min(share, left)]
        if len(same) <= left:
            taken[name] += len(same)
            kept += same
    return kept


def _groups(records: list[Record]) -> list[str]:
    """Group of each image, as far as it is known before the images are read."""
    rows = [{**record.facts, "image": record.image, "group": record.group} for record in records]
    joined = groups.join(pd.DataFrame(rows).fillna(""))
    return [joined[record.image] for record in records]


def _drawn(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
