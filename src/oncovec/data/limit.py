"""A small run on real images: a few images per class, drawn by group, the same ones on every machine."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

import pandas as pd

from oncovec.data import groups
from oncovec.data.layouts.listing import Listing, Record

LEAST_GROUPS = 10
"""A group gives at most the limit divided by this number, so that the limited set can be split by group."""


def limit(listing: Listing, most: int | None) -> Listing:
    """Keep at most `most` images of each class of the first label column; None keeps all.

    Groups (of the layout, and lesions) are taken in a pseudorandom order that depends only on their names.
    A group is taken whole if it fits into the remaining number of its class. A group with more than a tenth
    of the limit is taken in part.
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
    """Select the images of one group that fit, and count them in `taken` by class."""
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
    """Return the group of each image, as far as it is known before the images are read."""
    rows = [{**record.facts, "image": record.image, "group": record.group} for record in records]
    joined = groups.join(pd.DataFrame(rows).fillna(""))
    return [joined[record.image] for record in records]


def _drawn(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
