"""Drawing functions of all phantoms: seeded generators, smooth noise, soft-edged shapes, stains, pixels.

A picture is built as float32 arrays on a grid where the shorter side runs from -1 to 1, so every length
below is a share of half that side, and the same drawing works at any size.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def generator(seed: int, *names: object) -> Generator:
    """Generator that depends on the seed and the names only, not on what was drawn before."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, names)).encode())])


def chance(rng: Generator, probability: float) -> bool:
    """Whether an event of this probability happens."""
    return bool(rng.random() < probability)


@dataclass(frozen=True)
class Grid:
    """Coordinates of every pixel, `y` downwards and `x` to the right, and the length of one pixel."""

    y: Array
    x: Array
    pixel: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y.shape[0], self.y.shape[1]


def grid(height: int, width: int) -> Grid:
    """Grid of a picture; the shorter side runs from -1 to 1."""
    half = min(height, width) / 2
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / half
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / half
    yy, xx = np.meshgrid(y, x, indexing="ij")
    return Grid(yy.astype(np.float32), xx.astype(np.float32), 1 / half)


def turned(at: Grid, angle: float, centre: tuple[float, float] = (0.0, 0.0)) -> Grid:
    """Grid seen from an origin at `centre` (y, x), rotated by `angle` radians."""
    y, x = at.y - np.float32(centre[0]), at.x - np.float32(centre[1])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return Grid(cos * y - sin * x, sin * y + cos * x, at.pixel)


def resized(values: Array, height: int, width: int) -> Array:
    """Bicubic resize of a float array."""
    picture = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


def noise(rng: Generator, at: Grid, scale: float | tuple[float, float], octaves: int = 1) -> Array:
    """Smooth noise, mean 0 and deviation about 1.

    Args:
        rng: generator.
        at: grid of the picture.
        scale: size of the largest features, (vertical, horizontal) or one number for both.
        octaves: each further one adds features of half the size and half the strength.
    """
    height, width = at.shape
    vertical, horizontal = scale if isinstance(scale, tuple) else (scale, scale)
    total = np.zeros(at.shape, np.float32)
    for octave in range(octaves):
        cells = [
            max(2, min(side, round(side * at.pixel / length * 2**octave) + 1))
            for side, length in ((height, vertical), (width, horizontal))
        ]
        coarse = rng.standard_normal(cells, dtype=np.float32)
        total += resized(coarse, height, width) / np.float32(0.7 * 2**octave)
    return total


def covered(distance: NDArray[np.floating], edge: float) -> Array:
    """Coverage 0 to 1 of a shape, from the signed distance to its border (positive inside)."""
    ramp = np.clip(distance / edge + 0.5, 0, 1).astype(np.float32)
    smooth: Array = ramp * ramp * (3 - 2 * ramp)
    return smooth


def blob(
    rng: Generator,
    at: Grid,
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
    roughness: float = 0.0,
    edge: float = 0.0,
    lobes: int = 7,
) -> Array:
    """Coverage 0 to 1 of an ellipse whose border waves.

    Args:
        rng: generator of the waves.
        at: grid of the picture.
        centre: (y, x).
        radii: (vertical, horizontal) before turning.
        angle: turn in radians.
        roughness: deviation of the border, as a share of the radius; 0 gives an ellipse.
        edge: width of the soft border; never below 1.5 pixels.
        lobes: the fastest wave around the border; many give spicules.
    """
    local = turned(at, angle, centre)
    y, x = local.y / np.float32(radii[0]), local.x / np.float32(radii[1])
    border = np.float32(1)
    if roughness > 0:
        waves = np.arange(2, lobes + 1)
        strength = rng.standard_normal((len(waves), 2)) * (roughness / np.sqrt(len(waves)))
        strength *= np.sqrt(4 / waves)[:, None]  # slow waves are the strong ones, as in grown tissue
        table = np.linspace(-np.pi, np.pi, 256)
        outline = 1 + np.sum(
            strength[:, :1] * np.cos(waves[:, None] * table)
            + strength[:, 1:] * np.sin(waves[:, None] * table),
            axis=0,
        )
        turn = ((np.arctan2(y, x) + np.pi) * (255 / (2 * np.pi))).astype(np.intp)
        border = np.maximum(outline, 0.25).astype(np.float32)[turn]
    distance = (border - np.hypot(y, x)) * np.float32(min(radii))
    return covered(distance, max(edge, 1.5 * at.pixel))


def band(values: Array, width: float, pixel: float) -> Array:
    """Coverage 0 to 1 of a line where `values` cross zero; `width` in the units of `values`."""
    return covered(np.float32(width / 2) - np.abs(values), max(width, 1.5 * pixel))


def over(below: Array, above: Array | float, coverage: Array) -> Array:
    """Paint `above` over `below` with the opacity `coverage`."""
    return below + (above - below) * coverage


