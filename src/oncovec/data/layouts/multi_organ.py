"""Brain MRI, breast ultrasound and lung CT: three Kaggle datasets read as ten classes."""

import re
from collections.abc import Iterable

from oncovec.core.errors import OncovecError
from oncovec.data import folders
from oncovec.data.layouts.listing import Listing, Record, make_listing
from oncovec.data.layouts.scan import nearest_folder, note, scan
from oncovec.data.tree import Folder

CLASSES = {
    "glioma": "brain_glioma",
    "meningioma": "brain_meningioma",
    "notumor": "brain_notumor",
    "pituitary": "brain_pituitary",
    "glioma_tumor": "brain_glioma",
    "meningioma_tumor": "brain_meningioma",
    "no_tumor": "brain_notumor",
    "pituitary_tumor": "brain_pituitary",
    "benign": "breast_benign",
    "malignant": "breast_malignant",
    "normal": "breast_normal",
    "bengin cases": "lung_benign",
    "benign cases": "lung_benign",
    "malignant cases": "lung_malignant",
    "normal cases": "lung_normal",
}
"""Class of each class folder; the folder names distinguish the organs and the two brain datasets."""

BRAIN = "masoudnickparvar/brain-tumor-mri-dataset"
OLDER_BRAIN = "sartajbhuvaji/brain-tumor-classification-mri"
LUNG = "adityamahimkar/iqothnccd-lung-cancer-dataset"
OTHER_LUNG = "hamdallak/the-iqothnccd-lung-cancer-dataset"

REPLACED = {OLDER_BRAIN: BRAIN, OTHER_LUNG: LUNG}
"""Kaggle datasets that are left out if another dataset with the same images is present."""

_MASK = re.compile(r"_mask(_\d+)?\.\w+$", re.IGNORECASE)
"""Names of masks in the published ultrasound dataset."""


def read(tree: Folder) -> Listing:
    """List the images of the ten classes with label `label`, and `published_split` for brain images.

    Class folders are found by name at any depth, so that any subset of the datasets can be read. Masks of
    the ultrasound images are counted and left out.
    """
    found = scan(*tree.walk())
    labelled = [(image, folder) for image in found.images if (folder := nearest_folder(image, CLASSES))]
    origins = {_origin(image, folder) for image, folder in labelled}
    replaced = {old for old in origins if REPLACED.get(old) in origins}
    masks = sum(nearest_folder(mask, CLASSES) is not None for mask in found.masks)
    records, repeated = [], 0
    places = folders.places([image for image, _ in labelled])
    for (image, folder), place in zip(labelled, places, strict=True):
        label = CLASSES[folder]
        if label.startswith("breast") and _MASK.search(image):
            masks += 1  # also without its image, as in a part of the dataset
        elif _origin(image, folder) in replaced:
            repeated += 1
        else:
            facts = {"published_split": place.split} if place.split else {}
            records.append(Record(image, {"label": label}, facts=facts))
    if not records:
        raise OncovecError(f"{tree}: no image found; looked for folders named {', '.join(CLASSES)}")
    notes = [
        note(
            repeated,
            f"images of {_names(replaced)} left out: {_names(REPLACED[old] for old in replaced)} has them",
        ),
        *found.notes(),
        note(len(found.images) - len(labelled), "images in no class folder ignored"),
    ]
    return make_listing(tree, records, classes=set(CLASSES.values()), masks=masks, notes=notes)


def _origin(image: str, folder: str) -> str:
    """Return the Kaggle dataset of a brain or lung image, for `REPLACED`; empty for other images."""
    organ = CLASSES[folder].partition("_")[0]
    if organ == "brain":
        return OLDER_BRAIN if folder.endswith("_tumor") else BRAIN
    if organ == "lung":
        return OTHER_LUNG if OTHER_LUNG.partition("/")[2] in image.split("/") else LUNG
    return ""


def _names(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))
