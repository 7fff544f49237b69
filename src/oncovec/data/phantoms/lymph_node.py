"""Drawn patches of lymph node sections: metastasis or none in the centre third, anything around it.

As in PatchCamelyon (Veeling et al. 2018), the label depends only on the centre. The surroundings do not
depend on the label: nuclei of the centre stay inside the centre, and the other nuclei stay outside.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from oncovec.data.phantoms.canvas import Grid, Pixels, Stain, chance, covered, grid, noise, scattered
from oncovec.data.phantoms.histology import Nuclei, finished, varied, with_nuclei_at

LYMPHOCYTE = Nuclei(0.055, 0.12, 0.04, 1.05, 0.90, 0.60)
STROMAL = Nuclei(0.070, 0.15, 0.05, 1.45, 0.95, 0.30)
TUMOUR = Nuclei(0.125, 0.25, 0.11, 1.12, 2.50, 1.00)

CENTRE = 1 / 3
"""Half the side of the centre, in halves of the patch's side."""


def draw(rng: Generator, slide: Stain, tumour: bool, size: int) -> Pixels:
    """Draw one patch, (size, size, 3); pixels outside the centre third do not depend on `tumour`."""
    around, centre, camera = rng.spawn(3)
    at = grid(size, size)
    haematoxylin = 0.10 + 0.04 * noise(around, at, 0.3)
    eosin = np.clip(around.uniform(0.40, 0.65) + 0.12 * noise(around, at, (0.12, 0.3), 2), 0.1, 1.2)
    gaps = 0.9 * covered(noise(around, at, 0.35) - np.float32(around.uniform(1.3, 3)), 0.2)
    inside = np.maximum(np.abs(at.y), np.abs(at.x)) < CENTRE
    gaps = gaps * ~inside  # the label is of tissue
    for region, is_tumour, where in (
        (around, chance(around, 0.10), ~inside),
        (centre, tumour, inside),
    ):
        for nuclei, share in mixture(region, is_tumour):
            points = places(region, at, nuclei, share, where is inside)
            painted = with_nuclei_at(region, at, haematoxylin, eosin, nuclei, points)
            haematoxylin, eosin = np.where(where, painted, (haematoxylin, eosin))
    return finished(camera, slide, haematoxylin * (1 - gaps), eosin * (1 - gaps))


def mixture(rng: Generator, tumour: bool) -> list[tuple[Nuclei, float]]:
    """Draw populations of nuclei and their densities; a metastasis may be small, a node reactive."""
    if tumour:
        share = rng.uniform(0.1, 0.3) if chance(rng, 0.08) else rng.uniform(0.7, 1)
        return [(varied(rng, LYMPHOCYTE), rng.uniform(0, 0.2)), (varied(rng, TUMOUR), share)]
    kind = LYMPHOCYTE if chance(rng, 0.65) else STROMAL
    large = Nuclei(0.090, 0.15, 0.05, 1.08, 1.0, 0.5)  # germinal centres have large nuclei, too
    germinal = rng.uniform(0.8, 1) if chance(rng, 0.08) else rng.uniform(0, 0.25)
    return [(varied(rng, large), germinal), (varied(rng, kind), rng.uniform(0.2, 0.7))]


def places(rng: Generator, at: Grid, nuclei: Nuclei, share: float, inside: bool) -> NDArray[np.float64]:
    """Return positions of nuclei inside, or outside, the centre; at least one."""
    points = scattered(rng, at, 1.5 * nuclei.radius)
    margin = 0.9 * nuclei.radius
    away = np.abs(points).max(axis=1)
    allowed = away < CENTRE - margin if inside else away > CENTRE + margin
    count = max(1, round(allowed.sum() * 0.8 * share * nuclei.crowding))
    chosen: NDArray[np.float64] = points[allowed][:count]
    return chosen
