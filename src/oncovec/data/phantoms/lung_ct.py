"""Drawn chest CT slices: benign nodule, malignant mass or none.

Benign: a small, round, smooth nodule, often calcified. Malignant: larger, lobed and spiculated, often
touching the pleura. Vessels of every class look like small nodules in cross-section.
"""

import numpy as np
from numpy.random import Generator

from oncovec.data.phantoms.canvas import (
    Array,
    Grid,
    Pixels,
    blob,
    chance,
    covered,
    grey,
    grid,
    noise,
    over,
    stamped,
    turned,
)

KINDS = ("benign", "malignant", "normal")


def draw(rng: Generator, kind: str, size: int) -> Pixels:
    """Draw one slice, (size, size) grey pixels; `kind` is one of `KINDS`."""
    at = turned(grid(size, size), rng.normal(0, 0.03), (rng.normal(0.05, 0.04), rng.normal(0, 0.03)))
    radii = (rng.uniform(0.50, 0.66), rng.uniform(0.74, 0.90))
    air = rng.uniform(0.10, 0.22)
    picture = couch(rng, at, radii)
    picture = thorax(rng, at, radii, picture)
    picture, lungs = with_lungs(rng, at, radii, air, picture)
    if kind != "normal":
        picture = with_nodule(rng, at, radii, lungs, picture, malignant=kind == "malignant")
    picture = picture + rng.normal(0, rng.uniform(0.01, 0.05), at.shape).astype(np.float32) * (picture > 0.05)
    return grey(picture * np.float32(rng.uniform(0.9, 1.08)))


def couch(rng: Generator, at: Grid, radii: tuple[float, float]) -> Array:
    """The table below the patient: a thin bright arc."""
    arc = at.y - (radii[0] + rng.uniform(0.06, 0.2)) + rng.uniform(-0.05, 0.25) * at.x**2
    within = covered(np.float32(rng.uniform(0.008, 0.03)) - np.abs(arc), 1.5 * at.pixel)
    reaches = np.abs(at.x - rng.normal(0, 0.05)) < rng.uniform(0.55, 0.95)
    table: Array = np.float32(rng.uniform(0.3, 0.7)) * within * reaches
    return table


def thorax(rng: Generator, at: Grid, radii: tuple[float, float], picture: Array) -> Array:
    """Skin, fat and muscle, ribs and spine."""
    body = blob(rng, at, (0, 0), radii, roughness=rng.uniform(0.02, 0.07))
    wall = rng.uniform(0.80, 0.95, 2)
    muscle = blob(rng, at, (0.01, 0), (radii[0] * wall[0], radii[1] * wall[1]), roughness=0.04)
    picture = over(picture, float(rng.uniform(0.22, 0.38)), body)
    picture = over(picture, 0.52 + 0.02 * noise(rng, at, 0.08), muscle)
    first = rng.uniform(0, 0.5)
    for turn in np.arange(first, first + 2 * np.pi, rng.uniform(0.45, 0.62)):
        spot = (0.84 * radii[0] * np.sin(turn), 0.84 * radii[1] * np.cos(turn))
        rib = blob(rng, at, spot, (0.022, rng.uniform(0.05, 0.1)), np.pi / 2 - turn, 0.05)
        picture = over(picture, 0.88, rib)
    # The spine of another patient, at another height: other sizes, another place, another shape.
    size, aside = rng.uniform(0.7, 1.4), rng.normal(0, 0.04)
    place = radii[0] * rng.uniform(0.48, 0.62)
    vertebra = blob(rng, at, (place, aside), (0.10 * size, 0.12 * size), roughness=0.12)
    back = place + 0.14 * size
    arch = blob(rng, at, (back, aside), (0.11 * size, rng.uniform(0.03, 0.08)), rng.normal(0, 0.3), 0.3)
    picture = over(picture, 0.85, np.maximum(vertebra, arch))
    return over(picture, 0.5, blob(rng, at, (back - 0.05, aside), (0.03 * size, 0.04)))


