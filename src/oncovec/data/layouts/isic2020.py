"""ISIC 2020: dermoscopic images of melanomas and benign lesions, grouped by patient."""

from oncovec.core.errors import OncovecError
from oncovec.data.layouts.listing import Listing, Record, make_listing
from oncovec.data.layouts.scan import TableRow, images_by_stem, known, note, read_rows
from oncovec.data.tree import Folder

TABLES = ("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv")
"""Names of the ground truth table, in order of preference: the second edition adds the lesions."""

DUPLICATES = "ISIC_2020_Training_Duplicates.csv"
FOLDERS = ("train", "ISIC_2020_Training_JPEG/train", "ISIC_2020_Training_JPEG", "")
CLASSES = {"0": "benign", "1": "melanoma"}

FACTS = {
    "lesion": "lesion_id",
    "sex": "sex",
    "age": "age_approx",
    "site": "anatom_site_general_challenge",
    "diagnosis": "diagnosis",
}
"""Facts of the index, and the published columns from which they are read."""


def read(tree: Folder) -> Listing:
    """List the images with label `label`, the patient as group, and lesion, sex, age, site, diagnosis.

    If the published list of duplicates pairs an image with earlier images, the fact `duplicate_of` contains
    their names, separated by blanks.
    """
    paths = tree.paths()
    folder, files = next(
        ((folder, files) for folder in FOLDERS if (files := images_by_stem(paths, folder))), ("", {})
    )
    if not files:
        raise OncovecError(
            f"{tree}: no image found; looked for .jpg files in train/, {FOLDERS[1]}/ and the folder"
        )
    table = next((name for name in TABLES if name in paths), TABLES[-1])
    rows = _read_rows(tree, table)
    originals = _read_duplicates(tree) if DUPLICATES in paths else {}
    facts = {fact: column for fact, column in FACTS.items() if column in next(iter(rows.values())).cells}
    records = [
        _record(image, rows[stem], facts, originals.get(stem))
        for stem, image in files.items()
        if stem in rows
    ]
    if not records:
        inside = f"{folder}/" if folder else tree
        raise OncovecError(f"{tree.where(table)}: no image_name is the name of an image in {inside}")
    notes = [
        note(len(files) - len(records), f"images without a row in {table} ignored"),
        note(len(rows) - len(records), f"rows of {table} without an image ignored"),
    ]
    return make_listing(tree, records, classes=CLASSES.values(), offered=["group", *facts], notes=notes)


def _record(image: str, row: TableRow, facts: dict[str, str], original: str | None) -> Record:
    values = {fact: known(row.cells[column]) for fact, column in facts.items()}
    if original:
        values["duplicate_of"] = original
    label = CLASSES[row.cells["target"]]
    return Record(image, {"label": label}, known(row.cells["patient_id"]), values)


def _read_rows(tree: Folder, table: str) -> dict[str, TableRow]:
    rows: dict[str, TableRow] = {}
    where = tree.where(table)
    for row in read_rows(tree, table, ["image_name", "patient_id", "target"]):
        name, target = row.cells["image_name"], row.cells["target"]
        if target not in CLASSES:
            raise OncovecError(f"{where}: row {row.number}: target is {target!r}; 0 or 1 is allowed")
        if name in rows:
            raise OncovecError(f"{where}: row {row.number}: {name} is there twice")
        rows[name] = row
    if not rows:
        raise OncovecError(f"{where}: has no rows")
    return rows


def _read_duplicates(tree: Folder) -> dict[str, str]:
    """Map each duplicate to its originals, separated by blanks; the list may pair an image several times."""
    originals: dict[str, list[str]] = {}
    for row in read_rows(tree, DUPLICATES, ["image_name_1", "image_name_2"]):
        originals.setdefault(row.cells["image_name_2"], []).append(row.cells["image_name_1"])
    return {copy: " ".join(sorted(set(names))) for copy, names in originals.items()}
