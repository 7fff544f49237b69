"""Image files that are named on the command line, and their labels and groups from a CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oncovec.core.errors import OncovecError
from oncovec.data.tree import Folder, alone, kind

if TYPE_CHECKING:
    from oncovec.data.layouts.locate import Locator


@dataclass(frozen=True)
class Listed:
    """An image file that is named on the command line or in a CSV.

    Attributes:
        path: path of the file.
        label: class of the image; '' if its cell is empty, None if no CSV with a column `label` names it.
        group: group of the image, for example a patient; '' if it is not known.
        row: row of the CSV that names the image, for error messages; '' without a CSV.
    """

    path: Path
    label: str | None = None
    group: str = ""
    row: str = ""


def find(given: Sequence[str], notes: list[str] | None = None) -> list[Listed]:
    """List the named images: image files, visible images below a folder, and images of a CSV.

    Files in a folder that are no images, or masks of other images, are left out, as in the pipeline; lines
    about them, and about paths that were found in another spelling, are added to `notes`.

    Raises:
        OncovecError: if a path does not exist, a folder has no images, or a CSV has no column of images.
    """
    images: list[Listed] = []
    for name in given:
        path = Path(name)
        what = kind(path)
        if what == "folder":
            images += map(Listed, _below(path, [] if notes is None else notes))
        elif not what:
            raise OncovecError(f"{path}: no such file or folder")
        elif path.suffix.lower() == ".csv":
            images += _of_csv(path, [] if notes is None else notes)
        else:
            images.append(Listed(path))
    return images


def _below(folder: Path, notes: list[str]) -> list[Path]:
    from oncovec.data.layouts.scan import SUFFIXES, scan

    tree = Folder(folder)
    found = scan(*tree.walk(), tree)
    images = [folder / name for name in found.images]
    if not images:
        raise OncovecError(f"{folder}: no image below this folder; looked for {', '.join(SUFFIXES)}")
    notes += [f"{folder}: {line}" for line in found.notes() if line]
    return images


def _of_csv(path: Path, notes: list[str]) -> list[Listed]:
    from oncovec.data.layouts.locate import Locator
    from oncovec.data.layouts.scan import known, read_rows

    rows = read_rows(*alone(path), [])
    column = next((name for name in ("image", "path") if rows and name in rows[0].cells), None)
    if column is None:
        raise OncovecError(f"{path}: no rows, or no column `image` or `path`")
    images, locate = [], Locator(Folder(path.parent))
    for row in rows:
        cells, where = row.cells, f"{path}: row {row.number}"
        if not cells[column]:
            raise OncovecError(f"{where} has nothing in column {column!r}")
        label, group = cells.get("label"), known(cells.get("group", ""))
        images.append(Listed(_file(locate, cells[column], where), label, group, where))
    notes += locate.notes(path.name)
    return images


def _file(locate: "Locator", cell: str, where: str) -> Path:
    """Return the file that a cell means; if there is none, the path as it is, which then cannot be opened."""
    folder = locate.tree.root
    found = [] if kind(folder / cell) == "file" else locate(cell)
    if len(found) > 1:
        raise OncovecError(f"{where}: {cell} may be {found[0]} or {found[1]}; write paths in the table")
    return folder / (found[0] if found else cell)


def labels_of(images: Sequence[Listed], system: str, classes: Sequence[str]) -> list[str] | None:
    """Return each image's label, '' if it has none; None if no CSV has a column `label`.

    Raises:
        OncovecError: for the first label that is not a class of the system, or that differs from another
            label of the same file.
    """
    from oncovec.data.layouts.scan import known

    if all(image.label is None for image in images):
        return None
    labels: list[str] = []
    first: dict[Path, tuple[str, str]] = {}
    for image in images:
        label = image.label or ""
        label = label if label in classes else known(label)
        if label and label not in classes:
            raise OncovecError(
                f"{image.row} ({image.path}): label {image.label!r} is no class of {system}, which has "
                f"{', '.join(classes)}; leave it empty, or rename the column to predict without labels"
            )
        if label:
            file = image.path.resolve() if kind(image.path) else image.path
            before, row = first.setdefault(file, (label, image.row))
            if before != label:
                raise OncovecError(f"{image.row} ({image.path}): labelled {label}, in {row} {before}")
        labels.append(label)
    return labels