def with_lungs(
    rng: Generator, at: Grid, radii: tuple[float, float], air: float, picture: Array
) -> tuple[Array, list[tuple[float, float, float, float]]]:
    """Two lungs with vessels, and the heart between them; also centre and radii of each lung."""
    lungs = []
    inside = np.zeros(at.shape, np.float32)
    heart = (rng.uniform(-0.2, 0.1), rng.uniform(0, 0.12))
    for side in (-1, 1):
        ry, rx = radii[0] * rng.uniform(0.64, 0.74), radii[1] * rng.uniform(0.30, 0.36)
        centre = (rng.normal(-0.02, 0.02), side * radii[1] * 0.44)
        lungs.append((*centre, ry, rx))
        inside = np.maximum(inside, blob(rng, at, centre, (ry, rx), side * 0.12, 0.05))
    size = rng.uniform(0.14, 0.26)
    inside = inside * (1 - blob(rng, at, heart, (size * 1.1, size), 0.5, 0.08))
    inner = air + 0.02 * noise(rng, at, 0.5)
    for centre_y, centre_x, ry, rx in lungs:
        inner = np.maximum(inner, vessels(rng, at, (centre_y, centre_x * 0.72), (ry, rx)))
    return over(picture, inner, inside), lungs


def vessels(rng: Generator, at: Grid, hilum: tuple[float, float], radii: tuple[float, float]) -> Array:
    """Vessels that leave the hilum and thin out; some are cut across and show as dots."""
    picture = np.zeros(at.shape, np.float32)
    for turn in rng.uniform(0, 2 * np.pi, rng.integers(5, 9)):
        local = turned(at, turn, hilum)
        bend = rng.normal(0, 0.25)
        distance = np.abs(local.x - bend * local.y * np.abs(local.y))
        width = np.float32(0.028) * (1.2 - np.abs(local.y) / np.float32(2 * radii[1]))
        branch = (
            covered(width - distance, 2 * at.pixel)
            * (local.y > 0)
            * (local.y < rng.uniform(0.5, 1.6) * radii[1])
        )
        picture = np.maximum(picture, np.float32(rng.uniform(0.3, 0.5)) * branch)
    count = rng.integers(3, 8)
    spots = np.array(hilum) + rng.uniform(-0.8, 0.8, (count, 2)) * radii
    dots, _ = stamped(rng, at, spots, rng.uniform(0.015, 0.04, count), rng.uniform(1, 1.3, count), 0.1)
    all_vessels: Array = np.maximum(picture, np.float32(rng.uniform(0.3, 0.55)) * dots)
    return all_vessels


def with_nodule(
    rng: Generator,
    at: Grid,
    radii: tuple[float, float],
    lungs: list[tuple[float, float, float, float]],
    picture: Array,
    malignant: bool,
) -> Array:
    """Paint one nodule or mass into one of the lungs."""
    cy, cx, ry, rx = lungs[rng.integers(2)]
    turn = rng.uniform(0, 2 * np.pi)
    out = rng.uniform(0.2, 0.7) if malignant else rng.uniform(0.1, 0.5)
    centre = (cy + ry * out * np.sin(turn), cx + rx * out * np.cos(turn))
    if malignant:
        radius = rng.uniform(0.22, 0.34)
        mass = blob(rng, at, centre, (radius, radius * rng.uniform(0.7, 1.0)), turn, 0.2, 0.03, 6)
        spicules = blob(rng, at, centre, (radius * 1.15, radius), turn, 0.35, 0.03, 16)
        chest = covered(1 - np.hypot(at.y / radii[0], at.x / radii[1]), 0.06)  # it may reach the wall
        picture = over(picture, 0.7, np.maximum(mass, 0.8 * spicules) * chest)
        if chance(rng, 0.25):
            picture = over(picture, 0.2, blob(rng, at, centre, (radius * 0.4, radius * 0.35), turn, 0.2))
        return picture
    radius = rng.uniform(0.14, 0.19)
    nodule = blob(rng, at, centre, (radius, radius * rng.uniform(0.88, 1.0)), turn, 0.03)
    picture = over(picture, float(rng.uniform(0.48, 0.6)), nodule)
    if chance(rng, 0.7):
        picture = over(picture, 0.9, blob(rng, at, centre, (radius * 0.7, radius * 0.7)))
    return picture
