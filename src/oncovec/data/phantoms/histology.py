"""Drawn sections stained with haematoxylin and eosin: 18 tissues of nine organs, and lymph node patches.

A tissue has an architecture (glands, air spaces, sheets, follicles, strata, nests), which sets the places of
stroma, lumen and cells, and nuclei that fill it. Benign and malignant differ in the signs that a pathologist
uses: order of the architecture, and number, size, spread of sizes, shape and darkness of the nuclei.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from oncovec.data.phantoms.architectures import ARCHITECTURES
from oncovec.data.phantoms.canvas import (
    Array,
    Grid,
    Pixels,
    Stain,
    grid,
    noise,
    over,
    sampled,
    scattered,
    stain,
    stained,
    stamped,
    turned,
)


@dataclass(frozen=True)
class Nuclei:
    """A population of nuclei; lengths as shares of half the picture's side."""

    radius: float
    spread: float
    """Deviation of the logarithm of the radius: pleomorphism."""
    roughness: float
    elongation: float
    darkness: float
    """Amount of haematoxylin, 1 for an ordinary nucleus: hyperchromasia."""
    crowding: float
    """Share of possible places that have a nucleus, 0 to 1."""


CALM = Nuclei(0.050, 0.10, 0.04, 1.10, 0.85, 0.55)
PALE = Nuclei(0.060, 0.10, 0.04, 1.05, 0.75, 0.45)
SMALL = Nuclei(0.045, 0.08, 0.03, 1.03, 1.45, 0.95)
CLEFT = Nuclei(0.052, 0.16, 0.10, 1.12, 1.35, 0.92)
EVEN = Nuclei(0.052, 0.11, 0.07, 1.06, 1.30, 0.92)
WILD = Nuclei(0.090, 0.28, 0.11, 1.15, 1.70, 1.00)
ROUGH = Nuclei(0.095, 0.24, 0.09, 1.22, 1.60, 1.00)
CLEAR = Nuclei(0.080, 0.18, 0.06, 1.03, 1.70, 0.95)
SPINDLE = Nuclei(0.040, 0.15, 0.03, 1.60, 1.10, 0.14)


@dataclass(frozen=True)
class Tissue:
    """One class of sections: its architecture, the architecture's scale and disorder, and its nuclei."""

    architecture: str
    scale: float
    disorder: float
    nuclei: Nuclei
    eosin: float


STAINS = {
    "breast": ((0.65, 0.70, 0.29), (0.06, 0.75, 0.50)),
    "colon": ((0.75, 0.85, 0.20), (0.22, 0.95, 0.22)),
    "kidney": ((0.60, 0.62, 0.45), (0.06, 0.55, 0.55)),
    "lung": ((0.80, 0.60, 0.22), (0.16, 1.10, 0.28)),
    "lymph": ((0.95, 0.70, 0.15), (0.40, 0.80, 0.12)),
    "oral": ((0.60, 0.75, 0.35), (0.08, 1.30, 0.75)),
}
"""Absorbance (red, green, blue) of haematoxylin and of eosin for each organ.

The published set is made of sets of several laboratories, which stain and scan in their own way."""

TISSUES = {
    "breast_benign": Tissue("ducts", 0.65, 0.12, CALM, 0.80),
    "breast_malignant": Tissue("nests", 0.45, 0.50, WILD, 0.70),
    "colon_aca": Tissue("glands", 0.80, 0.40, ROUGH, 0.60),
    "colon_bnt": Tissue("glands", 0.70, 0.06, CALM, 0.60),
    "kidney_normal": Tissue("tubules", 0.48, 0.08, CALM, 0.85),
    "kidney_tumor": Tissue("clear", 0.26, 0.25, CLEAR, 0.85),
    "lung_aca": Tissue("glands", 0.95, 0.50, WILD, 0.65),
    "lung_bnt": Tissue("alveoli", 0.75, 0.15, CALM, 0.80),
    "lung_scc": Tissue("sheet", 0.50, 0.40, ROUGH, 0.70),
    "lymph_cll": Tissue("sheet", 0.80, 0.10, SMALL, 0.35),
    "lymph_fl": Tissue("follicles", 0.90, 0.15, CLEFT, 0.40),
    "lymph_mcl": Tissue("sheet", 0.60, 0.25, EVEN, 0.40),
    "oral_normal": Tissue("strata", 0.60, 0.10, PALE, 0.85),
    "oral_scc": Tissue("pearls", 0.60, 0.50, ROUGH, 0.90),
}


