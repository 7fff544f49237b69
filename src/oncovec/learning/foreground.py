"""Cropping to the foreground: dark margins are cut off, and what is left fills the network's input.

How much margin an image has depends on the hospital that exported it, and often on the class with it, since
collections have each class from another source. A network learns the margin then. Medical pipelines cut it
off (as `CropForeground` of MONAI, Cardoso et al., arXiv:2211.02701).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

DARK = 20 / 255
"""Values up to this are background, in every channel. Compressed black is noisy, so it is above 0."""

SHARE = 0.02
"""A row or column belongs to the foreground if a larger share of its pixels is not dark. Single bright pixels
do not count."""

LEAST = 0.05
"""Smallest height and width of a foreground, as a share of the image. A smaller one is not believed, and the
whole image is used."""


class Box(NamedTuple):
    """The foreground of an image: its first row and the one after its last, and the same of columns."""

    top: int
    bottom: int
    left: int
    right: int


def boxes(pixels: Tensor) -> list[Box]:
    """Find the foreground of each image.

    Args:
        pixels: (B, C, H, W) in 0..1.
    """
    shown = (pixels.amax(1) > DARK).float()
    return [
        Box(*_range(rows), *_range(columns))
        for rows, columns in zip(shown.mean(2).cpu(), shown.mean(1).cpu(), strict=True)
    ]


def _range(shares: Tensor) -> tuple[int, int]:
    found = torch.nonzero(shares > SHARE).flatten()
    if not len(found) or (found[-1] + 1 - found[0]) < LEAST * len(shares):
        return 0, len(shares)
    return int(found[0]), int(found[-1]) + 1


def crop(pixels: Tensor, size: int, interpolation: str) -> Tensor:
    """Resize the foreground of each image to the longer side of a black square, in its middle.

    Args:
        pixels: (B, C, H, W) in 0..1.
        size: side of the squares in px.
        interpolation: mode of torch's `interpolate`.

    Returns:
        (B, C, size, size) in 0..1.
    """
    squares = pixels.new_zeros(*pixels.shape[:2], size, size)
    for square, image, box in zip(squares, pixels, boxes(pixels), strict=True):
        inner = _inner(box, size)
        part = image[None, :, box.top : box.bottom, box.left : box.right]
        shape = inner.bottom - inner.top, inner.right - inner.left
        part = F.interpolate(part, shape, mode=interpolation, antialias=True).clamp_(0, 1)
        square[:, inner.top : inner.bottom, inner.left : inner.right] = part[0]
    return squares


def place_back(maps: Tensor, found: Sequence[Box], shape: tuple[int, int]) -> Tensor:
    """Enlarge maps of cropped images, and put them where the foreground was.

    Args:
        maps: (B, C, S, S), of the squares that `crop` makes.
        found: the foreground of each image, see `boxes`.
        shape: height and width of the images.

    Returns:
        (B, C, H, W); 0 outside of the foreground.
    """
    size = max(shape)
    large = F.interpolate(maps, (size, size), mode="bilinear", align_corners=False)
    whole = maps.new_zeros(*maps.shape[:2], *shape)
    for place, each, box in zip(whole, large, found, strict=True):
        inner = _inner(box, size)
        part = each[None, :, inner.top : inner.bottom, inner.left : inner.right]
        lengths = box.bottom - box.top, box.right - box.left
        part = F.interpolate(part, lengths, mode="bilinear", align_corners=False)
        place[:, box.top : box.bottom, box.left : box.right] = part[0]
    return whole


def _inner(box: Box, size: int) -> Box:
    """Return where a foreground is in its square."""
    lengths = box.bottom - box.top, box.right - box.left
    height, width = (max(1, round(each * size / max(lengths))) for each in lengths)
    top, left = (size - height) // 2, (size - width) // 2
    return Box(top, top + height, left, left + width)
