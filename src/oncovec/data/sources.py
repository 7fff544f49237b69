"""Where a dataset's raw files lie, and a fingerprint by which DVC sees that they changed."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import read_json, write_json
from oncovec.core.params import Dataset, Params
from oncovec.core.stage import row
from oncovec.data.download import manifest
from oncovec.data.tree import Folder, Tree

PUBLISHED = ("multi_organ", "multi_cancer", "pcam", "isic2020")
"""Datasets that lie below `data.root`; dvc.yaml has their names too."""

CAPS = "phantom.json"
"""Written beside drawn images: the limits that keep a phantom run short."""


@dataclass(frozen=True)
class Raw:
    """A dataset's raw files: `source` is phantom, local or remote; `caps` keep a phantom run short."""

    source: str
    tree: Tree
    caps: Mapping[str, Any]


def open_raw(params: Params, name: str, check: bool = True) -> Raw:
    """Open the raw files of a dataset, and fetch those of a remote one that are not here yet.

    Args:
        params: all of them.
        name: a row of `datasets:`.
        check: hash fetched files again, rather than compare their sizes only.

    Raises:
        OncovecError: when a file cannot be fetched, or is not what the manifest says.
    """
    dataset: Dataset = row(params.datasets, "datasets", name)
    kind = source_of(params, dataset)
    if kind == "remote":
        return Raw(kind, _fetched(name, dataset, check), {})
    is_own = not is_published(dataset)
    root = Path(dataset.root) if is_own else paths.below(params.data.root, Path(dataset.root).stem)
    return Raw(kind, Folder(root), caps(root))


def source_of(params: Params, dataset: Dataset) -> str:
    """Say where a dataset comes from: phantom, local or remote.

    A row whose root is `data/source/NAME.json` comes from where `data.source` says, one whose root is
    `data/pins/NAME.json` is fetched; any other root is a folder, and local.
    """
    if is_published(dataset):
        return params.data.source
    return "remote" if _is_pinned(dataset) else "local"


def is_published(dataset: Dataset) -> bool:
    """Whether the dataset is one of those that `data.source` is about, rather than one of its own."""
    return Path(dataset.root).parent == paths.source("any").parent


def _is_pinned(dataset: Dataset) -> bool:
    return Path(dataset.root).parent == paths.pin("any").parent


def _fetched(name: str, dataset: Dataset, check: bool) -> Tree:
    from oncovec.data import download as remote

    # A copy of the manifest, by which DVC sees that it changed; of another source before `source` has run.
    pins = manifest.load(Path(dataset.root), f"run `dvc repro download@{name}`, with the stages before it")
    file = paths.manifest(Path(dataset.root).stem)
    if check and not pins:
        print(f"{name}: no {file}: nothing says what its files must be; `oncovec trust {name}` writes it")
    if pins and (lacking := remote.unpinned(dataset, pins)):
        raise OncovecError(f"{file} does not have {lacking[0]}; `oncovec trust {name}` renews it")
    return remote.tree(name, dataset, remote.bring(dataset, pins, check))


def trust(params: Params, name: str) -> Iterator[str]:
    """Fetch a dataset, unless it is here, and write its manifest.

    Yields:
        Lines that say what is pinned and what changed since the last manifest.

    Raises:
        OncovecError: when the row names nothing to fetch, or it cannot be fetched.
    """
    from oncovec.data import download as remote

    dataset: Dataset = row(params.datasets, "datasets", name)
    if not remote.files(dataset):
        raise OncovecError(f"datasets.{name}: nothing to fetch; it needs kaggle:, competition: or isic:")
    stem = Path(dataset.root).stem
    try:
        old = manifest.read(stem)
    except OncovecError as error:
        yield f"{error}; it is written anew"
        old = {}
    new = remote.bring(dataset, {}, ask=True)
    remote.tree(name, dataset, new)
    try:
        manifest.write(stem, new)
    except OSError as error:
        raise OncovecError(f"{paths.manifest(stem)}: cannot be written ({error.strerror})") from None
    lines = list(manifest.changes(old, new))
    yield from lines
    yield (
        f"{paths.manifest(stem)}: {len(new)} files pinned" if lines else f"{paths.manifest(stem)}: as before"
    )


