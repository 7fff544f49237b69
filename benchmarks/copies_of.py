"""Synthetic copies of real images: each transformation alone and in twos, seeded, written as real files.

The ranges are those of common augmentation. As in Keras' ImageDataGenerator, pixels are interpolated
linearly, geometry is about the centre, the canvas keeps its size, and gaps are filled by the nearest pixel,
by reflection or with black.
"""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Draws = np.random.Generator
Transformation = Callable[[Pixels, Draws], tuple[Pixels, str]]
"""From RGB (H, W, 3) to RGB and what was drawn, in words."""

FILLS = {
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "black": cv2.BORDER_CONSTANT,
}
QUALITY = 90
"""Of the JPEG that every copy is written as, unless it is re-encoded."""


def _warp(
    image: Pixels, matrix: NDArray[np.float64], generator: Draws, shift: tuple[float, float] = (0, 0)
) -> tuple[Pixels, str]:
    """Take each pixel at p from matrix @ p + shift, both from the centre; returns the image and its fill."""
    height, width = image.shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre + np.array(shift) - matrix @ centre
    fill = str(generator.choice(list(FILLS)))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    affine = np.hstack([matrix, offset[:, None]])
    return cv2.warpAffine(image, affine, (width, height), flags=flags, borderMode=FILLS[fill]), fill


def _resized(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    scale = 2 ** generator.uniform(-1, 1)
    size = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)), f"x{scale:.2f}"


def _cropped(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    off = generator.uniform(0.05, 0.15, 2)
    keep = np.round((1 - off) * image.shape[:2]).astype(int)
    top, left = generator.integers(0, image.shape[:2] - keep + 1).tolist()
    return image[top : top + keep[0], left : left + keep[1]], f"{off[0]:.0%}, {off[1]:.0%} off"


def _brightened(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    factor = generator.uniform(0.2, 1.2)
    return np.clip(image * factor, 0, 255).astype(np.uint8), f"x{factor:.2f}"


def _contrasted(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    factor, mean = generator.uniform(0.5, 1.5), image.mean()
    return np.clip((image - mean) * factor + mean, 0, 255).astype(np.uint8), f"x{factor:.2f}"


def _flipped(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    across = bool(generator.integers(2))
    return (image[:, ::-1], "left-right") if across else (image[::-1], "up-down")


def _turned(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    quarters = int(generator.integers(1, 4))
    return np.rot90(image, quarters), f"{90 * quarters}°"


def _rotation(least: float, most: float) -> Transformation:
    def rotated(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
        degrees = generator.uniform(least, most) * generator.choice([-1, 1])
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        warped, fill = _warp(image, np.array([[cos, -sin], [sin, cos]]), generator)
        return warped, f"{degrees:.1f}°, {fill}"

    return rotated


def _shifted(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    down, across = generator.uniform(-0.1, 0.1, 2)
    warped, fill = _warp(image, np.eye(2), generator, (across * image.shape[1], down * image.shape[0]))
    return warped, f"{across:+.0%}, {down:+.0%}, {fill}"


def _zoomed(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    # Keras draws both axes apart.
    across, down = generator.uniform(0.9, 1.1, 2)
    warped, fill = _warp(image, np.diag([across, down]), generator)
    return warped, f"x{across:.2f}, x{down:.2f}, {fill}"


def _zoomed_far(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    factor = generator.uniform(0.8, 1.25)
    warped, fill = _warp(image, np.diag([factor, factor]), generator)
    return warped, f"x{factor:.2f}, {fill}"


def _sheared(image: Pixels, generator: Draws) -> tuple[Pixels, str]:
    degrees = generator.uniform(-10, 10)
    angle = np.radians(degrees)
    warped, fill = _warp(image, np.array([[1, -np.sin(angle)], [0, np.cos(angle)]]), generator)
    return warped, f"{degrees:.1f}°, {fill}"


REENCODED = "re-encoded"

TRANSFORMATIONS: dict[str, tuple[str, Transformation | None]] = {
    REENCODED: ("JPEG, quality 30 to 95, whatever the original was", None),
    "resized": ("0.5 to 2 times", _resized),
    "cropped": ("5 to 15 % off each side's length", _cropped),
    "brightened": ("0.2 to 1.2 times: mostly darker", _brightened),
    "contrast": ("0.5 to 1.5 times, about the mean", _contrasted),
    "flipped": ("left-right or up-down", _flipped),
    "turned": ("by 90, 180 or 270°", _turned),
    "rotated": ("up to 15° either way", _rotation(0, 15)),
    "rotated far": ("15 to 45° either way", _rotation(15, 45)),
    "shifted": ("up to 10 % of either side", _shifted),
    "zoomed": ("0.9 to 1.1, each axis by its own", _zoomed),
    "zoomed far": ("0.8 to 1.25", _zoomed_far),
    "sheared": ("up to 10° either way", _sheared),
}
"""What it is, in words, and what does it; re-encoding is done by the writing."""

Kind = tuple[str, ...]
ALONE: tuple[Kind, ...] = tuple((name,) for name in TRANSFORMATIONS)
TWOS: tuple[Kind, ...] = tuple(combinations(TRANSFORMATIONS, 2))
SAME = {("rotated", "rotated far"), ("zoomed", "zoomed far")}


def deal(count: int, start: int) -> list[Kind]:
    """Deal kinds round-robin, one of a single transformation and one of two by turns.

    Args:
        count: how many are wanted.
        start: how many were dealt before, so that a small modality does not get the first kinds alone.
    """
    twos = [two for two in TWOS if two not in SAME]
    # A stride that shares no factor with their number visits all, and neighbours differ in both names.
    stride = next(step for step in range(29, 1, -1) if np.gcd(step, len(twos)) == 1)
    return [
        ALONE[turn // 2 % len(ALONE)] if turn % 2 == 0 else twos[turn // 2 * stride % len(twos)]
        for turn in range(start, start + count)
    ]


def write(image: Image.Image, kind: Kind, generator: Draws, path: Path) -> str:
    """Write a copy as JPEG.

    Args:
        image: RGB.
        kind: names of `TRANSFORMATIONS`, applied in a random order.
        generator: of every draw.
        path: to write to.

    Returns:
        What was drawn, in words.
    """
    pixels, drawn, quality = np.asarray(image), [], QUALITY
    for name in generator.permutation(list(kind)):
        change = TRANSFORMATIONS[name][1]
        if change is None:
            quality = int(generator.integers(30, 96))
            drawn.append(f"{name} quality {quality}")
        else:
            pixels, words = change(pixels, generator)
            drawn.append(f"{name} {words}")
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, "JPEG", quality=quality)
    return "; ".join(drawn)
