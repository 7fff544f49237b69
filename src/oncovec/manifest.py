"""Manifests: what the fetched files of a dataset must be, in Git."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from oncovec import paths
from oncovec.errors import OncovecError
from oncovec.files import read_json, write_json

Manifest = Mapping[str, Mapping[str, Any]]
"""For each file by its name in the cache `bytes`, `sha256`, and `folders` of an archive (None for others)."""

KEYS = {"bytes", "sha256", "folders"}


def read(name: str) -> Manifest:
    """Read a dataset's manifest; empty where there is none.

    Raises:
        OncovecError: for a file that is no manifest.
    """
    path = paths.manifest(name)
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(facts, dict) and facts.keys() == KEYS for facts in found.values()
    ):
        raise OncovecError(f"{path}: not a manifest; `oncovec trust {name}` writes one")
    return found


def write(name: str, manifest: Manifest) -> None:
    """Write a dataset's manifest."""
    write_json(paths.manifest(name), dict(sorted(manifest.items())))


def changes(old: Manifest, new: Manifest) -> Iterator[str]:
    """Say in a line for each file what differs, and for an archive in which folders."""
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"- {name}"
        elif name not in old:
            yield f"+ {name}: {new[name]['bytes']:,} bytes, sha256 {new[name]['sha256']}"
        elif old[name] != new[name]:
            before, after = old[name], new[name]
            yield f"~ {name}: {before['bytes']:,} -> {after['bytes']:,} bytes, sha256 {after['sha256']}"
            yield from _folders(before["folders"] or {}, after["folders"] or {})


def _folders(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    nothing = {"files": 0}
    differing = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if old and not differing:
        yield "    the same files, packed anew"
    for name in differing:
        counts = (folder.get(name, nothing)["files"] for folder in (old, new))
        yield "    {}: {:,} -> {:,} files".format(json.dumps(name, ensure_ascii=False), *counts)
