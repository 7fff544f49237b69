"""Samples of an image as stored, and how they become 8 bits."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

DEPTHS = (8, 12, 16)
"""Numbers of bits that integers of 16 and more bits are taken for, if all values of an image fit."""

SLACK = 1e-4
"""Share by which a float may be above 1 or 255, due to arithmetic in fp32."""

ORIENTATIONS = range(1, 9)

ADVICE = "convert it to RGB or grey"
"""What to do about samples that are not read."""


Window: TypeAlias = tuple[float, float]
"""The values `low` and `high` that become black and white; those between them are stretched linearly."""


class UnknownSamplesError(ValueError):
    """The samples of a file are complete, but not read; the message says why, and what to do."""


class Samples(NamedTuple):
    """Samples of an image as stored.

    Attributes:
        values: (H, W), or (H, W, 3) for RGB, of any number type; not yet upright.
        alpha: opacity (H, W) in [0, 1]; None if the image has none.
        top: largest value by the header; None if the values decide.
        inverted: whether the largest value means black.
        orientation: EXIF orientation; 1 if the file has none.
        mode: type and number of the samples, such as `uint16 x 3`.
    """

    values: NDArray[Any]
    alpha: NDArray[np.floating[Any]] | None
    top: int | None
    inverted: bool
    orientation: int
    mode: str


def to_uint8(values: NDArray[Any], top: int | None = None) -> tuple[NDArray[np.uint8], int | None]:
    """Map integers or floats to uint8, by the rules of `decode.decode`.

    Args:
        values: of any shape.
        top: value that means white; None if the values decide.

    Returns:
        The mapped values, and the number of bits that integers were taken for; None if all their bits, or
        floats.

    Raises:
        UnknownSamplesError: if floats are neither 0 to 1 nor 0 to 255.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8), None
    low, high = float(values[finite].min()), float(values[finite].max())
    bits = None
    if top is None and low >= 0:
        if np.issubdtype(values.dtype, np.integer):
            bits = depth_of(high, values.dtype)
            top = None if bits is None else 2**bits - 1
        else:
            top = next((top for top in (1, 255) if high <= top * (1 + SLACK)), None)
            if top == 255 and high < 2:
                raise UnknownSamplesError(f"floats up to {high:g} are neither 0 to 1 nor 0 to 255")
    bottom = low if top is None else 0.0
    span = (high if top is None else top) - bottom
    mapped = np.where(finite, values, bottom).astype(np.float64)
    mapped = np.rint((mapped - bottom) * (255 / (span or 1)))
    whole = bits is None or bits == _depths(values.dtype)[-1]
    return np.clip(mapped, 0, 255).astype(np.uint8), None if whole else bits


def windowed(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map `low` to 0, `high` to 255 and values between them linearly; values outside are clipped.

    If `low` is `high`, greater values are white. Values that are not finite become black.
    """
    # In double precision even for integers of 64 bits.
    wide = np.where(np.isfinite(values), values, low).astype(np.float64)
    if low == high:
        return np.where(wide > low, 255, 0).astype(np.uint8)
    return np.clip(np.rint((wide - low) * 255 / (high - low)), 0, 255).astype(np.uint8)


def depth_of(high: float, dtype: np.dtype[Any]) -> int | None:
    """Return the number of bits that integers are taken for, by their largest value; None if none fits.

    A type with a sign has one bit less than its width.
    """
    return next((depth for depth in _depths(dtype) if high < 2**depth), None)


def _depths(dtype: np.dtype[Any]) -> tuple[int, ...]:
    if not np.issubdtype(dtype, np.integer):
        return DEPTHS
    most = np.iinfo(dtype).bits - np.issubdtype(dtype, np.signedinteger)
    return tuple(dict.fromkeys(min(depth, most) for depth in DEPTHS))


def opacity(alpha: NDArray[Any], top: int | None = None) -> NDArray[np.floating[Any]]:
    """Return the opacity in [0, 1] of the values of an alpha channel.

    Alpha is often of fewer bits than its type, and not always of those of the colours. So it has the range of
    the fewest bits that its own values fit.

    Args:
        alpha: of any number type.
        top: value that is opaque by the header; None if the values decide.
    """
    high = float(alpha.max(initial=0))
    if top is None and np.issubdtype(alpha.dtype, np.integer):
        bits = depth_of(high, alpha.dtype)
        top = None if bits is None else 2**bits - 1
    elif top is None:
        top = next((top for top in (1, 255, 4095, 65535) if high <= top * (1 + SLACK)), None)
    return np.clip(alpha / (top or high or 1), 0, 1)


def orientation_of(value: object) -> int:
    """Return an EXIF orientation; 1 for a value that is none, because then an image is not turned."""
    if isinstance(value, tuple | list) and len(value) == 1:
        value = value[0]
    return int(value) if isinstance(value, int | np.integer) and value in ORIENTATIONS else 1
