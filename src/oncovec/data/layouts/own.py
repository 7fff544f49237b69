"""A dataset of the user: a folder of class folders, or a CSV of paths, labels and groups."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath

from oncovec.core.datasets import Columns
from oncovec.core.errors import OncovecError
from oncovec.data import folders, patients
from oncovec.data.layouts.listing import Listing, Record, make_listing
from oncovec.data.layouts.locate import Locator, is_absolute
from oncovec.data.layouts.scan import TableRow, known, note, read_rows, scan
from oncovec.data.split_names import HOW, splits_by_name
from oncovec.data.tree import Folder

RESERVED = (
    "image",
    "label",
    "group",
    "published_split",
    "width",
    "height",
    "mode",
    "sha256",
    "lesion",
    "duplicate_of",
)
"""Column names that the index uses itself; a user's columns are mapped to them by `columns`."""


def read_folders(tree: Folder, group: str | None = None, least: int = 2) -> Listing:
    """List the images of class folders; the label `label` is the name of the folder.

    Images may be at any depth inside a class folder. If folders are named after two splits or more, such as
    Training and Testing, they are no classes: the classes are found inside or above them as `oncovec audit`
    does, and `published_split` is the split of each image.

    Args:
        tree: tree of the images.
        group: `folder` makes a group of the images that share their outermost folder besides those of the
            class and of the split, `dicom` of the DICOM files of one patient (`patients.names`); None leaves
            images without a group.
        least: least number of classes.

    Raises:
        OncovecError: for no image, for fewer classes, or if folders at two levels below the splits may be
            the classes.
    """
    found = scan(*tree.walk(), tree)
    inside = [image for image in found.images if "/" in image]
    if not inside:
        raise OncovecError(f"{tree}: no image found; looked for one folder per class with images inside")
    places = folders.places(inside)
    labels = _labels_in_splits(places)
    published = labels is not None
    taken = "" if published else _splits_as_classes(places)
    if labels is None:
        places = [folders.Place((), "", tuple(image.split("/")[:-1])) for image in inside]
        labels = [place.below[0] for place in places]
    else:
        _refuse_two_levels(tree, places)
    series = _series(places, labels)
    named = dict(zip(inside, series, strict=True)) if group == "folder" else _patients(tree, inside, group)
    records = [
        Record(image, {"label": label}, named[image], {"published_split": place.split} if published else {})
        for image, place, label in zip(inside, places, labels, strict=True)
        if label
    ]
    notes = [
        *found.notes(),
        note(len(found.images) - len(records), "images in no class folder ignored"),
        taken or (_about_series(series) if group is None else ""),
        _about_patients(records) if group == "dicom" else "",
    ]
    classes = [] if published else tree.folders()
    offered = ["group"] if group else []
    masks = len(found.masks)
    return make_listing(
        tree, records, classes=classes, offered=offered, masks=masks, notes=notes, least=least
    )


def _labels_in_splits(places: Sequence[folders.Place]) -> list[str] | None:
    """Find the class of each image in folders of splits, '' for an image in none; None without such folders.

    The folders of the splits must be at one level, and no image outside of them may be in a class folder:
    otherwise `test` and `train` are names of something else.
    """
    levels = {len(place.above) for place in places if place.split}
    if len(levels) != 1 or len({place.split for place in places if place.split}) < 2:
        return None
    labels = [
        label if place.split else "" for label, place in zip(folders.labels(places), places, strict=True)
    ]
    classes = set(labels) - {""}
    if any(not place.split and classes & set(place.below) for place in places):
        return None
    return labels if len(classes) > 1 else None


def _splits_as_classes(places: Sequence[folders.Place]) -> str:
    """Say that folders named after splits are taken for classes, if there are several splits."""
    if len({place.split for place in places if place.split}) < 2:
        return ""
    return (
        "folders named after splits are taken for classes, or ignored, since not all images are in such a "
        "folder at one level with class folders; if they are splits, move the other images out"
    )


def _refuse_two_levels(tree: Folder, places: Sequence[folders.Place]) -> None:
    """Refuse class folders that cannot be told from other folders, such as those of magnifications."""
    levels = folders.class_names([place for place in places if place.split])
    if len(levels) > 1:
        named = " or ".join(f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}" for names in levels)
        raise OncovecError(
            f"{tree}: below the splits the classes may be the folders {named}; name them in a CSV "
            "(layout: csv)"
        )


def _series(places: Sequence[folders.Place], labels: Sequence[str]) -> list[str]:
    """Return the outermost folder of each image besides those of its class and split, '' if there is none.

    Folders above all splits are none.
    """
    levels = zip(*(place.above for place in places if place.split), strict=False)
    common = len(list(takewhile(lambda names: len(set(names)) == 1, levels)))
    found = []
    for place, label in zip(places, labels, strict=True):
        names = [*place.above[common:], *place.below]
        if label in names:
            names.remove(label)
        found.append(names[0] if names else "")
    return found


def _patients(tree: Folder, images: Sequence[str], group: str | None) -> dict[str, str]:
    """Return the patient of each image if `group` is `dicom`; otherwise no name for each."""
    return patients.names(tree, images) if group == "dicom" else dict.fromkeys(images, "")


def _about_patients(records: Sequence[Record]) -> str:
    """Say how many patients there are, because files without names may all have one PatientID, or none."""
    named = [record.group for record in records if record.group]
    return (
        f"{len(named)} images are of {len(set(named))} patients by their PatientID, "
        f"{len(records) - len(named)} have none"
    )


