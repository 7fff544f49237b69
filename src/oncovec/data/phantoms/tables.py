"""Phantoms of the datasets with tables: pcam (patches of slides) and isic2020 (patients)."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from oncovec.core import tables
from oncovec.data.phantoms import dermoscopy, lymph_node
from oncovec.data.phantoms.canvas import chance, generator, stain
from oncovec.data.phantoms.files import Class, Copy, fill, save, write_text, write_truncated

PCAM = "histopathologic-cancer-detection"
ISIC_COLUMNS = (
    "image_name",
    "patient_id",
    "sex",
    "age_approx",
    "anatom_site_general_challenge",
    "diagnosis",
    "benign_malignant",
    "target",
)
SITES = ("torso", "lower extremity", "upper extremity", "head/neck", "palms/soles", "oral/genital")
SITE_SHARES = (0.52, 0.25, 0.15, 0.06, 0.01, 0.01)
BENIGN = ("unknown", "nevus", "seborrheic keratosis", "lentigo NOS")
BENIGN_SHARES = (0.8, 0.17, 0.02, 0.01)


def owners(rng: Generator, images: int, count: int) -> NDArray[np.intp]:
    """Draw the patient or slide of each image, out of `count`; each gets one image, the rest are random."""
    first = np.arange(min(count, images))
    return np.concatenate([first, rng.integers(count, size=images - len(first))])


def owner_of_copy(copy: Copy, position: int, owner: NDArray[np.intp], count: int) -> int:
    """Return the owner of an added duplicate: the owner of its source; for every third, the next owner."""
    return int(owner[copy.source] + (position % 3 == 2)) % count


def pcam(folder: Path, images: int, size: int, seed: int) -> None:
    """Write PCam in the layout of Kaggle: tif patches, labels, slides, and unlabelled test patches."""
    count = max(3, 3 * images // 4)
    rng = generator(seed, "slides")
    slides = [owners(rng, images, count), owners(rng, images, count)]
    stains = [stain(generator(seed, "slide", number), 0.5) for number in range(count)]

    def write(label: int, path: Path, rng: Generator, number: int) -> None:
        save(path, lymph_node.draw(rng, stains[slides[label][number]], bool(label), size))

    classes = [Class(images, partial(patch_path, seed, label), partial(write, label)) for label in (0, 1)]
    copies = fill(folder, classes, seed)
    rows = [(label, number, int(slides[label][number])) for label in (0, 1) for number in range(images)]
    for position, copy in enumerate(copies):
        rows.append((copy.of, copy.number, owner_of_copy(copy, position, slides[copy.of], count)))
    broken = images + len(copies)
    write_truncated(folder / patch_path(seed, 0, broken), folder / patch_path(seed, 0, 0))
    write_text(folder / patch_path(seed, 1, broken))
    rows += [(0, broken, 0), (1, broken, 1)]
    table = sorted((patch_id(seed, label, number), label, slide) for label, number, slide in rows)
    tables.write(folder / PCAM / "train_labels.csv", tables.of(("id", "label"), (row[:2] for row in table)))
    slides_of = ((name, f"camelyon16_train_{slide + 1:03d}") for name, _, slide in table)
    tables.write(folder / PCAM / "patch_id_wsi_full.csv", tables.of(("id", "wsi"), slides_of))
    for number in range(min(3, images)):
        name = f"{PCAM}/test/{patch_id(seed, 2, number)}.tif"
        rng = generator(seed, name)
        save(folder / name, lymph_node.draw(rng, stains[number], chance(rng, 0.5), size))


def patch_id(seed: int, label: int, number: int) -> str:
    """Return 40 hexadecimal digits that do not reveal label or slide."""
    return hashlib.sha1(f"{seed}/{label}/{number}".encode()).hexdigest()


def patch_path(seed: int, label: int, number: int) -> str:
    """Return the path of a labelled patch."""
    return f"{PCAM}/train/{patch_id(seed, label, number)}.tif"


def isic2020(folder: Path, images: int, size: int, seed: int) -> None:
    """Write ISIC 2020: `2 * images` jpg, almost a quarter melanoma (at least three), and both tables."""
    melanomas = min(max(3, round(0.47 * images)), images)
    counts = (2 * images - melanomas, melanomas)
    count = max(3, 9 * images // 10)
    owner = owners(generator(seed, "owners"), 2 * images, count)
    # Melanomas come first, so they belong to as many different patients as possible.
    patients = [owner[melanomas:], owner[:melanomas]]
    looks = [dermoscopy.patient(generator(seed, "patient", number)) for number in range(count)]

    def write(label: int, path: Path, rng: Generator, number: int) -> None:
        width = round(size * rng.choice([1, 4 / 3, 3 / 2], p=[0.7, 0.2, 0.1]))
        who = looks[patients[label][number]]
        save(path, dermoscopy.draw(rng, who, bool(label), size, width))

    classes = [Class(counts[label], partial(lesion_path, label), partial(write, label)) for label in (0, 1)]
    copies = fill(folder, classes, seed)
    rows = [
        (label, number, int(patients[label][number])) for label in (0, 1) for number in range(counts[label])
    ]
    for position, copy in enumerate(copies):
        rows.append((copy.of, copy.number, owner_of_copy(copy, position, patients[copy.of], count)))
    broken = max(counts) + len(copies)
    write_truncated(folder / lesion_path(0, broken), folder / lesion_path(0, 0))
    write_text(folder / lesion_path(0, broken + 1))
    rows += [(0, broken, 0), (0, broken + 1, 1)]
    table = sorted(lesion_row(seed, *row) for row in rows)
    tables.write(folder / "ISIC_2020_Training_GroundTruth.csv", tables.of(ISIC_COLUMNS, table))
    exact = (
        [lesion_name(copy.of, n) for n in (copy.source, copy.number)] for copy in copies if not copy.near
    )
    tables.write(
        folder / "ISIC_2020_Training_Duplicates.csv", tables.of(("image_name_1", "image_name_2"), exact)
    )


def lesion_name(label: int, number: int) -> str:
    """Return a unique name with seven digits that look random: the multiplier has no factor of 10^7."""
    return f"ISIC_{(2 * number + label + 1) * 7368787 % 10_000_000:07d}"


def lesion_path(label: int, number: int) -> str:
    """Return the path of an image."""
    return f"train/{lesion_name(label, number)}.jpg"


def lesion_row(seed: int, label: int, number: int, patient: int) -> tuple[Any, ...]:
    """Return a row of the table; sex and age are those of the patient, and some cells are empty."""
    person = generator(seed, "person", patient)
    name = lesion_name(label, number)
    rng = generator(seed, "row", name)
    known = patient % 15 != 4
    sex = str(person.choice(["female", "male"])) if known else None
    age = int(np.clip(round(person.normal(50, 15) / 5) * 5, 10, 90)) if known else None
    site = None if number % 12 == 7 else str(rng.choice(SITES, p=SITE_SHARES))
    diagnosis = "melanoma" if label else str(rng.choice(BENIGN, p=BENIGN_SHARES))
    identity = f"IP_{(patient + 1) * 7368787 % 10_000_000:07d}"
    return name, identity, sex, age, site, diagnosis, ("benign", "malignant")[label], label
