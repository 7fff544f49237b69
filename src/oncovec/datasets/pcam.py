"""PatchCamelyon as the Kaggle competition gives it: patches of lymph nodes, tumour in the centre or not."""

from pathlib import Path

from oncovec.datasets.listing import Listing, Record, make_listing
from oncovec.datasets.scan import images_by_stem, note, read_rows
from oncovec.errors import OncovecError

FOLDER = "histopathologic-cancer-detection"
LABELS = "train_labels.csv"
SLIDES = "patch_id_wsi_full.csv"
CLASSES = {"0": "normal", "1": "tumor"}


def read(root: Path) -> Listing:
    """List the labelled patches of `train/`: label `label`, the slide as group where its table is there.

    `test/` has no labels and is not read.
    """
    base = root / FOLDER if (root / FOLDER).is_dir() else root
    prefix = f"{FOLDER}/train/" if base != root else "train/"
    files = images_by_stem(base / "train")
    if not files:
        raise OncovecError(f"{root}: no image found; looked for .tif files in {prefix}")
    labels = _read_labels(base / LABELS)
    has_slides = (base / SLIDES).is_file()
    slides = _read_slides(base / SLIDES) if has_slides else {}
    records = [
        Record(prefix + name, {"label": labels[stem]}, slides.get(stem, ""))
        for stem, name in files.items()
        if stem in labels
    ]
    if not records:
        raise OncovecError(f"{base / LABELS}: no id is the name of an image in {prefix}")
    notes = [
        note(len(files) - len(records), f"images in {prefix} without a row in {LABELS} ignored"),
        note(len(labels) - len(records), f"rows of {LABELS} without an image in {prefix} ignored"),
        "" if has_slides else f"no {SLIDES}: which patches share a slide is not known",
    ]
    return make_listing(root, records, classes=CLASSES.values(), offered=["group"], notes=notes)


def _read_labels(path: Path) -> dict[str, str]:
    labels: dict[str, str] = {}
    for row in read_rows(path, ["id", "label"]):
        name, label = row.cells["id"], row.cells["label"]
        if label not in CLASSES:
            raise OncovecError(f"{path}: row {row.number}: label is {label!r}; 0 or 1 is allowed")
        if name in labels:
            raise OncovecError(f"{path}: row {row.number}: {name} is there twice")
        labels[name] = CLASSES[label]
    return labels


def _read_slides(path: Path) -> dict[str, str]:
    return {row.cells["id"]: row.cells["wsi"] for row in read_rows(path, ["id", "wsi"])}
