"""Drawn single cells: blood smears from benign to leukaemia, and cells of a cervical smear.

Blood: blasts grow in number, size, nucleus to cytoplasm ratio and looseness of chromatin from benign over
early and pre to pro. Cervix: superficial cells are wide with a tiny nucleus; parabasal ones small and round;
metaplastic ones polygonal; koilocytes have a halo and a dark, wrinkled nucleus; dyskeratotic ones are
crowded, small and orange.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from oncovec.data.phantoms.canvas import (
    Array,
    Grid,
    Pixels,
    blob,
    grey,
    grid,
    noise,
    over,
    scattered,
    stamped,
)


@dataclass(frozen=True)
class Blasts:
    """White cells of one stage: number, nuclear radius, cytoplasm to nucleus, roughness, darkness."""

    number: tuple[int, int]
    radius: float
    cell: float
    roughness: float
    darkness: float


BLASTS = {
    "all_benign": Blasts((1, 3), 0.14, 1.30, 0.03, 1.00),
    "all_early": Blasts((6, 10), 0.18, 1.15, 0.05, 0.95),
    "all_pre": Blasts((8, 14), 0.20, 1.18, 0.08, 0.95),
    "all_pro": Blasts((10, 17), 0.21, 1.10, 0.07, 1.05),
}


@dataclass(frozen=True)
class Squamous:
    """Cervical cells of one kind: number, cell and nuclear radius, border, darkness, halo, orange."""

    number: tuple[int, int]
    cell: float
    nucleus: float
    roughness: float
    darkness: float
    halo: float
    orange: float


SQUAMOUS = {
    "cervix_dyk": Squamous((6, 12), 0.40, 0.20, 0.12, 1.00, 0.0, 0.9),
    "cervix_koc": Squamous((2, 5), 0.68, 0.23, 0.10, 1.05, 0.8, 0.7),
    "cervix_mep": Squamous((1, 4), 0.48, 0.17, 0.09, 0.75, 0.0, 0.0),
    "cervix_pab": Squamous((1, 3), 0.48, 0.20, 0.04, 0.70, 0.0, 0.0),
    "cervix_sfi": Squamous((1, 3), 0.85, 0.10, 0.08, 0.85, 0.0, 0.10),
}

RED_CELL = np.array([0.72, 0.58, 0.60], np.float32)
BLAST = np.array([0.38, 0.24, 0.52], np.float32)
CYAN = np.array([0.52, 0.66, 0.72], np.float32)
ORANGE = np.array([0.80, 0.52, 0.50], np.float32)
NUCLEUS = np.array([0.26, 0.20, 0.38], np.float32)


def draw(rng: Generator, kind: str, size: int) -> Pixels:
    """Draw one field, (size, size, 3); `kind` is a key of `BLASTS` or of `SQUAMOUS`."""
    at = grid(size, size)
    tint = rng.normal(0, 0.025, 3).astype(np.float32)
    picture = blood(rng, at, BLASTS[kind]) if kind in BLASTS else cervix(rng, at, SQUAMOUS[kind])
    grain = rng.normal(0, 0.012, (*at.shape, 1)).astype(np.float32)
    return grey((picture + tint) * np.float32(rng.uniform(0.85, 1.08)) + grain)


def painted(picture: Array, colour: Array, coverage: Array, texture: Array | float = 1.0) -> Array:
    """A colour, dimmed by `texture`, painted over an RGB picture."""
    shade = np.broadcast_to(np.asarray(texture, np.float32), coverage.shape)
    return over(picture, colour * shade[..., None], coverage[..., None])


def blood(rng: Generator, at: Grid, blasts: Blasts) -> Array:
    """Red cells with a pale middle, and white cells with their nuclei."""
    paper = np.array([0.88, 0.84, 0.82], np.float32) + 0.015 * noise(rng, at, 0.8)[..., None]
    places = scattered(rng, at, 0.30)
    places = places[rng.random(len(places)) < rng.uniform(0.3, 0.85)]
    size = 0.115 * rng.lognormal(0, 0.06, len(places))
    round_ = rng.uniform(1, 1.1, len(places))
    cells, _ = stamped(rng, at, places, size, round_, 0.02)
    middle, _ = stamped(rng, at, places, 0.45 * size, round_, 0.0)
    picture = painted(paper, RED_CELL, cells * (1 - 0.5 * middle))
    centres = scattered(rng, at, 0.36, 0.6)
    centres = centres[np.abs(centres).max(axis=1) < 1.0][: rng.integers(*blasts.number)]
    radii = blasts.radius * rng.lognormal(0, 0.12, len(centres)) * rng.lognormal(0, 0.06)
    stretch = rng.uniform(1, 1.12, len(centres))
    body, _ = stamped(rng, at, centres, radii * blasts.cell, stretch, blasts.roughness)
    nuclei, _ = stamped(rng, at, centres, radii, stretch, blasts.roughness)
    chromatin = (1 + 0.10 * noise(rng, at, 0.07)) / np.float32(blasts.darkness * rng.lognormal(0, 0.12))
    picture = painted(picture, np.array([0.62, 0.55, 0.76], np.float32), body)
    return painted(picture, BLAST, nuclei, chromatin)


def cervix(rng: Generator, at: Grid, kind: Squamous) -> Array:
    """A cropped cell in the middle, further cells at the side, and debris."""
    hue = rng.beta(1, 3) * (1 - kind.orange) + kind.orange * rng.beta(3, 1)
    cytoplasm = CYAN + np.float32(hue) * (ORANGE - CYAN)
    picture = np.array([0.86, 0.82, 0.85], np.float32) + 0.02 * noise(rng, at, 0.6)[..., None]
    scale = rng.lognormal(0, 0.15)
    for number in range(rng.integers(*kind.number), -1, -1):
        away = rng.uniform(0.5, 1.3) if number else rng.uniform(0, 0.15)
        turn = rng.uniform(0, 2 * np.pi)
        picture = squamous(
            rng, at, kind, picture, cytoplasm, (away * np.sin(turn), away * np.cos(turn)), scale
        )
    debris = scattered(rng, at, 0.4)[: rng.integers(0, 10)]
    if len(debris):
        dots, _ = stamped(
            rng, at, debris, rng.uniform(0.02, 0.06, len(debris)), np.full(len(debris), 1.2), 0.1
        )
        picture = painted(picture, NUCLEUS * 1.5, dots * 0.7)
    return picture


def squamous(
    rng: Generator,
    at: Grid,
    kind: Squamous,
    picture: Array,
    cytoplasm: Array,
    centre: tuple[float, float],
    scale: float,
) -> Array:
    """One cell: folded cytoplasm, halo where the kind has one, nucleus."""
    cell = kind.cell * scale * rng.lognormal(0, 0.12)
    nucleus = kind.nucleus * scale * rng.lognormal(0, 0.15)
    turn = rng.uniform(0, np.pi)
    folds = 1 + 0.06 * noise(rng, at, 0.25, 2)
    body = blob(rng, at, centre, (cell, cell * rng.uniform(0.75, 1)), turn, kind.roughness * 1.2, 0.04, 6)
    picture = painted(picture, cytoplasm, body * np.float32(rng.uniform(0.7, 0.95)), folds)
    if kind.halo:
        halo = blob(rng, at, centre, (nucleus * 2.1, nucleus * 1.8), turn, 0.12, 0.08)
        picture = painted(picture, np.array([0.85, 0.83, 0.85], np.float32), halo * np.float32(kind.halo))
    core = blob(rng, at, centre, (nucleus, nucleus * rng.uniform(0.75, 1)), turn, kind.roughness, 0.02)
    chromatin = 1 / np.float32(kind.darkness * rng.lognormal(0, 0.12)) + 0.10 * noise(rng, at, 0.06)
    return painted(picture, NUCLEUS, core, chromatin)
