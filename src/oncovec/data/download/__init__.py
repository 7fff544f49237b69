"""Download of published datasets from Kaggle and ISIC: fetch to `data/archives`, check, unpack.

The kaggle client finds credentials and the address of an archive. The bytes are fetched here, because the
client (2.2.4) takes a damaged archive of the right size for a good one, keeps another version of the same
size, gives up at the first 503, and waits without limit for a silent server. Each of these is a test in
`tests/data/test_loopback.py`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from oncovec.core import paths
from oncovec.core.datasets import Download
from oncovec.core.errors import OncovecError
from oncovec.core.files import new_folder
from oncovec.core.params import Params
from oncovec.core.stage import row
from oncovec.data.download import archive, isic, kaggle, manifest, store
from oncovec.data.download.credits import credit
from oncovec.data.download.manifest import Facts, Manifest
from oncovec.data.download.store import Wanted


def fetch(name: str, download: Download, folder: Path) -> None:
    """Fetch the files of a row of `downloads:` to `data/archives` and unpack them in the published layout.

    A Kaggle dataset is unpacked to `<folder>/<owner>/<slug>/`, a competition to `<folder>/<competition>/`,
    and the files of ISIC to the root. Hidden members of an archive are not unpacked.

    Args:
        name: name of the row.
        download: the row.
        folder: folder for the unpacked files; it is replaced as a whole.

    Raises:
        OncovecError: if a file cannot be fetched, or does not match `manifests/<name>.json`.
    """
    pins, file = pinned(name, download), paths.manifest(name)
    if not pins:
        print(f"{name}: no {file}: nothing says what its files must be; `oncovec trust {name}` writes it")
    brought = bring(download, pins)
    prefixes = {wanted.name: wanted.prefix for wanted in files(download)}
    with new_folder(folder) as part:
        for each in brought:
            archive.unpack(paths.ARCHIVES / each, part / prefixes[each])


def trust(params: Params, name: str) -> Iterator[str]:
    """Fetch a row of `downloads:`, unless its files are present, and write its manifest.

    Yields:
        Lines with the pinned files and the changes since the last manifest.

    Raises:
        OncovecError: if there is no such row, or its files cannot be fetched.
    """
    download: Download = row(params.downloads, "downloads", name)
    try:
        old = manifest.read(name)
    except OncovecError as error:
        yield f"{error}; it is written anew"
        old = {}
    new = bring(download, {}, ask=True)
    manifest.write(name, new)
    lines = list(manifest.changes(old, new))
    yield from lines
    yield (
        f"{paths.manifest(name)}: {len(new)} files pinned" if lines else f"{paths.manifest(name)}: as before"
    )


def files(download: Download) -> list[Wanted]:
    """List the files of a row of `downloads:`."""
    wanted = [_kaggle("dataset", name) for name in download.kaggle]
    if download.competition:
        wanted.append(_kaggle("competition", download.competition))
    return wanted + (isic.files() if download.isic else [])


def _kaggle(kind: str, name: str) -> Wanted:
    owner_and_slug = name.rpartition("/")[0] or name
    slug = owner_and_slug.rpartition("/")[2]
    return Wanted(
        name=f"kaggle/{kind}s/{name}/{slug}.zip",
        locate=partial(kaggle.locate, kind, name),
        prefix=owner_and_slug,
        credit=credit(owner_and_slug, kaggle.page(kind, name)),
    )


def bring(download: Download, pins: Manifest, ask: bool = False) -> dict[str, Facts]:
    """Fetch every file of a row to `data/archives`, or, with pins, only the pinned files; see `store.bring`.

    Returns:
        The facts of each file, by name, in the order of `files`.
    """
    return dict(_bring_each(download, pins, ask))


def _bring_each(download: Download, pins: Manifest, ask: bool) -> Iterator[tuple[str, Facts]]:
    had: set[str] = set()
    absent: list[Wanted] = []
    for wanted in files(download):
        if wanted.instead_of in had or (pins and wanted.name not in pins):
            continue
        if facts := store.bring(wanted, pins.get(wanted.name), ask):
            had.add(wanted.name)
            yield wanted.name, facts
        else:
            absent.append(wanted)
    for wanted in absent:  # only now, after all other files were fetched without an error
        store.remember_absence(wanted)


def pinned(name: str, download: Download) -> Manifest:
    """Read the manifest of a row of `downloads:`; empty if there is none.

    Raises:
        OncovecError: if the file is not a manifest, or lacks a file of the row.
    """
    pins = manifest.read(name)
    needed = [wanted for wanted in files(download) if not wanted.optional and wanted.instead_of not in pins]
    lacking = [wanted.name for wanted in needed if wanted.name not in pins]
    if pins and lacking:
        raise OncovecError(
            f"{paths.manifest(name)} does not have {lacking[0]}; `oncovec trust {name}` renews it"
        )
    return pins