def stamped(
    rng: Generator,
    at: Grid,
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
    elongation: NDArray[np.float64],
    roughness: float,
) -> tuple[Array, NDArray[np.intp]]:
    """Draw many small cells at once, later ones over earlier ones.

    Args:
        rng: generator of turns and borders.
        at: grid of the picture.
        centres: (N, 2) positions (y, x).
        radii: (N,) mean radii. Nothing is drawn beyond 1.5 x radius x elongation plus a pixel.
        elongation: (N,) square root of the ratio of the axes, at least 1.
        roughness: deviation of the border, as a share of the radius.

    Returns:
        Coverage 0 to 1 and, per pixel, the index of the cell on it (0 where there is none).
    """
    height, width = at.shape
    reach = 1.5 * radii * elongation
    half = int(np.ceil(reach.max(initial=0) / at.pixel)) + 1
    window = np.arange(-half, half + 1)
    pixel = np.rint(centres / at.pixel + np.array([(height - 1) / 2, (width - 1) / 2])).astype(np.intp)
    rows = pixel[:, 0, None, None] + window[:, None]
    columns = pixel[:, 1, None, None] + window
    y = (rows - (height - 1) / 2) * at.pixel - centres[:, 0, None, None]
    x = (columns - (width - 1) / 2) * at.pixel - centres[:, 1, None, None]
    turn, first, second = rng.uniform(0, 2 * np.pi, (3, len(radii), 1, 1))
    size = radii[:, None, None]
    along = (np.cos(turn) * y - np.sin(turn) * x) / (size * elongation[:, None, None])
    across = (np.sin(turn) * y + np.cos(turn) * x) / (size / elongation[:, None, None])
    theta = np.arctan2(along, across)
    border = 1 + roughness * (np.cos(2 * theta + first) + np.cos(3 * theta + second))
    distance = (np.clip(border, 0.4, 1.45) - np.hypot(along, across)) * size
    cover = covered(distance.astype(np.float32), 1.5 * at.pixel)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width) & (cover > 0)
    target = (rows * width + columns)[inside]
    coverage = np.zeros(height * width, np.float32)
    np.maximum.at(coverage, target, cover[inside])
    owner = np.zeros(height * width, np.intp)
    owner[target] = np.broadcast_to(np.arange(len(radii))[:, None, None], cover.shape)[inside]
    return coverage.reshape(height, width), owner.reshape(height, width)


def scattered(rng: Generator, at: Grid, spacing: float, jitter: float = 0.8) -> NDArray[np.float64]:
    """Positions (N, 2) of a jittered grid over the picture, in random order."""
    reach = [side * at.pixel / 2 for side in at.shape]
    axes = [np.arange(-r - spacing / 2, r + spacing, spacing) for r in reach]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    points = points + rng.uniform(-jitter / 2, jitter / 2, points.shape) * spacing
    return np.asarray(rng.permutation(points), dtype=np.float64)


def sampled(values: Array, at: Grid, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values of a map at points (N, 2), at the nearest pixel."""
    height, width = at.shape
    rows = np.clip(np.rint(points[:, 0] / at.pixel + (height - 1) / 2), 0, height - 1).astype(np.intp)
    columns = np.clip(np.rint(points[:, 1] / at.pixel + (width - 1) / 2), 0, width - 1).astype(np.intp)
    return values[rows, columns].astype(np.float64)


def grey(values: Array) -> Pixels:
    """8-bit pixels of a picture in 0 to 1."""
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Stain:
    """Absorbance (red, green, blue) of haematoxylin and of eosin on one slide, and the slide's glare."""

    haematoxylin: Array
    eosin: Array
    light: float


ABSORBANCES = ((0.65, 0.70, 0.29), (0.10, 0.90, 0.28))
"""Absorbance (red, green, blue) of haematoxylin and of eosin, about those of Ruifrok and Johnston (2001)."""


def stain(rng: Generator, spread: float = 1.0, absorbances: Sequence[Sequence[float]] = ABSORBANCES) -> Stain:
    """Draw a slide's stain around absorbances of haematoxylin and eosin.

    `spread` scales how much slides differ from each other.
    """
    return Stain(
        (np.array(absorbances[0]) * rng.lognormal(0, 0.12 * spread, 3)).astype(np.float32),
        (np.array(absorbances[1]) * rng.lognormal(0, 0.15 * spread, 3)).astype(np.float32),
        float(rng.uniform(1 - 0.08 * spread, 1.0)),
    )


def stained(slide: Stain, haematoxylin: Array, eosin: Array) -> Pixels:
    """RGB pixels of a stained section by Beer and Lambert's law: light falls off with stain times path."""
    absorbance = (
        np.maximum(haematoxylin, 0)[..., None] * slide.haematoxylin
        + np.maximum(eosin, 0)[..., None] * slide.eosin
    )
    return grey(np.float32(slide.light) * np.exp(-absorbance))
