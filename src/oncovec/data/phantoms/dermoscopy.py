"""Drawn dermoscopy: a naevus or a melanoma on skin, after the ABCD rule (Stolz et al. 1994).

A naevus is symmetric, smooth-bordered, even in colour and small; a melanoma asymmetric, irregular, darker,
of several colours and larger. Both overlap: there are large, mottled naevi and small, regular melanomas.
Skin, hair, vignette and ruler depend on the patient or the picture, never on the class.
"""

from dataclasses import dataclass

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
    turned,
)

SKIN = np.array([0.86, 0.68, 0.60], np.float32)
LIGHT_BROWN = np.array([0.66, 0.45, 0.34], np.float32)
DARK_BROWN = np.array([0.38, 0.24, 0.19], np.float32)
BLACK = np.array([0.16, 0.11, 0.11], np.float32)
BLUE_GREY = np.array([0.44, 0.46, 0.53], np.float32)
RED = np.array([0.74, 0.36, 0.34], np.float32)
WHITE = np.array([0.88, 0.80, 0.76], np.float32)


@dataclass(frozen=True)
class Patient:
    """Appearance that the images of one patient share: skin, its roughness, hair, and colour of the naevi."""

    skin: Array
    texture: float
    hair: float
    brown: float


def patient(rng: Generator) -> Patient:
    """Draw a patient."""
    skin = SKIN * rng.normal(1, 0.03, 3) * rng.uniform(0.92, 1.05)
    return Patient(skin.astype(np.float32), rng.uniform(0.01, 0.035), rng.beta(0.5, 2.5), rng.uniform(0, 0.5))


def draw(rng: Generator, who: Patient, melanoma: bool, height: int, width: int) -> Pixels:
    """Draw one lesion, (height, width, 3)."""
    at = grid(height, width)
    picture = np.ones((*at.shape, 3), np.float32) * who.skin
    picture = picture * (1 + who.texture * noise(rng, at, 0.10, 2) + 0.04 * noise(rng, at, 1.0))[..., None]
    picture = with_lesion(rng, at, who, picture, melanoma)
    if chance(rng, 0.15 + 0.7 * who.hair):
        picture = with_hairs(rng, at, picture, int(rng.integers(2, 4 + int(14 * who.hair))))
    if chance(rng, 0.12):
        picture = with_ruler(rng, at, picture)
    radius = np.hypot(at.y, at.x)
    picture = picture * (1 - np.float32(rng.uniform(0, 0.2)) * radius**2)[..., None]
    if chance(rng, 0.1):  # the black rim of the dermatoscope
        picture = picture * covered(np.float32(rng.uniform(0.95, 1.25)) - radius, 0.06)[..., None]
    grain = rng.normal(0, 0.012, (*at.shape, 1)).astype(np.float32)
    return grey(picture * np.float32(rng.uniform(0.92, 1.06)) + grain)


def with_lesion(rng: Generator, at: Grid, who: Patient, picture: Array, melanoma: bool) -> Array:
    """Paint the lesion; every sign is drawn from ranges that overlap between the classes."""
    suspicion = np.clip(rng.normal(0.80 if melanoma else 0.22, 0.16), 0, 1)
    size = rng.uniform(0.22, 0.36) + 0.5 * suspicion * rng.uniform(0.5, 1)
    roughness = 0.02 + 0.22 * suspicion * rng.uniform(0.5, 1)
    edge = rng.uniform(0.05, 0.3)
    turn = rng.uniform(0, np.pi)
    centre = (rng.normal(0, 0.08), rng.normal(0, 0.08))
    aspect = rng.uniform(0.7, 1)
    shape = blob(rng, at, centre, (size, size * aspect), turn, roughness, edge, 4 + int(6 * suspicion))
    if chance(rng, suspicion):  # asymmetry: a second part grows out of one side
        side = (centre[0] + 0.7 * size * np.cos(turn), centre[1] - 0.7 * size * np.sin(turn))
        part = blob(rng, at, side, (size * 0.6, size * 0.5), turn, 1.5 * roughness, edge, 9)
        shape = np.maximum(shape, part)
    dark = np.clip(rng.normal(who.brown + 0.6 * suspicion - 0.1, 0.15), 0, 1)
    brown = LIGHT_BROWN + np.float32(dark) * (DARK_BROWN - LIGHT_BROWN)
    depth = covered(np.float32(0.7 * size) - np.hypot(at.y - centre[0], at.x - centre[1]), size)
    colour = brown * (1.08 - 0.25 * depth + (0.03 + 0.12 * suspicion) * noise(rng, at, 0.15, 2))[..., None]
    network = 1 - np.float32(rng.uniform(0, 0.25)) * covered(0.25 - np.abs(noise(rng, at, 0.07)), 0.3)
    colour = colour * network[..., None]
    others = [BLACK, DARK_BROWN, BLUE_GREY, RED, WHITE, LIGHT_BROWN]
    for number in rng.permutation(len(others))[: rng.poisson(4.5 * suspicion**2)]:
        patch = covered(noise(rng, at, rng.uniform(0.25, 0.5)) - np.float32(rng.uniform(0.3, 1.2)), 0.6)
        colour = over(colour, others[number], (0.85 * patch)[..., None])
    return over(picture, colour, (shape * np.float32(rng.uniform(0.7, 0.97)))[..., None])


def with_hairs(rng: Generator, at: Grid, picture: Array, count: int) -> Array:
    """Thin dark arcs that cross the picture."""
    for _ in range(count):
        local = turned(at, rng.uniform(0, 2 * np.pi), tuple(rng.uniform(-1, 1, 2)))
        arc = np.abs(local.x - rng.normal(0, 0.3) * local.y**2)
        hair = covered(np.float32(rng.uniform(0.006, 0.015)) - arc, 2 * at.pixel)
        hair = hair * (np.abs(local.y) < rng.uniform(0.3, 1.2))
        picture = picture * (1 - np.float32(0.6) * hair)[..., None]
    return picture


def with_ruler(rng: Generator, at: Grid, picture: Array) -> Array:
    """Ticks along one side."""
    local = turned(at, float(rng.choice([0, np.pi / 2, np.pi])) + rng.normal(0, 0.03))
    ticks = covered(np.cos(local.y * np.float32(2 * np.pi / 0.12)) - 0.8, 0.2)
    ticks = ticks * (local.x > 0.86) * (local.x < 0.96)
    return picture * (1 - np.float32(0.7) * ticks)[..., None]
