"""Roots of datasets: the folder that a row names, and the origin of the files in `data/raw`."""

import os
from itertools import chain
from pathlib import Path

from oncovec.core import paths
from oncovec.core.checkout import in_copy
from oncovec.core.datasets import Dataset, Download, External
from oncovec.core.errors import OncovecError, one_line
from oncovec.core.files import read_json
from oncovec.core.params import Params
from oncovec.data.tree import Folder

DRAWN = ("brain_elsewhere", "isic2020", "multi_cancer", "multi_organ", "pcam")
"""Rows of `downloads:` that have phantoms; all other rows are always fetched."""

CAPS = "phantom.json"
"""Name of the file beside drawn images, with the limits that keep a phantom run short."""

LIMITS = {"image_size", "epochs", "batch_size"}
"""Parameters of `data.phantom` that are such limits."""

OUTPUTS = (
    "data/raw data/prepared data/groups data/splits data/embeddings data/results data/external "
    "models metrics plots"
)
"""Output folders of the pipeline; the root of a user's dataset may not be inside or above one of them."""


def is_fetched(params: Params, download: str) -> bool:
    """Whether a row of `downloads:` is fetched, not drawn."""
    return params.data.source == "remote" or download not in DRAWN


def download_of(root: str) -> str | None:
    """Return the name of the row of `downloads:` that creates a root; None for a folder of the user."""
    inside = Path(os.path.relpath(root)).parts
    return inside[2] if inside[:2] == paths.RAW.parts and len(inside) > 2 else None


def source_of(dataset: Dataset | External) -> str:
    """Return the source of a dataset: `phantom` for drawn images in any folder, `remote`, or `local`.

    `remote` means fetched files; `local` means a folder of the user.
    """
    if caps(Path(dataset.root)):
        return "phantom"
    return "remote" if download_of(dataset.root) else "local"


def caps(root: Path) -> dict[str, int]:
    """Read the limits of drawn images: `image_size` in px, `epochs` and `batch_size`; empty for real images.

    A user's file that has the same name but other content is ignored.
    """
    try:
        found = read_json(root / CAPS)
    except (OSError, ValueError):
        return {}
    ours = isinstance(found, dict) and found.keys() == LIMITS
    return dict(found) if ours and all(isinstance(value, int) for value in found.values()) else {}


def check_roots(params: Params) -> None:
    """Refuse roots and downloads that cannot work, before any stage changes an output.

    Raises:
        OncovecError: for output folders outside of the checkout; for a root that is missing or empty, is
            among the outputs, or is relative in a queued run; for a root in `data/raw` that no row of
            `downloads:` creates; for a row that would be fetched without a dataset that uses it, in a queued
            run, or with a manifest that does not match it.
    """
    refuse_links_out()
    copy = in_copy()
    roots = {f"datasets.{name}": each.root for name, each in params.datasets.items()}
    roots |= {f"external.{name}": each.root for name, each in params.external.items()}
    used = {download_of(root) for root in roots.values()}
    for name in params.downloads:
        if is_fetched(params, name):
            _check_fetched(name, params.downloads[name], name in used, copy)
    for row, root in roots.items():
        key = f"{row}.root = {root!r}"
        download = download_of(root)
        if download is None:
            _check_folder(key, Path(root), copy)
        elif download not in params.downloads:
            there = ", ".join(params.downloads) or "none"
            raise OncovecError(f"{key}: no row {download!r} in downloads: makes it; there are {there}")


def refuse_links_out() -> None:
    """Refuse an output folder that is, or is in, a link out of the checkout, because outputs are deleted."""
    for output in OUTPUTS.split():
        if not Path(output).resolve().is_relative_to(Path.cwd()):
            raise OncovecError(
                f"{output}: a link leads out of the checkout, and what is there would be deleted; remove it. "
                "For room, `dvc cache dir` moves the cache; images elsewhere are named as root: of a dataset"
            )


def _check_fetched(name: str, row: Download, used: bool, copy: bool) -> None:
    from oncovec.data import download  # imported here because it imports the packages for fetching

    if not used:
        raise OncovecError(
            f"downloads.{name} would be fetched, and no row of datasets: or external: has its root there; "
            "remove the row"
        )
    if copy:
        raise OncovecError(
            f"downloads.{name} would be fetched into the copy of the checkout that a queued run works in; "
            "run it in the workspace, or name a folder on disk as root"
        )
    download.pinned(name, row)


def _check_folder(key: str, root: Path, copy: bool) -> None:
    try:
        here = root.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link that leads to itself, or a NUL
        raise OncovecError(f"{key}: no path of a folder ({error})") from None
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
        names = [*chain.from_iterable(Folder(root).walk())]
    except OSError as error:
        raise OncovecError(f"{key}: cannot be read ({error.strerror})") from None
    strange = [name for name in names if not _is_utf8(name)]
    if strange:
        raise OncovecError(
            f"{key}: {len(strange)} files have names that are not UTF-8, which DVC cannot read, such as "
            f"{one_line(strange[0])}; rename them (`convmv -t utf8 -r --notest -f ENCODING {root}` does this)"
        )


def _is_utf8(name: str) -> bool:
    # Python represents undecodable bytes of a file name as lone surrogates.
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
