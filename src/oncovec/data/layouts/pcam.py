"""PatchCamelyon in the layout of the Kaggle competition: lymph node patches, tumour in the centre or not."""

from oncovec.core.errors import OncovecError
from oncovec.data.layouts.listing import Listing, Record, make_listing
from oncovec.data.layouts.scan import images_by_stem, known, note, read_rows
from oncovec.data.tree import Folder

FOLDER = "histopathologic-cancer-detection"
LABELS = "train_labels.csv"
SLIDES = "patch_id_wsi_full.csv"
CLASSES = {"0": "normal", "1": "tumor"}


def read(tree: Folder) -> Listing:
    """List the labelled patches of `train/` with label `label`, and the slide as group if its table exists.

    `test/` has no labels and is not read.
    """
    paths = tree.paths()
    base = f"{FOLDER}/" if any(path.startswith(f"{FOLDER}/") for path in paths) else ""
    prefix = f"{base}train/"
    files = images_by_stem(paths, f"{base}train")
    if not files:
        raise OncovecError(f"{tree}: no image found; looked for .tif files in {prefix}")
    labels = _read_labels(tree, base + LABELS)
    has_slides = base + SLIDES in paths
    slides = _read_slides(tree, base + SLIDES) if has_slides else {}
    records = [
        Record(image, {"label": labels[stem]}, slides.get(stem, ""))
        for stem, image in files.items()
        if stem in labels
    ]
    if not records:
        raise OncovecError(f"{tree.where(base + LABELS)}: no id is the name of an image in {prefix}")
    notes = [
        note(len(files) - len(records), f"images in {prefix} without a row in {LABELS} ignored"),
        note(len(labels) - len(records), f"rows of {LABELS} without an image in {prefix} ignored"),
        "" if has_slides else f"no {SLIDES}: which patches share a slide is not known",
    ]
    return make_listing(tree, records, classes=CLASSES.values(), offered=["group"], notes=notes)


def _read_labels(tree: Folder, table: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    where = tree.where(table)
    for row in read_rows(tree, table, ["id", "label"]):
        name, label = row.cells["id"], row.cells["label"]
        if label not in CLASSES:
            raise OncovecError(f"{where}: row {row.number}: label is {label!r}; 0 or 1 is allowed")
        if name in labels:
            raise OncovecError(f"{where}: row {row.number}: {name} is there twice")
        labels[name] = CLASSES[label]
    return labels


def _read_slides(tree: Folder, table: str) -> dict[str, str]:
    slides: dict[str, str] = {}
    for row in read_rows(tree, table, ["id", "wsi"]):
        name, slide = row.cells["id"], known(row.cells["wsi"])
        if slides.setdefault(name, slide) != slide:
            raise OncovecError(f"{tree.where(table)}: row {row.number}: {name} is of two slides")
    return slides
