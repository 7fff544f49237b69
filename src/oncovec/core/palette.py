"""Colours, markers and dashes of every plot; they are distinguishable with colour blindness, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#000000")
"""Okabe and Ito, "Color Universal Design" (2008), without yellow, which is too pale for a line on white.

Systems and models have these colours in this order. The templates in .dvc/plots repeat them.
"""

OF_CLASSES = COLOURS[2:] + COLOURS[:2]
"""Colours of classes. The two classes of a binary task do not have the colours of the two models."""

MARKERS = ("o", "^", "s", "D")
DASHES: tuple[str | tuple[float, tuple[float, ...]], ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1)),
    (0, (6, 1.5, 1, 1.5)),
)
"""Markers and dashes of matplotlib. Each class has the next colour, the next marker and the next dashes, so
that no two of 28 classes have both the same colour and the same marker."""

GREEN, RED, GREY = COLOURS[2], COLOURS[1], "#9a9a9a"
"""Colours of what is as it should be, of what is not, and of what is neither."""


@dataclass(frozen=True)
class Look:
    """Look of a class: its colour, its marker in a scatter plot, and the dashes of its curves."""

    colour: str
    marker: str
    dashes: str | tuple[float, tuple[float, ...]]


def of_classes(names: Sequence[str]) -> dict[str, Look]:
    """Return the look of every class; looks repeat after 28 classes."""
    parts = zip(names, cycle(OF_CLASSES), cycle(MARKERS), cycle(DASHES), strict=False)
    return {name: Look(colour, marker, dashes) for name, colour, marker, dashes in parts}
