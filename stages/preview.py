"""Show what augmentation does to some images of a dataset."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from oncovec import paths, pictures, prepare
from oncovec.augment import Augment
from oncovec.stage import run

if TYPE_CHECKING:
    from oncovec.params import Params

IMAGES, DRAWS, SEED = 8, 7, 0


def main(name: str, params: "Params") -> None:
    """Draw `plots/augmentation/<dataset>.png`: originals first, draws beside them."""
    pixels = prepare.open_prepared(name)
    rows = np.unique(np.linspace(0, len(pixels) - 1, IMAGES).round().astype(int))
    originals = [np.array(pixels[row]) for row in rows]
    batch = torch.from_numpy(np.stack(originals)).permute(0, 3, 1, 2).float() / 255
    generator = torch.Generator().manual_seed(SEED)
    augment = Augment(params.augment)
    drawn = torch.stack([augment(batch, generator) for _ in range(DRAWS)], dim=1)
    shown = (drawn.clamp(0, 1) * 255).round().byte().permute(0, 1, 3, 4, 2).numpy()
    picture = pictures.preview(originals, [list(row) for row in shown])
    pictures.save(picture, paths.picture("augmentation", name))


if __name__ == "__main__":
    run(main)
