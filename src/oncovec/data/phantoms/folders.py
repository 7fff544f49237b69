"""Phantoms of the datasets with one folder per class: multi_organ and multi_cancer."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import Generator

from oncovec.data.phantoms import brain_mri, breast_ultrasound, cytology, histology, lung_ct
from oncovec.data.phantoms.canvas import Pixels, chance
from oncovec.data.phantoms.files import Class, fill, save, write_text, write_truncated

BRAIN = "masoudnickparvar/brain-tumor-mri-dataset"
BREAST = "aryashah2k/breast-ultrasound-images-dataset/Dataset_BUSI_with_GT"
LUNG = "adityamahimkar/iqothnccd-lung-cancer-dataset" + 2 * "/The IQ-OTHNCCD lung cancer dataset"
MULTI_CANCER = "obulisainaren/multi-cancer/Multi Cancer/Multi Cancer"

# Relative frequency of each class. As in the published sets, one class of breast and one of lung is the most
# common. Of each common class a test split has five images; intervals are widened for classes with fewer.
BRAIN_KINDS = {"glioma": 3.1, "meningioma": 0.5, "notumor": 3.1, "pituitary": 0.5}
BREAST_KINDS = {"benign": 3.1, "malignant": 0.5, "normal": 0.5}
LUNG_KINDS = {"benign": ("Bengin", 0.5), "malignant": ("Malignant", 3.1), "normal": ("Normal", 0.5)}

COMMON = {
    **{"all_benign": 2.6, "all_early": 1.2, "all_pre": 1.2, "all_pro": 1.2},
    **{"cervix_dyk": 1.2, "cervix_koc": 1.2, "cervix_mep": 1.2, "cervix_pab": 1.2, "cervix_sfi": 1.4},
    **{"lung_aca": 1.6, "lung_bnt": 3.0, "lung_scc": 1.6},
}
"""Relative frequency of the classes of three organs of multi_cancer; a test split has five of an organ."""

RARE = 0.4
"""Relative frequency of all other classes of multi_cancer."""

GROUPS = {
    "ALL": ("all_benign", "all_early", "all_pre", "all_pro"),
    "Brain Cancer": ("brain_glioma", "brain_menin", "brain_tumor"),
    "Breast Cancer": ("breast_benign", "breast_malignant"),
    "Cervical Cancer": ("cervix_dyk", "cervix_koc", "cervix_mep", "cervix_pab", "cervix_sfi"),
    "Kidney Cancer": ("kidney_normal", "kidney_tumor"),
    "Lung and Colon Cancer": ("colon_aca", "colon_bnt", "lung_aca", "lung_bnt", "lung_scc"),
    "Lymphoma": ("lymph_cll", "lymph_fl", "lymph_mcl"),
    "Oral Cancer": ("oral_normal", "oral_scc"),
}
MRI = {"brain_glioma": "glioma", "brain_menin": "meningioma", "brain_tumor": "pituitary"}


def multi_organ(folder: Path, images: int, size: int, seed: int) -> None:
    """Write brain MRI, breast ultrasound (with masks) and chest CT, ten classes in three published sets."""
    classes = [
        Class(max(1, round(share * images)), partial(brain_path, kind), partial(write_brain, kind, size))
        for kind, share in BRAIN_KINDS.items()
    ]
    for kind, share in BREAST_KINDS.items():
        classes.append(
            Class(
                max(1, round(share * images)), partial(breast_path, kind), partial(write_breast, kind, size)
            )
        )
    for kind, (folder_name, share) in LUNG_KINDS.items():
        classes.append(
            Class(
                max(1, round(share * images)),
                partial(lung_path, folder_name),
                partial(write_lung, kind, size),
            )
        )
    fill(folder, classes, seed)
    # The published set has one picture in two classes: malignant (145) is benign (433).
    mass = folder / breast_path("malignant", 0)
    (folder / breast_path("benign", 432)).write_bytes(mass.read_bytes())
    write_truncated(
        folder / BRAIN / "Training/meningioma/Tr-me_9999.jpg", folder / brain_path("meningioma", 0)
    )
    write_text(folder / BREAST / "normal/normal (999).png")


def brain_path(kind: str, number: int) -> str:
    """Return the path of an image: four fifths are in Training; a few names have a second `Tr`."""
    short = kind[:2]
    if number % 5 == 4:
        return f"{BRAIN}/Testing/{kind}/Te-{short}_{number + 10:04d}.jpg"
    stem = f"Tr-{short}Tr_{number:04d}" if number % 10 == 0 else f"Tr-{short}_{number + 10:04d}"
    return f"{BRAIN}/Training/{kind}/{stem}.jpg"


def breast_path(kind: str, number: int) -> str:
    """Return the path of an image, numbered from 1 in brackets."""
    return f"{BREAST}/{kind}/{kind} ({number + 1}).png"


def lung_path(folder_name: str, number: int) -> str:
    """Return the path of an image, numbered from 1 in brackets; the folder has `cases`, the file `case`."""
    return f"{LUNG}/{folder_name} cases/{folder_name} case ({number + 1}).jpg"


def write_brain(kind: str, size: int, path: Path, rng: Generator, number: int) -> None:
    """Write a slice; as in the published set, most files are RGB and some are grey."""
    pixels = brain_mri.draw(rng, kind, size)
    save(path, pixels if chance(rng, 0.25) else rgb(pixels))


def write_breast(kind: str, size: int, path: Path, rng: Generator, number: int) -> None:
    """Write a scan, its mask and, for some scans, a second mask; the height is `size`, the width varies."""
    pixels, mask = breast_ultrasound.draw(rng, kind, size, round(size * rng.uniform(1.0, 1.15)))
    save(path, rgb(pixels))
    save(path.with_name(f"{path.stem}_mask.png"), mask)
    if number % 20 == 5:
        save(path.with_name(f"{path.stem}_mask_1.png"), mask)


def write_lung(kind: str, size: int, path: Path, rng: Generator, number: int) -> None:
    """Write a grey slice."""
    save(path, lung_ct.draw(rng, kind, size))


def multi_cancer(folder: Path, images: int, size: int, seed: int) -> None:
    """Write the 26 classes of multi_cancer as `<class>_<serial>.jpg`, with many near-duplicates."""
    classes = [
        Class(
            max(1, round(COMMON.get(kind, RARE) * images)),
            partial(serial_path, group, kind),
            partial(write_section, kind, size),
        )
        for group, kinds in GROUPS.items()
        for kind in kinds
    ]
    # The published set is augmented: many of its images are rotated and shifted versions of others.
    fill(folder, classes, seed, near=0.05)
    kidney = partial(serial_path, "Kidney Cancer", "kidney_tumor")
    write_truncated(folder / kidney(9998), folder / kidney(0))
    write_text(folder / serial_path("Lung and Colon Cancer", "colon_aca", 9998))


def serial_path(group: str, kind: str, number: int) -> str:
    """Return the path of an image, numbered from 1 with four digits."""
    return f"{MULTI_CANCER}/{group}/{kind}/{kind}_{number + 1:04d}.jpg"


def write_section(kind: str, size: int, path: Path, rng: Generator, number: int) -> None:
    """Write an image of one of the 26 classes."""
    if kind in MRI:
        save(path, rgb(brain_mri.draw(rng, MRI[kind], size)))
    elif kind in histology.TISSUES:
        save(path, histology.draw(rng, kind, size))
    else:
        save(path, cytology.draw(rng, kind, size))


def rgb(pixels: Pixels) -> Pixels:
    """Convert grey pixels to three equal channels, the form of most published grey images."""
    return np.repeat(pixels[..., None], 3, axis=2)
