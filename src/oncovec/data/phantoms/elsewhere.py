"""Phantoms of an external test set: brain MRI of other machines, as in a collection from many places."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import Generator

from oncovec.data.phantoms import brain_mri
from oncovec.data.phantoms.canvas import Array, Pixels, generator, grey
from oncovec.data.phantoms.files import (
    Class,
    fill,
    save,
    write_near_duplicate,
    write_text,
    write_truncated,
)
from oncovec.data.phantoms.folders import brain_path, rgb, write_brain

FOLDER = "navoneel/brain-mri-images-for-brain-tumor-detection/brain_tumor_dataset"
TUMOURS = ("glioma", "meningioma", "pituitary")


def brain_elsewhere(folder: Path, images: int, size: int, seed: int) -> None:
    """Write brain MRI with and without a tumour, in the folders `yes` and `no`.

    Per kind, one image is a near-duplicate of an image of the multi_organ phantom of the same size and seed.
    """
    classes = [
        Class(images, yes_path, partial(write_scan, TUMOURS, size)),
        Class(images, no_path, partial(write_scan, ("notumor",), size)),
    ]
    beyond = [images + sum(copy.of == of for copy in fill(folder, classes, seed)) for of in range(2)]
    for number, kind in enumerate(brain_mri.KINDS):
        of = int(kind == "notumor")
        target = folder / classes[of].path(beyond[of] + number)
        path = brain_path(kind, 0)
        write_brain(kind, size, target, generator(seed, path), 0)
        write_near_duplicate(generator(seed, "near", path), target, target)
    write_truncated(folder / FOLDER / "yes/Y999.jpg", folder / yes_path(0))
    write_text(folder / FOLDER / "no/no 999.jpg")


def yes_path(number: int) -> str:
    """Return the path of an image with a tumour, numbered from 1."""
    return f"{FOLDER}/yes/Y{number + 1}.jpg"


def no_path(number: int) -> str:
    """Return the path of an image without a tumour; the published names have two forms."""
    return f"{FOLDER}/no/{number + 1} no.jpeg" if number % 3 else f"{FOLDER}/no/no {number + 1}.jpg"


def write_scan(kinds: tuple[str, ...], size: int, path: Path, rng: Generator, number: int) -> None:
    """Write a slice of another machine: other size, contrast, crop, border and noise."""
    side = round(size * rng.uniform(0.8, 1.4))
    values = (brain_mri.draw(rng, kinds[number % len(kinds)], side) / 255).astype(np.float32)
    save(path, rgb(_recorded(rng, values)), quality=int(rng.integers(60, 90)))


def _recorded(rng: Generator, values: Array) -> Pixels:
    """Change grey values in 0 to 1 as another machine and another export would."""
    gamma = rng.choice([rng.uniform(0.75, 0.9), rng.uniform(1.1, 1.3)])
    low, high = rng.uniform(0, 0.05), rng.uniform(0.85, 1.0)
    windowed = np.clip((values**gamma - low) / (high - low), 0, 1).astype(np.float32)
    top, bottom, left, right = (rng.uniform(0, 0.05, 4) * len(values)).astype(int)
    cropped = windowed[top : len(values) - bottom, left : len(values) - right]
    border = round(len(values) * rng.uniform(0, 0.1))
    pads = ((0, 0), (border, border)) if rng.random() < 0.5 else ((border, border), (0, 0))
    return grey(np.pad(cropped + rng.normal(0, 0.02, cropped.shape).astype(np.float32), pads))
