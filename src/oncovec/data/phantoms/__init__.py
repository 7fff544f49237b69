"""Phantoms: stand-in images drawn by code, in the published layouts, for runs without data.

Their metrics say that the pipeline works, never how good a model is.
"""

from pathlib import Path

from oncovec.core.errors import OncovecError
from oncovec.data.phantoms.folders import multi_cancer, multi_organ
from oncovec.data.phantoms.tables import isic2020, pcam

SHARE = {"isic2020": 1.0, "multi_cancer": 1 / 52, "multi_organ": 1 / 10, "pcam": 3 / 4}
"""Share of `images` that a class gets. The sets of two classes get more in all, since their small CNNs are
quick to train and need them, pcam fewer of these, since it trains a large one, too; multi_cancer gets half,
since its two large networks are slow."""

LAYOUTS = {"isic2020": isic2020, "multi_cancer": multi_cancer, "multi_organ": multi_organ, "pcam": pcam}


def draw(dataset: str, folder: Path, images: int, size: int, seed: int) -> None:
    """Draw a stand-in for a published dataset, in its published layout and with its known defects.

    The same arguments give the same bytes on the same machine. Besides the images there are about 2 %
    byte-copies, 3 % near copies (8 % in multi_cancer) and two files that do not decode; multi_organ also
    has one picture in two classes.

    Args:
        dataset: isic2020, multi_cancer, multi_organ or pcam.
        folder: where to write, absent or empty; stands for the root of the dataset.
        images: images of multi_organ; twice as many for isic2020, one and a half times as many for pcam,
            half for multi_cancer, at least one a class. The copies and broken files come on top.
        size: side of the images in pixels, the shorter one where a set has oblong images; at least 16.
        seed: of everything.

    Raises:
        OncovecError: for a dataset that cannot be drawn.
    """
    if dataset not in LAYOUTS:
        raise OncovecError(f"downloads.{dataset}: only {', '.join(sorted(LAYOUTS))} can be drawn")
    folder.mkdir(parents=True, exist_ok=True)
    LAYOUTS[dataset](folder, max(1, round(images * SHARE[dataset])), size, seed)
