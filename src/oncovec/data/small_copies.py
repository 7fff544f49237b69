"""Small grey copies of images, of one fixed size, for the search for near-duplicates."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128
"""Longer side in px of a copy."""


def copy_of(image: Image.Image, width: int, height: int) -> NDArray[np.uint8]:
    """Resize an image to a small grey copy, with bicubic interpolation.

    Args:
        image: RGB; it may have been reduced in decoding.
        width: width of the whole image in px; only width and height determine the sides of the copy.
        height: height of the whole image in px.

    Returns:
        uint8 (128, 128) with the image in the upper left corner, see `shape_of`; the rest is black.
    """
    rows, columns = shape_of(width, height)
    copy = np.zeros((SIDE, SIDE), np.uint8)
    copy[:rows, :columns] = np.asarray(image.convert("L").resize((columns, rows), Image.Resampling.BICUBIC))
    return copy


def shape_of(width: int, height: int) -> tuple[int, int]:
    """Compute height and width in px of the copy of an image of this size; the longer side is `SIDE`."""
    longer = max(width, height)
    return max(1, round(height * SIDE / longer)), max(1, round(width * SIDE / longer))
