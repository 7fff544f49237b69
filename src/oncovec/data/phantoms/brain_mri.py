"""Drawn brain MRI slices: glioma, meningioma, pituitary adenoma or none.

The classes differ in the signs that a radiologist uses. A glioma is large, inside the brain, irregular and
ill-defined, with a bright oedema. A meningioma is round, well-defined, evenly bright and at the dura. A
pituitary adenoma is smaller and on the midline at the skull base. View, sequence, contrast and bias field
have the same distribution in every class.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from oncovec.data.phantoms.canvas import (
    Array,
    Grid,
    Pixels,
    band,
    blob,
    chance,
    covered,
    grey,
    grid,
    noise,
    over,
    turned,
)

KINDS = ("glioma", "meningioma", "notumor", "pituitary")


@dataclass(frozen=True)
class View:
    """Anatomy of a plane: centre (y, x) and radii of the brain, and position of the pituitary gland."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    ventricles: tuple[float, float]
    sella: tuple[float, float]
    below: str


VIEWS = (
    View((0.0, 0.0), (0.78, 0.62), (-0.02, 0.0), (-0.22, 0.0), "nothing"),
    View((-0.18, 0.0), (0.58, 0.62), (-0.22, 0.0), (0.28, 0.0), "neck"),
    View((-0.22, 0.05), (0.54, 0.72), (-0.22, 0.05), (0.24, -0.12), "face"),
)


@dataclass(frozen=True)
class Sequence:
    """Brightness of tissues in one kind of scan."""

    white: float
    grey: float
    fluid: float
    scalp: float
    oedema: float
    enhanced: float


SEQUENCES = (
    Sequence(0.42, 0.33, 0.12, 0.75, 0.66, 0.85),
    Sequence(0.46, 0.37, 0.10, 0.80, 0.68, 0.85),
    Sequence(0.32, 0.42, 0.80, 0.55, 0.74, 0.80),
)


def draw(rng: Generator, kind: str, size: int) -> Pixels:
    """Draw one slice, (size, size) grey pixels; `kind` is one of `KINDS`."""
    at = turned(grid(size, size), rng.normal(0, 0.05), tuple(rng.normal(0, 0.02, 2)))
    view = VIEWS[rng.choice(3, p=[0.7, 0.2, 0.1])]
    if view.below == "face" and chance(rng, 0.3):
        at = Grid(at.y, -at.x, at.pixel)
    scan = SEQUENCES[rng.choice(3, p=[0.6, 0.3, 0.1])]
    level = rng.uniform(0.9, 1.0)
    radii = (view.radii[0] * level * rng.uniform(0.94, 1.06), view.radii[1] * level * rng.uniform(0.94, 1.06))
    picture = head(rng, at, view, radii, scan)
    picture, inside = brain(rng, at, view, radii, scan, picture)
    if kind != "notumor":
        picture = tumour(rng, at, view, radii, scan, kind, picture, inside)
    return exposed(rng, at, picture)


def head(rng: Generator, at: Grid, view: View, radii: tuple[float, float], scan: Sequence) -> Array:
    """Paint scalp, skull and the structures below the brain in this view."""
    (cy, cx), (ry, rx) = view.centre, radii
    picture = np.zeros(at.shape, np.float32)
    if view.below != "nothing":
        shift = 0.0 if view.below == "neck" else -0.3
        depth = 0.62 if view.below == "neck" else 0.5
        flesh = blob(rng, at, (0.55, cx + shift), (depth, 0.52), roughness=0.08, edge=0.06)
        marrow = 0.45 + 0.25 * noise(rng, at, (0.16, 0.2), 2)
        picture = over(picture, np.clip(marrow, 0.03, 0.9) * np.float32(scan.scalp), flesh)
    outer = blob(rng, at, (cy, cx), (ry + 0.15, rx + 0.15), roughness=0.015)
    skull = blob(rng, at, (cy, cx), (ry + 0.09, rx + 0.09))
    picture = over(picture, float(scan.scalp * rng.uniform(0.6, 1.1)), outer)
    return over(picture, 0.06, skull)


