"""The audit of a user's images: read every image, find the duplicates, and count the leaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from oncovec.core import checkout, params, paths
from oncovec.core.errors import OncovecError
from oncovec.core.parallel import ordered_map
from oncovec.core.params import NearDuplicates, Params
from oncovec.core.progress import progress
from oncovec.data import groups, prepare
from oncovec.data.audit import leaks, pairs
from oncovec.data.audit.given import Given
from oncovec.data.decode import Facts, UnreadableImageError, read_image
from oncovec.data.small_copies import SIDE, copy_of, shape_of
from oncovec.data.tree import UNNAMED, Folder, is_plain_text

DEFAULTS = NearDuplicates(keypoints=400, neighbours=30, inliers=15, correlation=0.85)
"""Parameters of near-duplicates outside of a checkout; the same values as in the committed params.yaml."""

CHUNK = 64
"""Number of images that a worker returns at once."""

Confirmed = list[tuple[int, int, int, float]]
"""Pairs of near-duplicates: two positions, inliers and correlation."""


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        audited: the images that can be read.
        content: the table, see `leaks.table`.
        pairs: all pairs of duplicates.
        unreadable: path and reason of each other file.
        blank: number of images that show nothing; they are no duplicates of each other.
    """

    audited: leaks.Audited
    content: dict[str, Any]
    pairs: list[pairs.DuplicatePair]
    unreadable: list[tuple[str, str]]
    blank: int


def audit(given: Given, near: NearDuplicates) -> Audit:
    """Read every image once, find the duplicates among them, and count what leaks.

    Args:
        given: a user's split.
        near: parameters that define near-duplicates.

    Raises:
        OncovecError: if none of the images can be read.
    """
    with TemporaryFile() as stream:
        facts, unreadable = _read(given, stream)
        if not facts:
            name, reason = unreadable[0]
            count = len(unreadable)
            raise OncovecError(
                f"{given.tree}: none of {count} images can be read; the first is {name}: {reason}"
            )
        confirmed, blank = _find(stream, list(facts.values()), near)
    names = list(facts)
    hashes = {name: "" if empty else facts[name].sha256 for name, empty in zip(names, blank, strict=True)}
    cluster_of = groups.join(
        pd.DataFrame({"image": names, "sha256": hashes.values()}),
        groups.COPY_KEYS,
        [(names[first], names[second]) for first, second, *_ in confirmed],
    )
    kept = [row for row, name in enumerate(given.images) if name in facts]
    audited = leaks.Audited(
        images=[given.images[row] for row in kept],
        splits=[given.splits[row] for row in kept],
        labels={leaks.LABEL: [given.labels[row] for row in kept]},
        sha256=[hashes[given.images[row]] for row in kept],
        duplicates=[cluster_of[given.images[row]] for row in kept],
        keys={key: [values[row] for row in kept] for key, values in given.keys.items()},
    )
    row_of = {name: row for row, name in reversed(list(enumerate(audited.images)))}
    rows = [row_of[name] for name in names]
    found = pairs.pairs(audited, [(rows[one], rows[other], n, r) for one, other, n, r in confirmed])
    return Audit(audited, leaks.table(audited), found, unreadable, int(blank.sum()))


def _read(given: Given, stream: BinaryIO) -> tuple[dict[str, Facts], list[tuple[str, str]]]:
    """Read the facts of the images that can be decoded, sorted by path, and the reasons for the others.

    The small copy of each decoded image is appended to `stream`.
    """
    names = sorted(set(given.images))
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    found = chain.from_iterable(ordered_map(partial(_read_chunk, given.tree), chunks))
    facts: dict[str, Facts] = {}
    unreadable: list[tuple[str, str]] = []
    for name, each in zip(names, progress(found, f"read {given.tree.root.name}", len(names)), strict=True):
        if isinstance(each, str):
            unreadable.append((name, each))
        else:
            facts[name], copy = each
            stream.write(copy.tobytes())
    stream.flush()
    return facts, unreadable


def _read_chunk(tree: Folder, images: Sequence[str]) -> list[tuple[Facts, NDArray[np.uint8]] | str]:
    return [_read_one(tree, image) for image in images]


def _read_one(tree: Folder, image: str) -> tuple[Facts, NDArray[np.uint8]] | str:
    if not is_plain_text(image):
        return UNNAMED
    try:
        (picture,), facts = read_image(tree, image, [SIDE])
    except UnreadableImageError as error:
        return error.reason
    return facts, copy_of(picture, facts.width, facts.height)


def _find(
    stream: BinaryIO, facts: Sequence[Facts], near: NearDuplicates
) -> tuple[Confirmed, NDArray[np.bool_]]:
    """Find near-duplicates among the small copies in `stream`, and which of these are blank.

    Of exact duplicates only one is compared, and of blank images none.
    """
    # Imported here because the import is slow and only this function needs it.
    from oncovec.data import duplicates

    copies: NDArray[np.uint8] = np.memmap(stream, np.uint8, "r", shape=(len(facts), SIDE, SIDE))
    shapes = np.array([shape_of(each.width, each.height) for each in facts], np.int32)
    blank = prepare.blank(copies, shapes)
    first = {each.sha256: place for place, each in reversed(list(enumerate(facts))) if not blank[place]}
    found = duplicates.find(copies, shapes, near, sorted(first.values()))
    return [(pair.first, pair.second, pair.inliers, pair.correlation) for pair in found], blank


def settings() -> NearDuplicates:
    """Return the parameters of near-duplicates: from params.yaml in a checkout, else the defaults."""
    ours = params_here()
    return ours.near_duplicates if ours else DEFAULTS


def params_here() -> Params | None:
    """Load the params.yaml of the checkout of Oncovec that contains the working directory; None elsewhere.

    Raises:
        OncovecError: if the params are invalid.
    """
    try:
        path = checkout.find() / paths.PARAMS
    except OncovecError:
        path = paths.PARAMS
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        content = None
    # The params.yaml of another project is ignored.
    is_ours = isinstance(content, dict) and {"near_duplicates", "systems"} <= content.keys()
    return params.load(path) if is_ours else None