def _about_series(series: Sequence[str]) -> str:
    """Say how folders become groups, if images lie in folders that may be those of patients."""
    names = Counter(filter(None, series))
    if len(names) < 2 or names.total() < 2 * len(names):
        return ""
    return (
        f"images lie in {len(names)} folders besides those of their classes, such as {min(names)}; if these "
        "are patients or lesions, name them as groups by `group: folder` in the row of this root"
    )


def read_csv(tree: Folder, columns: Columns, group: str | None = None, least: int = 2) -> Listing:
    """List the images of a CSV with label `label`, optional group and split, and other columns as facts.

    Paths are relative to the tree; see `Locator` for paths in another spelling. An image with an
    empty label has none. Row numbers in messages count the header as row 1.

    Args:
        tree: tree of the images.
        columns: names of the columns.
        group: `dicom` makes groups as in `read_folders`, in place of a column of groups.
        least: least number of classes.

    Raises:
        OncovecError: for a missing file or column, an empty path, an unknown split, and an image that is
            missing, is outside of the tree, also through a link, or has two rows that differ.
    """
    file = Path(columns.file)
    if file.is_absolute() or ".." in file.parts:
        raise OncovecError(f"columns.file = {columns.file!r}: the CSV must lie below {tree}")
    table = file.as_posix()
    by_patient = group == "dicom"
    columns = columns.model_copy(update={"group": None}) if by_patient else columns
    group = columns.group
    named = [columns.image, columns.label, *([columns.split] if columns.split else [])]
    rows = read_rows(tree, table, named if group in (None, "group") else [*named, str(group)])
    if not rows:
        raise OncovecError(f"{tree.where(table)}: no image found; it has a header and no rows")
    others = [column for column in rows[0].cells if column not in (*named, group)]
    facts = [column for column in others if column and column not in RESERVED]
    images = _Images(tree, table)
    split_by_name = splits_by_name({row.cells[columns.split] for row in rows} if columns.split else ())
    every = [_record(images, row, columns, facts, split_by_name) for row in rows]
    records = [record for record in every if record is not None]
    if by_patient:
        known_as = patients.names(tree, [record.image for record in records])
        records = [replace(record, group=known_as[record.image]) for record in records]
    left_out = ", ".join(column for column in others if column in RESERVED)
    notes = [
        f"columns of {columns.file} left out, since the index has its own of that name: {left_out}"
        if left_out
        else "",
        *images.locate.notes(columns.file),
        note(len(every) - len(records), f"rows of {columns.file} left out, which repeat another row"),
        _about_patients(records) if by_patient else "",
    ]
    offered = ["group"] if by_patient or (group and group in rows[0].cells) else []
    offered += [*(["published_split"] if columns.split else []), *facts]
    return make_listing(tree, records, offered=offered, notes=notes, least=least)


def _record(
    images: "_Images",
    row: TableRow,
    columns: Columns,
    facts: list[str],
    split_by_name: Mapping[str, str | None],
) -> Record | None:
    """Return the image of a row; None if the row says again what another one says."""
    image = images(row, columns.image)
    if image is None:
        return None
    label = row.cells[columns.label]
    values = {fact: row.cells[fact] for fact in facts}
    if columns.split:
        cell = row.cells[columns.split]
        split = split_by_name[cell] if cell else ""
        if split is None:
            raise OncovecError(f"{images.table}: row {row.number}: {cell!r} is no split; {HOW}")
        values["published_split"] = split
    return Record(image, {"label": label}, known(row.cells.get(columns.group or "", "")), values)


class _Images:
    """Look up the images of a table; refuse missing ones, and those with two rows that differ."""

    def __init__(self, tree: Folder, table: str) -> None:
        self.tree = tree
        self.table = tree.where(table)
        self.locate = Locator(tree)
        self.rows: dict[str, TableRow] = {}

    def __call__(self, row: TableRow, column: str) -> str | None:
        """Return the path of the image of a row; None if an earlier row has the image and the same cells."""
        cell, where = row.cells[column], f"{self.table}: row {row.number}"
        if not cell:
            raise OncovecError(f"{where}: the path is empty")
        image = self._image(cell, where)
        first = self.rows.setdefault(image, row)
        if first is row:
            return image
        for name, value in row.cells.items():
            if name != column and value != first.cells[name]:
                raise OncovecError(
                    f"{where}: {cell} is already in row {first.number}, where {name!r} is "
                    f"{first.cells[name]!r}, not {value!r}"
                )
        return None

    def _image(self, cell: str, where: str) -> str:
        path = PurePosixPath(cell)
        if ".." in path.parts:
            raise OncovecError(f"{where}: {cell} points outside of {self.tree}; give a path below it")
        absolute = is_absolute(cell)
        problem = "" if absolute else self.tree.problem(path.as_posix())
        # A file that is there, but may not be used, is not looked for elsewhere.
        if problem and "is not there" not in problem:
            raise OncovecError(f"{where}: {cell} {problem}")
        found = self.locate(cell if absolute else path.as_posix())
        if len(found) == 1:
            return found[0]
        if found:
            raise OncovecError(
                f"{where}: {cell} may be {found[0]} or {found[1]}; write paths below {self.tree}"
            )
        if absolute:
            raise OncovecError(f"{where}: {cell} points outside of {self.tree}, where no end of it is a file")
        raise OncovecError(f"{where}: {cell} {problem}")
