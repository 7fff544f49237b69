"""Drawn breast ultrasound: benign mass, malignant mass or none, after the BI-RADS descriptors.

Benign: oval, circumscribed, wider than tall, sound enhanced behind it. Malignant: irregular, spiculated or
indistinct, taller than wide, a shadow behind it. Layers, lobules of fat and shadows of ligaments occur in
every class.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from oncovec.data.phantoms.canvas import Array, Grid, Pixels, blob, chance, covered, grey, grid, noise, over

KINDS = ("benign", "malignant", "normal")


def draw(rng: Generator, kind: str, height: int, width: int) -> tuple[Pixels, NDArray[np.bool_]]:
    """Draw one scan, (height, width) grey pixels, and the mask of its mass, empty for `normal`."""
    at = grid(height, width)
    echo = tissue(rng, at)
    mask = np.zeros(at.shape, bool)
    if kind != "normal":
        echo, mass = with_mass(rng, at, echo, malignant=kind == "malignant")
        mask = mass > 0.5
    depth = at.y + 1
    echo = echo * np.exp(-depth * np.float32(rng.uniform(0.2, 0.45)))
    # Half of the speckle is smoothed sideways: the beam is wider than the pulse is long.
    fine = rng.rayleigh(0.8, at.shape).astype(np.float32)
    coarse = np.hypot(noise(rng, at, (0.04, 0.07)), noise(rng, at, (0.04, 0.07))) * np.float32(0.7)
    speckle = 0.4 + 0.3 * fine + 0.3 * coarse
    compressed = np.log1p(6 * np.maximum(echo * speckle, 0)) / np.log1p(np.float32(6))
    return grey(compressed * np.float32(rng.uniform(0.88, 1.05))), mask


def tissue(rng: Generator, at: Grid) -> Array:
    """Echo strength of skin, fat, gland, muscle and chest wall, 0 to about 1."""
    waves = 0.03 * noise(rng, at, (2.0, 0.7))
    depth = at.y + 1 + waves
    fat, gland = rng.uniform(0.28, 0.45), rng.uniform(1.0, 1.35)
    strands = np.abs(noise(rng, at, (0.14, 0.7)) + 0.4 * noise(rng, at, (0.05, 0.3)))
    echo = np.float32(0.22) + 0.03 * noise(rng, at, (0.10, 0.4))
    echo = over(echo, 0.40 + 0.07 * noise(rng, at, (0.09, 0.3), 2), covered(depth - np.float32(fat), 0.15))
    muscle = 0.20 + 0.05 * noise(rng, at, (0.05, 1.2), 2)
    echo = over(echo, muscle, covered(depth - np.float32(gland + fat), 0.15))
    echo = echo + np.float32(rng.uniform(0.15, 0.4)) * covered(0.06 - strands, 0.2)
    echo = over(echo, 0.9, covered(np.float32(0.05) - depth, 0.04))
    for _ in range(rng.integers(1, 4)):  # lobules of fat, dark and oval as a mass may be
        centre = (rng.uniform(-0.8, 0.3), rng.uniform(-1, 1))
        lobule = blob(rng, at, centre, (rng.uniform(0.05, 0.14), rng.uniform(0.1, 0.3)), 0, 0.15, 0.08)
        echo = echo * (1 - np.float32(rng.uniform(0.2, 0.5)) * lobule)
    for _ in range(rng.integers(0, 2)):
        echo = echo * behind(at, rng.uniform(-1, 0.2), rng.uniform(-1, 1), rng.uniform(0.05, 0.2), 0.6)
    if chance(rng, 0.15):
        echo = echo * (1 - 0.7 * covered(depth - np.float32(rng.uniform(1.3, 1.8)), 0.3))
    return np.maximum(echo, 0.04)


def behind(at: Grid, top: float, centre: float, half_width: float, gain: float) -> Array:
    """Factor on the echo in the column below (`top`, `centre`), `gain` in its middle."""
    column = covered(np.float32(half_width) - np.abs(at.x - np.float32(centre)), 0.7 * half_width)
    return 1 + np.float32(gain - 1) * column * covered(at.y - np.float32(top), 0.15)


def with_mass(rng: Generator, at: Grid, echo: Array, malignant: bool) -> tuple[Array, Array]:
    """Paint a mass and the echo behind it; return also the coverage of the mass."""
    centre = (rng.uniform(-0.35, 0.05), rng.uniform(-0.3, 0.3))
    radius = rng.uniform(0.32, 0.48) if malignant else rng.uniform(0.24, 0.38)
    # Each sign of malignancy has exceptions, as in patients, so that no single sign determines the class.
    tall = rng.uniform(0.85, 1.35) if malignant else rng.uniform(0.55, 0.9)
    roughness = rng.uniform(0.09, 0.22) if malignant else rng.uniform(0.02, 0.1)
    edge = rng.uniform(0.03, 0.16) if malignant else rng.uniform(0.02, 0.06)
    lobes = int(rng.integers(7, 15)) if malignant else 4
    gain = rng.uniform(0.1, 0.35) if malignant else rng.uniform(1.4, 2.0)
    if chance(rng, 0.1):
        gain = rng.uniform(0.8, 1.1)
    radii = (radius * np.sqrt(tall), radius / np.sqrt(tall))
    echo = echo * behind(at, centre[0] + 0.6 * radii[0], centre[1], radii[1] * 0.95, gain)
    mass = blob(rng, at, centre, radii, rng.normal(0, 0.2), roughness, edge, lobes)
    if malignant and chance(rng, 0.5):
        halo = blob(rng, at, centre, (radii[0] * 1.25, radii[1] * 1.25), 0, roughness, 0.15, lobes)
        echo = echo + 0.12 * halo
    inner = rng.uniform(0.05, 0.16) * (1 + 0.35 * noise(rng, at, 0.15))
    return over(echo, np.maximum(inner, 0.02).astype(np.float32), mass), mass