def brain(
    rng: Generator, at: Grid, view: View, radii: tuple[float, float], scan: Sequence, picture: Array
) -> tuple[Array, Array]:
    """Cortex with gyri, white matter, ventricles and midline; also the coverage of the brain."""
    (cy, cx), (ry, rx) = view.centre, radii
    inside = blob(rng, at, view.centre, radii, roughness=0.02)
    depth = 1 - np.hypot((at.y - cy) / ry, (at.x - cx) / rx)
    folds = noise(rng, at, 0.17)
    core = covered(depth + 0.10 * folds - np.float32(0.3), 0.15)
    tissue = over(np.full(at.shape, scan.grey, np.float32), float(scan.white), core)
    sulci = band(folds, 0.45, at.pixel) * covered(np.float32(0.28) - depth, 0.2)
    tissue = over(tissue, float(scan.fluid), 0.8 * sulci)
    vy, vx = view.ventricles
    length, width, lean = rng.uniform(0.14, 0.30), rng.uniform(0.03, 0.09), rng.uniform(-0.15, 0.35)
    for side in (-1, 1):
        if view.below == "face":
            horn = blob(rng, at, (vy - 0.02, vx + 0.1 * side), (width, length), 0.35 * side, 0.07)
        else:
            horn = blob(rng, at, (vy, vx + side * (width + 0.05)), (length, width), side * lean, 0.07)
        tissue = over(tissue, float(scan.fluid), horn)
    if view.below != "face":
        falx = band(at.x - cx + 0.01 * noise(rng, at, 0.5), 0.02, at.pixel) * covered(0.4 - depth, 0.2)
        tissue = over(tissue, float(scan.fluid), 0.7 * falx)
    for _ in range(rng.integers(1, 4)):  # vessels and sinuses, so that a bright spot alone proves nothing
        turn, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.97)
        spot = (cy + ry * out * np.sin(turn), cx + rx * out * np.cos(turn))
        vessel = blob(rng, at, spot, tuple(rng.uniform(0.015, 0.05, 2)), turn)
        tissue = over(tissue, float(rng.uniform(0.5, 1) * scan.enhanced), vessel)
    return over(picture, tissue, inside), inside


def tumour(
    rng: Generator,
    at: Grid,
    view: View,
    radii: tuple[float, float],
    scan: Sequence,
    kind: str,
    picture: Array,
    inside: Array,
) -> Array:
    """Paint one tumour with the position and margin of its kind."""
    (cy, cx), (ry, rx) = view.centre, radii
    turn = rng.uniform(0, 2 * np.pi)
    bright = float(scan.enhanced * rng.uniform(1.0, 1.2))
    if kind == "glioma":
        out, radius = rng.uniform(0.15, 0.4), rng.uniform(0.30, 0.44)
        centre = (cy + ry * out * np.sin(turn), cx + rx * out * np.cos(turn))
        oedema = blob(rng, at, centre, (radius * 1.7, radius * 1.4), turn, 0.35, 0.15) * inside
        picture = over(picture, scan.oedema, 0.8 * oedema)
        mass = blob(rng, at, centre, (radius, radius * 0.85), turn, 0.3, 0.1)
        patchy = np.clip(0.8 + 0.3 * noise(rng, at, 0.2), 0, 1) * np.float32(bright)
        picture = over(picture, patchy, 0.9 * mass * inside)
        if chance(rng, 0.3):
            necrosis = blob(rng, at, centre, (radius * 0.55, radius * 0.5), turn, 0.3, 0.06)
            picture = over(picture, 0.15, 0.9 * necrosis)
        return picture
    if kind == "meningioma":
        radius = rng.uniform(0.22, 0.32)
        out = 1 - 0.85 * radius / min(ry, rx)
        centre = (cy + ry * out * np.sin(turn), cx + rx * out * np.cos(turn))
        mass = blob(rng, at, centre, (radius, radius * rng.uniform(0.8, 1.1)), turn, 0.06)
        even = bright * (0.92 + 0.05 * noise(rng, at, 0.1))
        return over(picture, even, mass * inside)
    radius = rng.uniform(0.18, 0.26)
    centre = (view.sella[0] + rng.normal(0, 0.03), view.sella[1] + rng.normal(0, 0.02))
    mass = blob(rng, at, centre, (radius * rng.uniform(0.9, 1.3), radius), 0.0, 0.1)
    return over(picture, bright * (0.9 + 0.06 * noise(rng, at, 0.1)), mass)


def exposed(rng: Generator, at: Grid, picture: Array) -> Pixels:
    """Apply coil bias, Rician noise and the operator's window."""
    bias = 1 + rng.uniform(0.03, 0.15) * noise(rng, at, 1.2)
    level = rng.uniform(0.01, 0.035)
    real, imaginary = rng.normal(0, level, (2, *at.shape)).astype(np.float32)
    magnitude = np.hypot(picture * bias + real, imaginary)
    return grey(magnitude ** np.float32(rng.uniform(0.88, 1.12)) * np.float32(rng.uniform(0.85, 1.05)))
