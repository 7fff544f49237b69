"""Images upright and in 8-bit RGB, from Pillow or from samples as stored."""

import struct
import zlib

import numpy as np
from PIL import ExifTags, Image

from oncovec.data.samples import Samples, Window, orientation_of, to_uint8, windowed

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that undoes each EXIF orientation; from orientation 5 on, width and height are exchanged."""

DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    SystemError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Errors that Pillow may raise for damaged bytes."""


def of_samples(samples: Samples, window: Window | None = None) -> tuple[Image.Image, str]:
    """Return an upright image of 8 bits, and the words for the bits that its values were taken for.

    Values of more than 8 bits are stretched over the window, if there is one.
    """
    if window and samples.values.dtype.itemsize > 1:
        values, bits = windowed(samples.values, *window), None
    else:
        values, bits = to_uint8(samples.values, samples.top)
    values = 255 - values if samples.inverted else values
    if samples.alpha is not None and samples.alpha.any():
        opacity = samples.alpha if values.ndim == 2 else samples.alpha[..., None]
        values = np.rint(values * opacity).astype(np.uint8)
    image = Image.fromarray(values).convert("RGB")
    turn = TURNS.get(samples.orientation)
    return image if turn is None else image.transpose(turn), _told(bits)


def upright(image: Image.Image, window: Window | None = None) -> tuple[Image.Image, int, str]:
    """Return the image upright in 8-bit RGB, the EXIF orientation that was undone, and words for its bits."""
    image.load()
    # Read after loading, because Pillow then has rotated a TIFF itself and removed its tag.
    orientation = _orientation(image)
    rgb, bits = _to_rgb(image.transpose(TURNS[orientation]) if orientation in TURNS else image, window)
    return rgb, orientation, bits


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGED:
        # The image is complete; without a readable orientation it is not rotated.
        return 1
    return orientation_of(orientation)


def _to_rgb(image: Image.Image, window: Window | None) -> tuple[Image.Image, str]:
    if image.mode == "F" or image.mode.startswith("I"):
        stored = np.asarray(image)
        values, bits = (windowed(stored, *window), None) if window else to_uint8(stored)
        seen = stored != image.info.get("transparency")
        if seen.any():  # no opacity at all means nothing
            values = np.where(seen, values, np.uint8(0))
        return Image.fromarray(values).convert("RGB"), _told(bits)
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        if with_alpha.getchannel("A").getextrema() != (0, 0):  # no opacity at all means nothing
            opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(opaque, with_alpha)
        else:
            image = with_alpha
    return image.convert("RGB"), ""


def _told(bits: int | None) -> str:
    return "" if bits is None else f" in {bits} bits"
