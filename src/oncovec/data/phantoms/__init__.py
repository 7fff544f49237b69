"""Phantoms: stand-in images drawn by code, in the published layouts, for runs without data.

Their metrics show that the pipeline works, never how good a model is.
"""

from pathlib import Path

from oncovec.core.errors import OncovecError
from oncovec.data.phantoms import elsewhere
from oncovec.data.phantoms.folders import multi_cancer, multi_organ
from oncovec.data.phantoms.tables import isic2020, pcam

SHARE = {
    "brain_elsewhere": 1 / 3,
    "isic2020": 1.0,
    "multi_cancer": 1 / 52,
    "multi_organ": 1 / 10,
    "pcam": 3 / 4,
}
"""Share of `images` per class. The sets of two classes get more images in total, because their small CNNs
train quickly and need them. Of these two, pcam gets fewer, because it also trains a large network.
multi_cancer gets half, because its two large networks are slow."""

IMAGES = {"brain_elsewhere": elsewhere.FOLDER}
"""Folder of the images in the root of a download, where it is not the root itself."""

LAYOUTS = {
    "brain_elsewhere": elsewhere.brain_elsewhere,
    "isic2020": isic2020,
    "multi_cancer": multi_cancer,
    "multi_organ": multi_organ,
    "pcam": pcam,
}


def draw(dataset: str, folder: Path, images: int, size: int, seed: int) -> None:
    """Draw a stand-in for a published dataset, in its published layout and with its known defects.

    The same arguments give the same bytes on the same machine. In addition to the images there are about 2 %
    exact duplicates, 3 % near-duplicates (8 % in multi_cancer) and two files that cannot be decoded.
    multi_organ also has one picture in two classes. brain_elsewhere, an external test set, has
    near-duplicates of multi_organ.

    Args:
        dataset: brain_elsewhere, isic2020, multi_cancer, multi_organ or pcam.
        folder: output folder, missing or empty; the root of the dataset.
        images: number of images of multi_organ. isic2020 gets twice as many, pcam one and a half times as
            many, multi_cancer half, brain_elsewhere two thirds, and every class at least one. Duplicates and
            broken files are extra.
        size: side of the images in pixels, at least 16; the shorter side if a set has oblong images.
        seed: random seed of all draws.

    Raises:
        OncovecError: for a dataset that cannot be drawn.
    """
    if dataset not in LAYOUTS:
        raise OncovecError(f"downloads.{dataset}: only {', '.join(sorted(LAYOUTS))} can be drawn")
    folder.mkdir(parents=True, exist_ok=True)
    LAYOUTS[dataset](folder, max(1, round(images * SHARE[dataset])), size, seed)