def write_pins(params: Params) -> None:
    """Copy the manifests to where stages depend on them, an empty one for a dataset that has none.

    Raises:
        OncovecError: for a file that is no manifest.
    """
    own = {Path(dataset.root).stem for dataset in params.datasets.values() if _is_pinned(dataset)}
    manifests = {name: manifest.read(name) for name in {*PUBLISHED, *own}}
    for left in set(paths.pin("any").parent.glob("*.json")) - {paths.pin(name) for name in manifests}:
        left.unlink()
    for name, content in manifests.items():
        write_json(paths.pin(name), content)


def caps(root: Path) -> dict[str, Any]:
    """Limits that travel with drawn images: `image_size` in px and `epochs`; empty for real ones."""
    return dict(read_json(root / CAPS)) if (root / CAPS).is_file() else {}


def check_roots(params: Params) -> None:
    """Refuse sources that cannot work, before any stage has touched an output.

    Raises:
        OncovecError: for a missing folder, for `data.source` and `data.root` that contradict each
            other, and for a relative folder in a copy of the checkout, where it means another place.
    """
    data = params.data
    drawn = Path(data.root) == paths.phantoms("any").parent
    if data.source == "phantom" and not drawn:
        raise OncovecError(
            f"data.root = {data.root!r}: phantoms lie in data/phantom; add -S data.source=local"
        )
    if data.source == "local":
        if drawn:
            raise OncovecError("data.source = 'local': say where the images are with -S data.root=FOLDER")
        _check_folder("data.root", data.root)
    if data.source == "remote" and not drawn:
        for name in PUBLISHED:  # DVC insists that what a stage might have read is there
            if not paths.below(data.root, name).is_dir():
                raise OncovecError(f"data.root = {data.root!r}: for remote, add -S data.root=data/phantom")
    for name, dataset in params.datasets.items():
        _check_row(f"datasets.{name}", name, dataset, source_of(params, dataset))


def _check_row(key: str, name: str, dataset: Dataset, source: str) -> None:
    if is_published(dataset) and Path(dataset.root) not in map(paths.source, PUBLISHED):
        raise OncovecError(
            f"{key}.root = {dataset.root!r}: a folder, or data/source/NAME.json with one of "
            f"{', '.join(PUBLISHED)}, or {paths.pin(name)}"
        )
    if _is_pinned(dataset) and Path(dataset.root) != paths.pin(name):
        raise OncovecError(f"{key}.root = {dataset.root!r}: {paths.pin(name)} for a dataset that is fetched")
    if dataset.source not in (None, source):
        roots = {"local": "its folder", "remote": paths.pin(name)}
        raise OncovecError(f"{key}.source = {dataset.source!r}: give {roots[dataset.source]} as its root")
    if source == "remote" and not (dataset.kaggle or dataset.competition or dataset.isic):
        raise OncovecError(f"{key}: nothing to fetch; it needs kaggle:, competition: or isic:")
    if source == "local" and not is_published(dataset):
        _check_folder(f"{key}.root", dataset.root)


def _check_folder(key: str, folder: str) -> None:
    if not Path(folder).is_absolute() and ".dvc" in Path.cwd().parts:
        raise OncovecError(
            f"{key} = {folder!r}: a queued run works in a copy of the checkout; give an absolute path"
        )
    if not Path(folder).is_dir():
        raise OncovecError(f"{key} = {folder!r}: no such folder")


def fingerprint(root: Path) -> dict[str, int | str]:
    """Number of files below `root` and one sha256 over their sorted names and contents.

    Raises:
        OncovecError: when the folder or one of its files cannot be read.
    """
    if not root.is_dir():
        raise OncovecError(f"{root}: no such folder; data.root should hold one a published dataset")
    digest, files = hashlib.sha256(), 0
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            try:
                with path.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise OncovecError(f"{path}: cannot be read: {error.strerror}") from None
            name_in_root = os.fsencode(path.relative_to(root).as_posix())  # names need not be UTF-8
            digest.update(name_in_root + f"\0{content}\n".encode())
            files += 1
    return {"files": files, "sha256": digest.hexdigest()}