def draw(rng: Generator, kind: str, size: int) -> Pixels:
    """Draw one section, (size, size, 3); `kind` is a key of `TISSUES`."""
    tissue = TISSUES[kind]
    at = turned(grid(size, size), rng.uniform(0, 2 * np.pi))
    flat = grid(size, size)
    zoom = rng.lognormal(0, 0.12)
    ground = ARCHITECTURES[tissue.architecture](rng, at, tissue.scale * zoom, tissue.disorder)
    haematoxylin = 0.06 + 0.03 * noise(rng, flat, 0.4)
    eosin = np.float32(tissue.eosin * rng.lognormal(0, 0.15)) * ground.eosin
    nuclei = varied(rng, tissue.nuclei, zoom)
    haematoxylin, eosin = with_nuclei(rng, flat, haematoxylin, eosin, nuclei, ground.cells)
    stroma = np.clip(1 - 2 * ground.cells - ground.lumen, 0, 1)
    haematoxylin, eosin = with_nuclei(rng, flat, haematoxylin, eosin, varied(rng, SPINDLE, zoom), stroma)
    empty = 1 - np.float32(0.95) * ground.lumen
    section = finished(rng, stain(rng, 0.4, STAINS[kind.split("_")[0]]), haematoxylin * empty, eosin * empty)
    return np.ascontiguousarray(np.rot90(section, int(rng.integers(4))))


def varied(rng: Generator, nuclei: Nuclei, zoom: float = 1.0) -> Nuclei:
    """Draw the population of one patient; grades differ, so benign and malignant overlap."""
    return Nuclei(
        nuclei.radius * zoom * rng.lognormal(0, 0.12),
        nuclei.spread * rng.uniform(0.6, 1.4),
        nuclei.roughness * rng.uniform(0.5, 1.5),
        nuclei.elongation,
        nuclei.darkness * rng.lognormal(0, 0.15),
        nuclei.crowding * rng.uniform(0.7, 1.1),
    )


def finished(rng: Generator, slide: Stain, haematoxylin: Array, eosin: Array) -> Pixels:
    """Return RGB pixels with camera noise, which is added to the absorbance."""
    grain = rng.normal(0, 0.02, haematoxylin.shape).astype(np.float32)
    return stained(slide, haematoxylin + grain, eosin + grain)


def with_nuclei(
    rng: Generator,
    at: Grid,
    haematoxylin: Array,
    eosin: Array,
    nuclei: Nuclei,
    places: Array,
) -> tuple[Array, Array]:
    """Paint nuclei where `places` (0 to 1) allows them."""
    points = scattered(rng, at, 1.85 * nuclei.radius)
    points = points[rng.random(len(points)) < nuclei.crowding * sampled(places, at, points)]
    return with_nuclei_at(rng, at, haematoxylin, eosin, nuclei, points)


def with_nuclei_at(
    rng: Generator,
    at: Grid,
    haematoxylin: Array,
    eosin: Array,
    nuclei: Nuclei,
    points: NDArray[np.float64],
) -> tuple[Array, Array]:
    """Paint nuclei with chromatin texture and a dark rim at `points` (N, 2)."""
    count = len(points)
    if count == 0:
        return haematoxylin, eosin
    radii = nuclei.radius * np.clip(rng.lognormal(0, nuclei.spread, count), 0.6, 1.7)
    elongation = np.clip(nuclei.elongation * rng.lognormal(0, 0.06, count), 1.0, 1.8)
    coverage, owner = stamped(rng, at, points, radii, elongation, nuclei.roughness)
    darkness = nuclei.darkness * rng.lognormal(0, 0.12 + 0.5 * nuclei.spread, count)
    chromatin = 1 + (0.08 + 1.2 * nuclei.roughness) * noise(rng, at, 0.5 * nuclei.radius)
    inside = darkness.astype(np.float32)[owner] * chromatin
    return over(haematoxylin, inside, coverage), over(eosin, np.float32(0.3) * eosin + 0.1, coverage)
