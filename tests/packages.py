"""Which installed packages some requirements bring."""

import importlib.metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(lines) -> set[str]:
    """Names of the installed packages that some requirements bring, directly or by what these need."""
    found, seen, waiting = set(), set(), [Requirement(line) for line in lines]
    while waiting:
        each = waiting.pop()
        name = canonicalize_name(each.name)
        if (name, extras := frozenset(each.extras)) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        for other in map(Requirement, importlib.metadata.requires(name) or []):
            if other.marker is None or any(
                other.marker.evaluate({"extra": extra}) for extra in {"", *extras}
            ):
                waiting.append(other)
    return found
