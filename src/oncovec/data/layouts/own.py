"""A dataset of the user: a folder of class folders, or a CSV of paths, labels and groups."""

from pathlib import Path, PurePosixPath

from oncovec.core.errors import OncovecError
from oncovec.core.params import Columns
from oncovec.data.layouts.listing import Listing, Record, make_listing
from oncovec.data.layouts.scan import TableRow, known, note, read_rows, scan
from oncovec.data.split_names import HOW, split_of
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


def read_folders(tree: Folder) -> Listing:
    """List the images of class folders at the top; the label `label` is the name of the folder.

    Images may be at any depth inside a class folder. If all folders at the top are splits, such as Training
    and Testing, and contain folders, then these inner folders are the classes, and `published_split` is the
    split of each image.
    """
    found = scan(tree.paths())
    inside = [image.split("/") for image in found.images if "/" in image]
    if not inside:
        raise OncovecError(f"{tree}: no image found; looked for one folder a class with images inside")
    splits = {parts[0]: split_of(parts[0]) for parts in inside}
    deeper = [parts for parts in inside if len(parts) > 2]
    if len(splits) > 1 and all(splits.values()) and deeper:
        inside = deeper
        records = [
            Record("/".join(p), {"label": p[1]}, facts={"published_split": splits[p[0]] or ""})
            for p in inside
        ]
        classes = []
    else:
        records = [Record("/".join(parts), {"label": parts[0]}) for parts in inside]
        classes = tree.folders()
    notes = [
        note(found.others, "files that are no images ignored"),
        note(len(found.images) - len(inside), "images in no class folder ignored"),
    ]
    return make_listing(tree, records, classes=classes, notes=notes)


def read_csv(tree: Folder, columns: Columns) -> Listing:
    """List the images of a CSV with label `label`, optional group and split, and other columns as facts.

    Paths are relative to the tree. Row numbers in messages count the header as row 1.

    Raises:
        OncovecError: for a missing file or column, an empty path or label, an unknown split, and an image
            that is missing, listed twice, or outside of the tree, also through a link.
    """
    file = Path(columns.file)
    if file.is_absolute() or ".." in file.parts:
        raise OncovecError(f"columns.file = {columns.file!r}: the CSV must lie below {tree}")
    table = file.as_posix()
    group = columns.group
    named = [columns.image, columns.label, *([columns.split] if columns.split else [])]
    rows = read_rows(tree, table, named if group in (None, "group") else [*named, str(group)])
    if not rows:
        raise OncovecError(f"{tree.where(table)}: no image found; it has a header and no rows")
    others = [column for column in rows[0].cells if column not in (*named, group)]
    facts = [column for column in others if column and column not in RESERVED]
    locate = _Locator(tree, table)
    records = [_record(locate, row, columns, facts) for row in rows]
    left_out = ", ".join(column for column in others if column in RESERVED)
    notes = [
        f"columns of {columns.file} left out, since the index has its own of that name: {left_out}"
        if left_out
        else ""
    ]
    offered = ["group"] if group and group in rows[0].cells else []
    offered += [*(["published_split"] if columns.split else []), *facts]
    return make_listing(tree, records, offered=offered, notes=notes)


def _record(locate: "_Locator", row: TableRow, columns: Columns, facts: list[str]) -> Record:
    image = locate(row.number, row.cells[columns.image])
    label = row.cells[columns.label]
    if not label:
        raise OncovecError(f"{locate.table}: row {row.number}: the label of {image} is empty")
    values = {fact: row.cells[fact] for fact in facts}
    if columns.split:
        values["published_split"] = _split(row.cells[columns.split], f"{locate.table}: row {row.number}")
    return Record(image, {"label": label}, known(row.cells.get(columns.group or "", "")), values)


def _split(cell: str, where: str) -> str:
    split = split_of(cell) if cell else ""
    if split is None:
        raise OncovecError(f"{where}: {cell!r} is no split; {HOW}")
    return split


class _Locator:
    """Convert the paths of a table to paths in the tree; refuse missing and repeated images."""

    def __init__(self, tree: Folder, table: str) -> None:
        self.tree = tree
        self.table = tree.where(table)
        self.rows: dict[str, int] = {}

    def __call__(self, number: int, cell: str) -> str:
        where = f"{self.table}: row {number}"
        if not cell:
            raise OncovecError(f"{where}: the path is empty")
        path = PurePosixPath(cell)
        image = path.as_posix()
        if path.is_absolute() or ".." in path.parts:
            raise OncovecError(f"{where}: {cell} points outside of {self.tree}; give a path below it")
        problem = self.tree.problem(image)
        if problem:
            raise OncovecError(f"{where}: {cell} {problem}")
        first = self.rows.setdefault(image, number)
        if first != number:
            raise OncovecError(f"{where}: {cell} is already in row {first}; an image may be there once")
        return image
