"""Small grey copies of images, of one fixed size, by which near-duplicates are found."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128
"""Longer side in px of a copy."""


def copy_of(image: Image.Image) -> NDArray[np.uint8]:
    """Shrink or enlarge an image to a grey copy, bicubic.

    Args:
        image: RGB.

    Returns:
        uint8 (128, 128) with the image in its upper left corner, see `shape_of`; the rest is black.
    """
    height, width = shape_of(*image.size)
    copy = np.zeros((SIDE, SIDE), np.uint8)
    copy[:height, :width] = np.asarray(image.convert("L").resize((width, height), Image.Resampling.BICUBIC))
    return copy


def shape_of(width: int, height: int) -> tuple[int, int]:
    """Height and width in px of the copy of an image of this size: the longer one is `SIDE`."""
    scale = SIDE / max(width, height)
    return max(1, round(height * scale)), max(1, round(width * scale))
