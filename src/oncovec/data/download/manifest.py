"""Manifests: the expected sizes and hashes of the fetched files of a dataset, in Git."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import (
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    with_config,
)
from typing_extensions import TypedDict

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import write_json

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Folder(TypedDict):
    """A folder in an archive: the number of its files, and one sha256 over their names and contents."""

    files: Annotated[int, Field(ge=1)]
    sha256: Sha256


Folders = dict[str, Folder]


@with_config(ConfigDict(extra="forbid", strict=True))
class Facts(TypedDict):
    """Size, hash and content of a fetched file; `folders` by path for an archive, None for another file."""

    bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256
    folders: Folders | None


Manifest = Mapping[str, Facts]
"""Facts of files, by their names in the cache."""

FACTS = TypeAdapter(Facts)
_MANIFEST = TypeAdapter(dict[str, Facts])


def read(name: str) -> Manifest:
    """Read a dataset's manifest; empty if there is none.

    Raises:
        OncovecError: for a file that is not a manifest.
    """
    path = paths.manifest(name)
    return load(path, f"`oncovec trust {name}` writes one") if path.exists() else {}


def load(path: Path, advice: str) -> Manifest:
    """Read a manifest, or a copy of one.

    Raises:
        OncovecError: for a file that is not a manifest; the message ends with `advice`.
    """
    try:
        return _MANIFEST.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise OncovecError(f"{path}: not a manifest; {advice}") from None


def write(name: str, manifest: Manifest) -> None:
    """Write a dataset's manifest."""
    write_json(paths.manifest(name), dict(sorted(manifest.items())))


def changes(old: Manifest, new: Manifest) -> Iterator[str]:
    """Yield one line per file that differs, and for an archive one line per folder that differs."""
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"- {name}"
        elif name not in old:
            yield f"+ {name}: {new[name]['bytes']:,} bytes, sha256 {new[name]['sha256']}"
        elif old[name] != new[name]:
            before, after = old[name], new[name]
            yield f"~ {name}: {before['bytes']:,} -> {after['bytes']:,} bytes, sha256 {after['sha256']}"
            yield from _folders(before["folders"] or {}, after["folders"] or {})


def _folders(old: Folders, new: Folders) -> Iterator[str]:
    differing = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if old and not differing:
        yield "    the same files, packed anew"
    for name in differing:
        counts = (folders[name]["files"] if name in folders else 0 for folders in (old, new))
        yield "    {}: {:,} -> {:,} files".format(json.dumps(name, ensure_ascii=False), *counts)
