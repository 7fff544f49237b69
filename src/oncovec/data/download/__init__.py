"""Published datasets fetched from Kaggle and ISIC: the files that a row asks for, and their tree."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from oncovec.core.errors import OncovecError
from oncovec.core.params import Dataset
from oncovec.data.download import isic, kaggle, store
from oncovec.data.download.credits import credit
from oncovec.data.download.manifest import Facts, Manifest
from oncovec.data.download.mounts import Archives, Mount
from oncovec.data.download.store import Wanted


def files(row: Dataset) -> list[Wanted]:
    """List the files that a row of `datasets:` asks for."""
    wanted = [_kaggle("dataset", name) for name in row.kaggle]
    if row.competition:
        wanted.append(_kaggle("competition", row.competition))
    return wanted + (isic.files() if row.isic else [])


def _kaggle(kind: str, name: str) -> Wanted:
    owner_and_slug = name.rpartition("/")[0] or name
    slug = owner_and_slug.rpartition("/")[2]
    return Wanted(
        name=f"kaggle/{kind}s/{name}/{slug}.zip",
        locate=partial(kaggle.locate, kind, name),
        prefix=f"{owner_and_slug}/",
        credit=credit(owner_and_slug, kaggle.page(kind, name)),
    )


def bring(row: Dataset, pins: Manifest, check: bool = True, ask: bool = False) -> dict[str, Facts]:
    """Bring every file of a row into the cache, or exactly those that are pinned; see `store.bring`.

    Returns:
        What each of them is, by name, in the order in which they are asked for.
    """
    return dict(_bring_each(row, pins, check, ask))


def _bring_each(row: Dataset, pins: Manifest, check: bool, ask: bool) -> Iterator[tuple[str, Facts]]:
    had: set[str] = set()
    absent: list[Wanted] = []
    for wanted in files(row):
        if wanted.instead_of in had or (pins and wanted.name not in pins):
            continue
        if facts := store.bring(wanted, pins.get(wanted.name), check, ask):
            had.add(wanted.name)
            yield wanted.name, facts
        else:
            absent.append(wanted)
    for wanted in absent:  # now that the publisher has answered well for all others
        store.remember_absence(wanted)


def _published(path: Path, prefix: str) -> Mount:
    """Lay an archive at its place, also where it has everything in one folder of its own name."""
    found, own = Mount(path, prefix), f"{path.stem}/"
    inside = all(file.startswith(prefix + own) for file in found.files())
    return Mount(path, prefix, own) if found.is_archive and inside else found


def unpinned(row: Dataset, pins: Manifest) -> list[str]:
    """Names of the files that a row needs and a manifest does not have."""
    needed = [wanted for wanted in files(row) if not wanted.optional and wanted.instead_of not in pins]
    return [wanted.name for wanted in needed if wanted.name not in pins]


def tree(name: str, row: Dataset, brought: Manifest) -> Archives:
    """Lay the files of a dataset out as a folder of them would be.

    A published layout has its archives at `owner/slug/`; in the layouts of a user's own, what lies in the
    row's `folder` of an archive is the dataset.

    Raises:
        OncovecError: when an archive does not have that folder, or two of them have the same file.
    """
    if row.layout in ("folders", "csv"):
        inside = f"{row.folder.strip('/')}/" if row.folder.strip("/") else ""
        mounts = [Mount(store.folder() / file, inside=inside) for file in brought]
    else:
        prefixes = {wanted.name: wanted.prefix for wanted in files(row)}
        mounts = [_published(store.folder() / file, prefixes[file]) for file in brought]
    found = Archives(name, tuple(mounts))
    if row.folder and not all(mount.files() for mount in mounts):
        there = ", ".join(Archives(name, tuple(Mount(mount.path) for mount in mounts)).folders())
        raise OncovecError(f"datasets.{name}.folder = {row.folder!r}: not there; at the top there is {there}")
    found.paths()  # now, while there is one process: others inherit what it has read
    return found
