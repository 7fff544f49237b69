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
    "isic2020": 7 / 10,
    "multi_cancer": 1 / 20,
    "multi_organ": 1 / 10,
    "pcam": 4 / 7,
}
"""Images of a class as a share of `images`; in multi_organ and multi_cancer common classes have more, and
rare ones fewer. With `images: 100` a test split has about five patients, slides or images of each class of a
binary task, and of some classes of the others; with fewer, intervals are widened."""

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
    exact duplicates, 3 % near-duplicates (5 % in multi_cancer) and two files that cannot be decoded.
    multi_organ also has one picture in two classes. brain_elsewhere, an external test set, has
    near-duplicates of multi_organ.

    Args:
        dataset: brain_elsewhere, isic2020, multi_cancer, multi_organ or pcam.
        folder: output folder, missing or empty; the root of the dataset.
        images: scale of the number of images. 100 gives 154 of multi_organ, 121 of multi_cancer, 114 of
            pcam, 140 of isic2020 and 66 of brain_elsewhere. Every class gets at least one. Duplicates and
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
