"""Image files named on the command line, and what a CSV says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oncovec.core.errors import OncovecError
from oncovec.data.tree import Folder, alone

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm")


@dataclass(frozen=True)
class Listed:
    """An image file that was named.

    Attributes:
        path: the file.
        label: its class; '' where the CSV has none, None without a CSV that has a column `label`.
        group: what it belongs to, a patient, say; '' where that is not known.
        row: of the CSV that names it, for errors; '' without one.
    """

    path: Path
    label: str | None = None
    group: str = ""
    row: str = ""


def find(given: Sequence[str]) -> list[Listed]:
    """List the files named: themselves, the images below a folder that are not hidden, those of a CSV.

    Raises:
        OncovecError: for a path that is not there, a folder without images, a CSV without a column of them.
    """
    images: list[Listed] = []
    for name in given:
        path = Path(name)
        if path.is_dir():
            files = (path / name for name in Folder(path).paths())
            below = [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]
            if not below:
                raise OncovecError(f"{path}: no image below this folder; looked for {', '.join(SUFFIXES)}")
            images += map(Listed, below)
        elif not path.is_file():
            raise OncovecError(f"{path}: no such file or folder")
        elif path.suffix.lower() == ".csv":
            images += _of_csv(path)
        else:
            images.append(Listed(path))
    return images


def _of_csv(path: Path) -> list[Listed]:
    from oncovec.data.layouts.scan import known, read_rows

    rows = read_rows(*alone(path), [])
    column = next((name for name in ("image", "path") if rows and name in rows[0].cells), None)
    if column is None:
        raise OncovecError(f"{path}: no rows, or no column `image` or `path`")
    images = []
    for row in rows:
        cells, where = row.cells, f"{path}: row {row.number}"
        if not cells[column]:
            raise OncovecError(f"{where} has nothing in column {column!r}")
        label, group = cells.get("label"), known(cells.get("group", ""))
        images.append(Listed(path.parent / cells[column], label, group, where))
    return images


def labels_of(images: Sequence[Listed], system: str, classes: Sequence[str]) -> list[str] | None:
    """Return each image's label, '' where it has none; None where no CSV has a column `label`.

    Raises:
        OncovecError: for the first label that is no class of the system, or another one than the same file
            has elsewhere.
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
            before, row = first.setdefault(image.path.resolve(), (label, image.row))
            if before != label:
                raise OncovecError(f"{image.row} ({image.path}): labelled {label}, in {row} {before}")
        labels.append(label)
    return labels
