"""Architectures of drawn tissues: the places of stroma, lumen and cells."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from oncovec.data.phantoms.canvas import Array, Grid, band, covered, noise, over, scattered


@dataclass(frozen=True)
class Ground:
    """Maps of a tissue, 0 to 1: eosin of the stroma, empty lumen, and places of cells and their crowding."""

    eosin: Array
    lumen: Array
    cells: Array


def cellular(
    rng: Generator, at: Grid, spacing: float, disorder: float
) -> tuple[Array, Array, NDArray[np.intp]]:
    """Distances to the nearest and second nearest of scattered centres, and which one is nearest."""
    centres = scattered(rng, at, spacing, 0.3 + disorder).astype(np.float32)
    warp = [np.float32(spacing * disorder * 0.35) * noise(rng, at, 0.5 * spacing) for _ in range(2)]
    squared = np.full((2, *at.shape), np.inf, np.float32)
    nearest = np.zeros(at.shape, np.intp)
    y, x = at.y + warp[0], at.x + warp[1]
    for number, (cy, cx) in enumerate(centres):
        distance = (y - cy) ** 2 + (x - cx) ** 2
        closer = distance < squared[0]
        squared[1] = np.where(closer, squared[0], np.minimum(squared[1], distance))
        squared[0] = np.where(closer, distance, squared[0])
        nearest[closer] = number
    first, second = np.sqrt(squared)
    return first, second, nearest


def fibres(rng: Generator, at: Grid, disorder: float) -> Array:
    """Eosin of stroma: wavy bundles."""
    return np.clip(
        0.75 + 0.2 * noise(rng, at, (0.08, 0.6), 2) + 0.1 * disorder * noise(rng, at, 0.1), 0.2, 1.4
    )


def rings(
    rng: Generator, at: Grid, scale: float, disorder: float, lumen: float, wall: float, goblets: float = 0.0
) -> Ground:
    """Round structures with a lumen and a wall of cells, in stroma; sizes as shares of their spacing."""
    first, _, nearest = cellular(rng, at, scale, disorder)
    size = rng.lognormal(0, 0.1 + 0.5 * disorder, nearest.max() + 1).astype(np.float32)[nearest]
    radius = first / (np.float32(scale) * size)
    hollow = covered(np.float32(lumen) - radius, 0.06)
    cells = covered(np.float32(lumen + wall) - radius, 0.06) * (1 - hollow)
    eosin = over(fibres(rng, at, disorder), 0.8, cells)
    if goblets:
        mucus = covered(noise(rng, at, 0.12) - np.float32(1 - goblets), 0.3) * cells
        inner = covered(np.float32(lumen + 0.6 * wall) - radius, 0.05)
        hollow = np.maximum(hollow, 0.75 * mucus * inner)
        cells = np.clip(cells - 0.8 * inner, 0, 1)
    return Ground(eosin, hollow, cells)


def glands(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Crypts with goblet cells; these are lost as disorder grows."""
    return rings(rng, at, scale, disorder, 0.15 + 0.12 * disorder, 0.26, goblets=max(0.0, 0.7 - 2 * disorder))


def ducts(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Few ducts with a thin wall in much fibrous stroma."""
    return rings(rng, at, scale, disorder, 0.16, 0.14)


def tubules(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Packed tubules with small lumina."""
    return rings(rng, at, scale, disorder, 0.14, 0.30)


def alveoli(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Air spaces between thin walls."""
    first, second, _ = cellular(rng, at, scale, 0.4 + disorder)
    wall = covered(np.float32(rng.uniform(0.07, 0.16)) - (second - first), 0.05)
    return Ground(fibres(rng, at, disorder) * wall, 1 - wall, 0.9 * wall)


def clear(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Clear cells: pale bodies, thin borders, a nucleus in each."""
    first, second, _ = cellular(rng, at, scale, 0.2 + disorder)
    border = covered(np.float32(0.02) - (second - first), 0.04)
    body = np.float32(rng.uniform(0.45, 0.8))
    core = covered(np.float32(0.25 * scale) - first, 0.05)
    return Ground(np.maximum(border, body), 0.1 * (1 - border), core)


def sheet(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Cells everywhere, crossed by a few strands and gaps."""
    strands = band(noise(rng, at, scale), 0.35 * disorder, at.pixel)
    gaps = covered(noise(rng, at, 0.4 * scale) - np.float32(2.1 - disorder), 0.3)
    eosin = np.clip(0.6 + 0.15 * noise(rng, at, 0.2, 2) + 0.5 * strands, 0.1, 1.4)
    return Ground(eosin, 0.8 * gaps, np.clip(1 - strands - gaps, 0, 1))


def follicles(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Round, paler follicles among densely packed cells."""
    first, _, _ = cellular(rng, at, scale, disorder)
    inside = covered(np.float32(0.42 * scale) - first, 0.1)
    mantle = band(first - np.float32(0.46 * scale), 0.10, at.pixel)
    eosin = np.clip(0.6 + 0.4 * inside + 0.1 * noise(rng, at, 0.2), 0.1, 1.4)
    return Ground(eosin, 0.1 * inside, np.clip(0.95 - 0.45 * inside + 0.3 * mantle, 0, 1))


def strata(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Layers of squamous epithelium: keratin, pale cells, a crowded basal layer, then stroma."""
    depth = at.y + np.float32(rng.uniform(-0.3, 0.3)) + np.float32(0.2) * noise(rng, at, scale)
    keratin = covered(np.float32(-0.6) - depth, 0.15)
    basal = band(depth - np.float32(0.35), 0.16, at.pixel)
    stroma = covered(depth - np.float32(0.48), 0.1)
    eosin = over(np.full(at.shape, 0.6, np.float32), fibres(rng, at, disorder), stroma)
    crowd = np.clip(0.3 + 0.4 * (depth + 0.6), 0, 0.7) * (1 - stroma) * (1 - keratin)
    return Ground(eosin + 0.6 * keratin, np.zeros(at.shape, np.float32), np.maximum(crowd, basal))


def nests(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Solid nests of cells that invade fibrous stroma."""
    inside = covered(noise(rng, at, scale, 2) + np.float32(rng.uniform(-0.2, 0.6)), 0.4)
    return Ground(over(fibres(rng, at, disorder), 0.7, inside), np.zeros(at.shape, np.float32), inside)


def pearls(rng: Generator, at: Grid, scale: float, disorder: float) -> Ground:
    """Nests with whorls of keratin."""
    ground = nests(rng, at, scale, disorder)
    first, _, _ = cellular(rng, at, 1.2, 0.6)
    size = np.float32(rng.uniform(0.1, 0.35))
    pearl = covered(size - first, 0.08)
    whorl = (1.0 + 0.3 * np.sin(first * 60)).astype(np.float32)
    return Ground(over(ground.eosin, whorl, pearl), ground.lumen, ground.cells * (1 - pearl))


ARCHITECTURES: dict[str, Callable[[Generator, Grid, float, float], Ground]] = {
    "alveoli": alveoli,
    "clear": clear,
    "ducts": ducts,
    "follicles": follicles,
    "glands": glands,
    "nests": nests,
    "pearls": pearls,
    "sheet": sheet,
    "strata": strata,
    "tubules": tubules,
}
