from itertools import combinations

import cv2
import matplotlib.colors
import numpy as np
import pytest

from oncovec.core import palette

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency"
# (2009), severity 1: linear RGB as it is seen.
SEEN = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def lab(colour, deficiency):
    """Colour in CIE Lab as it is seen."""
    shown = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SEEN[deficiency]) @ linear, 0, 1).astype(np.float32)
    return cv2.cvtColor(seen[None, None], cv2.COLOR_LRGB2Lab)[0, 0]


def smallest_difference(pairs):
    """Smallest distance in CIE Lab of pairs of colours, by deficiency."""
    return min(
        np.linalg.norm(lab(one, deficiency) - lab(other, deficiency))
        for one, other in pairs
        for deficiency in SEEN
    )


def of_one_marker(count):
    """Pairs of colours of those classes that have the same marker."""
    looks = palette.of_classes([str(number) for number in range(count)]).values()
    return [(one.colour, other.colour) for one, other in combinations(looks, 2) if one.marker == other.marker]


def test_the_distance_finds_colours_that_are_alike_with_a_deficiency():
    assert smallest_difference([("#e45756", "#54a24b")]) < 3  # red and green of Vega's tableau10


@pytest.mark.parametrize(("classes", "least"), [(9, 48), (10, 22), (28, 17)])
def test_classes_with_the_same_marker_have_colours_that_differ_with_a_deficiency(classes, least):
    assert smallest_difference(of_one_marker(classes)) >= least


def test_the_colours_of_up_to_three_systems_differ_with_a_deficiency():
    assert smallest_difference(combinations(palette.COLOURS[:3], 2)) >= 37


def test_the_borders_of_right_and_wrong_differ_with_a_deficiency():
    assert smallest_difference([(palette.GREEN, palette.RED)]) >= 37


def test_no_two_of_28_classes_look_alike():
    looks = palette.of_classes([str(number) for number in range(28)]).values()
    for part in ("marker", "dashes"):
        assert len({(look.colour, getattr(look, part)) for look in looks}) == 28


def test_the_two_classes_of_a_binary_task_have_other_colours_than_the_first_two_systems():
    looks = palette.of_classes(["benign", "malignant"]).values()
    assert not {look.colour for look in looks} & set(palette.COLOURS[:2])
