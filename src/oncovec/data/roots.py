"""Where the files of a dataset lie: the root that its row names, and where those of `data/raw` come from."""

import os
from pathlib import Path

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import read_json
from oncovec.core.params import Dataset, Download, Params

DRAWN = ("isic2020", "multi_cancer", "multi_organ", "pcam")
"""Rows of `downloads:` of which there are phantoms; every other one is always fetched."""

CAPS = "phantom.json"
"""Written beside drawn images: the limits that keep a phantom run short."""

OUTPUTS = "data/raw data/prepared data/groups data/splits data/embeddings data/results models metrics plots"
"""Folders of our own, in which no dataset of the user's may lie, nor around them."""


def is_fetched(params: Params, download: str) -> bool:
    """Whether a row of `downloads:` is fetched rather than drawn."""
    return params.data.source == "remote" or download not in DRAWN


def download_of(root: str) -> str | None:
    """Name of the row of `downloads:` that makes a root; None for a folder of the user's own."""
    inside = Path(os.path.relpath(root)).parts
    return inside[2] if inside[:2] == paths.RAW.parts and len(inside) > 2 else None


def source_of(dataset: Dataset) -> str:
    """Say what lies at a root: phantoms, wherever they lie; remote, what was fetched; else local."""
    if caps(Path(dataset.root)):
        return "phantom"
    return "remote" if download_of(dataset.root) else "local"


def caps(root: Path) -> dict[str, int]:
    """Limits that travel with drawn images: `image_size` in px and `epochs`; empty for real ones.

    A file of the user's own that is only called like ours limits nothing.
    """
    try:
        found = read_json(root / CAPS)
    except (OSError, ValueError):
        return {}
    ours = isinstance(found, dict) and found.keys() == {"image_size", "epochs"}
    return dict(found) if ours and all(isinstance(value, int) for value in found.values()) else {}


def check_roots(params: Params) -> None:
    """Refuse roots and downloads that cannot work, before any stage has touched an output.

    Raises:
        OncovecError: for outputs that lie out of the checkout; a missing or empty folder; a relative one in
            a queued run; a root in `data/raw` that no row of `downloads:` makes; a row that would be fetched
            for no dataset, in a queued run, or by a manifest that does not fit it.
    """
    refuse_links_out()
    copy = ".dvc" in Path.cwd().parts
    used = {download_of(dataset.root) for dataset in params.datasets.values()}
    for name in params.downloads:
        if is_fetched(params, name):
            _check_fetched(name, params.downloads[name], name in used, copy)
    for name, dataset in params.datasets.items():
        key = f"datasets.{name}.root = {dataset.root!r}"
        download = download_of(dataset.root)
        if download is None:
            _check_folder(key, Path(dataset.root), copy)
        elif download not in params.downloads:
            there = ", ".join(params.downloads) or "none"
            raise OncovecError(f"{key}: no row {download!r} in downloads: makes it; there are {there}")


def refuse_links_out() -> None:
    """Refuse a folder of outputs that is, or lies in, a link out of the checkout: outputs are deleted."""
    for output in OUTPUTS.split():
        if not Path(output).resolve().is_relative_to(Path.cwd()):
            raise OncovecError(
                f"{output}: a link leads out of the checkout, and what is there would be deleted; remove it. "
                "For room, `dvc cache dir` moves the cache; images elsewhere are named as root: of a dataset"
            )


def _check_fetched(name: str, row: Download, used: bool, copy: bool) -> None:
    from oncovec.data import download  # which imports what fetching needs

    if not used:
        raise OncovecError(
            f"downloads.{name} would be fetched, and no dataset has its root there; remove the row"
        )
    if copy:
        raise OncovecError(
            f"downloads.{name} would be fetched into the copy of the checkout that a queued run works in; "
            "run it in the workspace, or name a folder on disk as root"
        )
    download.pinned(name, row)


def _check_folder(key: str, root: Path, copy: bool) -> None:
    here = root.resolve()
    for output in OUTPUTS.split():
        there = Path(output).resolve()
        if here.is_relative_to(there) or there.is_relative_to(here):
            raise OncovecError(f"{key}: lies among the outputs of the pipeline; name a folder of your own")
    if copy and not root.is_absolute():
        raise OncovecError(f"{key}: a queued run works in a copy of the checkout; give an absolute path")
    try:
        if not root.is_dir():
            raise OncovecError(f"{key}: no such folder")
        if not any(root.iterdir()):
            raise OncovecError(f"{key}: the folder is empty")
    except OSError as error:
        raise OncovecError(f"{key}: cannot be read ({error.strerror})") from None
