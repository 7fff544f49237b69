"""Where a dataset's raw files lie, and a fingerprint by which DVC sees that they changed."""

import hashlib
import os
from pathlib import Path
from typing import Any

from oncovec import paths
from oncovec.errors import OncovecError
from oncovec.files import read_json
from oncovec.params import Dataset, Params
from oncovec.stage import row

PUBLISHED = ("multi_organ", "multi_cancer", "pcam", "isic2020")
"""Datasets that lie below `data.root`; dvc.yaml has their names too."""

CAPS = "phantom.json"
"""Written beside drawn images: the limits that keep a phantom run short."""


def locate(params: Params, name: str) -> tuple[str, Path]:
    """Source and folder of a dataset.

    Returns:
        `phantom` or `local`, and the folder that holds the dataset in its published layout. A row
        whose root is `data/source/NAME.json` lies at `<data.root>/NAME`; any other root is the
        folder itself, and local.
    """
    dataset: Dataset = row(params.datasets, "datasets", name)
    if is_published(dataset):
        return params.data.source, paths.below(params.data.root, Path(dataset.root).stem)
    return "local", Path(dataset.root)


def is_published(dataset: Dataset) -> bool:
    """Whether the dataset lies below `data.root` rather than in a folder of its own."""
    return Path(dataset.root).parent == paths.source("any").parent


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
    for name, dataset in params.datasets.items():
        if not is_published(dataset):
            _check_folder(f"datasets.{name}.root", dataset.root)
        elif Path(dataset.root) not in map(paths.source, PUBLISHED):
            raise OncovecError(
                f"datasets.{name}.root = {dataset.root!r}: a folder, or data/source/NAME.json "
                f"with one of {', '.join(PUBLISHED)}"
            )
        elif dataset.source not in (None, data.source):
            raise OncovecError(
                f"datasets.{name}.source = {dataset.source!r}: give the row a folder of its own in root:"
            )


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
