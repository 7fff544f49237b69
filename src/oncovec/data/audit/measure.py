"""The audit of somebody's own images: every one read, the copies among them found, the leaks counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from oncovec.core import params, paths
from oncovec.core.errors import OncovecError
from oncovec.data.audit import leaks, pairs
from oncovec.data.audit.given import Given
from oncovec.data.decode import Facts
from oncovec.data.index import probe_all
from oncovec.data.tree import Folder

if TYPE_CHECKING:
    from oncovec.core.params import Features, Group, Params
    from oncovec.data.duplicates.copies import Pair


@dataclass(frozen=True)
class Audit:
    """What was found: the table, all pairs of copies, and the files that cannot be read, with the reason."""

    audited: leaks.Audited
    content: dict[str, Any]
    pairs: list[pairs.CopyPair]
    unreadable: list[tuple[str, str]]


def audit(given: Given, seen: "Features", group: "Group") -> Audit:
    """Read every image, find the copies among them, and count what leaks.

    Args:
        given: somebody's split.
        seen: what near copies are found by.
        group: when two images are one.

    Raises:
        OncovecError: when none of the images can be read.
    """
    names = sorted(set(given.images))
    probed = dict(zip(names, probe_all(given.tree, names), strict=True))
    unreadable = [(name, found) for name, found in probed.items() if isinstance(found, str)]
    sha256 = {name: found.sha256 for name, found in probed.items() if isinstance(found, Facts)}
    if not sha256:
        name, reason = unreadable[0]
        raise OncovecError(
            f"{given.tree}: none of {len(names)} images can be read; the first is {name}: {reason}"
        )
    # A file that is there twice is looked at once.
    originals = {content: name for name, content in reversed(sha256.items())}
    images = {name: content for name, content in sha256.items() if originals[content] == name}
    confirmed, clusters = _copies(given.tree, images, seen, group)
    cluster_of = dict(zip(images.values(), clusters, strict=True))
    kept = [row for row, name in enumerate(given.images) if name in sha256]
    audited = leaks.Audited(
        images=[given.images[row] for row in kept],
        sides=[given.sides[row] for row in kept],
        labels=[given.labels[row] for row in kept],
        sha256=[sha256[given.images[row]] for row in kept],
        copies=[str(cluster_of[sha256[given.images[row]]]) for row in kept],
        keys={key: [values[row] for row in kept] for key, values in given.keys.items()},
    )
    row_of = {name: row for row, name in reversed(list(enumerate(audited.images)))}
    rows = [row_of[name] for name in images]
    found = pairs.pairs(
        audited, [(rows[p.first], rows[p.second], p.inliers, p.correlation) for p in confirmed]
    )
    return Audit(audited, leaks.table(audited), found, unreadable)


def thresholds() -> "tuple[Features, Group]":
    """How near copies are found: as params.yaml says where this is a checkout, else by the defaults."""
    ours = checkout()
    return (ours.features, ours.group) if ours else (params.Features(), params.Group())


def checkout() -> "Params | None":
    """The params where this is a checkout of ours; None elsewhere.

    Raises:
        OncovecError: when they are wrong.
    """
    try:
        content = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        content = None
    # Another project's params.yaml is none of ours.
    is_ours = isinstance(content, dict) and {"features", "group", "systems"} <= content.keys()
    return params.load() if is_ours else None


def _copies(
    tree: Folder, images: dict[str, str], seen: "Features", group: "Group"
) -> "tuple[Sequence[Pair], Sequence[int]]":
    """Near copies among different files: the confirmed pairs, and the cluster of each file."""
    from oncovec.data.duplicates import copies, extract, features
    from oncovec.learning import systems

    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        extract.write(tree, images, folder, seen.size, seen.keypoints, systems.best_device())
        found = copies.find(features.open_features(folder, len(images)), group)
        return found, copies.cluster(len(images), found)
