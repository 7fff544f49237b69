"""Show some images of every class of a dataset, and what augmentation does to some of them."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from oncovec.core import paths, sheets
from oncovec.core.stage import run
from oncovec.data import index, prepare
from oncovec.learning.augment import Augment

if TYPE_CHECKING:
    from PIL.Image import Image

    from oncovec.core.params import Params

IMAGES, DRAWS, SEED = 8, 7, 0


def main(name: str, params: "Params") -> None:
    """Draw `plots/samples/<dataset>.png`, by the index's first label column, and `plots/augmentation/…`."""
    pixels = prepare.open_prepared(name)
    rows = index.read(paths.index(name))
    label = list(rows[0])[1]
    sheets.save(sheets.samples(pixels, [row[label] for row in rows]), paths.picture("samples", name))
    sheets.save(augmented(pixels, Augment(params.augment)), paths.picture("augmentation", name))


def augmented(pixels: np.ndarray, augment: Augment) -> "Image":
    """Draw originals first, draws beside them."""
    chosen = np.unique(np.linspace(0, len(pixels) - 1, IMAGES).round().astype(int))
    originals = [np.array(pixels[row]) for row in chosen]
    batch = torch.from_numpy(np.stack(originals)).permute(0, 3, 1, 2).float() / 255
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.stack([augment(batch, generator) for _ in range(DRAWS)], dim=1)
    shown = (drawn.clamp(0, 1) * 255).round().byte().permute(0, 1, 3, 4, 2).numpy()
    return sheets.preview(originals, [list(row) for row in shown])


if __name__ == "__main__":
    run(main)
