"""Adapters: one module per published layout. Each converts a tree of files into a listing of images."""

from collections.abc import Callable, Mapping

from oncovec.core.datasets import Columns
from oncovec.core.errors import OncovecError
from oncovec.data.layouts import isic2020, multi_cancer, multi_organ, own, pcam
from oncovec.data.layouts.listing import Listing, Record
from oncovec.data.tree import Folder

__all__ = ["LAYOUTS", "Listing", "Record", "read"]

_READERS: Mapping[str, Callable[[Folder], Listing]] = {
    "multi_organ": multi_organ.read,
    "multi_cancer": multi_cancer.read,
    "pcam": pcam.read,
    "isic2020": isic2020.read,
}

LAYOUTS = (*_READERS, "folders", "csv")
"""Names of the layouts that can be read."""

GROUPS = {"pcam": "slide", "isic2020": "patient"}
"""Meaning of an image's group in the layouts that have groups; for a CSV, its columns define it."""


def read(
    layout: str,
    tree: Folder,
    columns: Columns | None = None,
    group: str | None = None,
    least: int = 2,
) -> Listing:
    """List a dataset's images with their labels, groups and facts.

    No image is decoded; files without a suffix of images are opened to see whether they are DICOM, and
    `group: dicom` reads the header of each DICOM file.

    Args:
        layout: one of `LAYOUTS`.
        tree: the dataset's own files.
        columns: names of the columns; only for the layout `csv`.
        group: what makes a group; only for the layouts `folders` and `csv`, see `own.read_folders`.
        least: least number of classes; only for the layouts `folders` and `csv`.

    Raises:
        OncovecError: if the folder is missing, contains no image of this layout, has too few classes, or has
            an invalid table.
    """
    if layout not in LAYOUTS:
        raise OncovecError(f"layout {layout!r} is unknown; there are {', '.join(LAYOUTS)}")
    if not tree.root.is_dir():
        what = "a file, no folder" if tree.root.is_file() else "no such folder"
        raise OncovecError(f"{tree}: {what}; it should hold a dataset laid out as {layout}")
    if layout == "csv":
        return own.read_csv(tree, columns or Columns(), group, least)
    if layout == "folders":
        return own.read_folders(tree, group, least)
    return _READERS[layout](tree)
