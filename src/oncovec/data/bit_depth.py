"""Images that Pillow does not read exactly: read by the header of the file, and mapped to 8 bits.

Pillow reads 8 bits per sample. Of deeper images it drops bits, mixes up channels that are stored one after
another, or refuses them. It lacks some compressions of TIFF, such as JPEG 2000, and takes the small copy that
some scanners put first for the image. tifffile and imagecodecs read these as they are.
"""

import logging
import struct
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

DEPTHS = (8, 12, 16)
"""Numbers of bits that integers of 16 and 32 bits are taken for, if all values of an image fit."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BY_PILLOW = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
"""Compressions of TIFF that Pillow reads: none, CCITT, LZW, JPEG, deflate, PackBits, LZMA, Zstandard."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_LOSSLESS = 0xC3
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG that begin the description of its image."""
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = range(4)
_YCBCR = 6
_UNASSOCIATED_ALPHA = 2


class UnknownSamplesError(ValueError):
    """The samples of a file are not grey, RGB or a palette; the message says what they are."""


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


def read(content: bytes, most: int) -> Samples | None:
    """Read a TIFF, PNG or JPEG that Pillow does not read exactly; None for any other file.

    Args:
        content: the file.
        most: largest number of pixels that is decoded; a larger image is left to Pillow, which refuses it.

    Raises:
        UnknownSamplesError: if the samples have a meaning that is not known here.
        Exception: whatever tifffile and imagecodecs raise for damaged bytes.
    """
    if content[:4] in _TIFF:
        return _tiff(content, most)
    # Colour with 16 bits per sample; Pillow reads 16-bit grey as it is.
    if content[:8] == _PNG and content[24:25] == b"\x10" and content[25:26] in (b"\x02", b"\x04", b"\x06"):
        width, height = struct.unpack(">II", content[16:24])
        return _png(content) if width * height <= most else None
    if content[:3] == _JPEG:
        marker, bits, width, height = _frame(content)
        if (marker == _LOSSLESS or bits != 8) and width * height <= most:
            return _jpeg(content, bits)
    return None


def to_uint8(values: NDArray[Any], top: int | None = None) -> tuple[NDArray[np.uint8], int | None]:
    """Map integers or floats to uint8, by the rules of `decode.decode`.

    Args:
        values: of any shape.
        top: value that means white; None if the values decide.

    Returns:
        The mapped values, and the number of bits that integers were taken for; None if all their bits, or
        floats.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8), None
    low, high = float(values[finite].min()), float(values[finite].max())
    bits = None
    if top is None and low >= 0:
        if np.issubdtype(values.dtype, np.integer):
            bits = next((depth for depth in DEPTHS if high < 2**depth), None)
            top = None if bits is None else 2**bits - 1
        else:
            top = next((top for top in (1, 255) if high <= top), None)
    bottom = low if top is None else 0.0
    span = (high if top is None else top) - bottom
    mapped = np.where(finite, values, bottom).astype(np.float64)
    mapped = np.rint((mapped - bottom) * (255 / (span or 1)))
    return np.clip(mapped, 0, 255).astype(np.uint8), None if bits == max(DEPTHS) else bits


def _tiff(content: bytes, most: int) -> Samples | None:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it reports damage before it raises
    with tifffile.TiffFile(BytesIO(content)) as file:
        page: Any = file.pages[0]
        if page.is_reduced:
            page = next((each for each in file.pages if not each.is_reduced), page)
        is_copy = page is not file.pages[0]  # which Pillow would take
        bits, kind = page.bitspersample, page.sampleformat
        if page.imagewidth * page.imagelength > most:
            if is_copy:
                raise Image.DecompressionBombError
            return None
        # tifffile turns a JPEG's YCbCr into RGB.
        photometric = _RGB if (page.photometric, page.compression) == (_YCBCR, 7) else page.photometric
        chunky = page.planarconfig == 1 or page.samplesperpixel == 1
        if kind == 1 and bits in (1, 2, 4, 8) and chunky and page.compression in _BY_PILLOW and not is_copy:
            return None
        if kind not in (1, 2, 3) or photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE):
            raise UnknownSamplesError(f"{bits} bits of {getattr(page.photometric, 'name', page.photometric)}")
        values = page.asarray()
        if page.samplesperpixel > 1 and page.planarconfig == 2:
            values = np.moveaxis(values, -3, -1)
        values = (
            values.reshape(-1, *values.shape[-2 - (page.samplesperpixel > 1) :])[0]
            if values.ndim > 3
            else values
        )
        colours = 3 if photometric == _RGB else 1
        extra = tuple(map(int, page.extrasamples))
        top = 2**bits - 1 if kind == 1 and bits not in (16, 32) else None
        tag = page.tags.get(274)
        mode = f"{values.dtype} x {page.samplesperpixel}" + (f" of {bits} bits" if top else "")
        if page.samplesperpixel != colours + len(extra) or len(extra) > 1:
            raise UnknownSamplesError(f"{page.samplesperpixel} channels that are no RGB")
        alpha = None
        if values.ndim == 3:
            alpha = _alpha(values, colours, extra, top)
            values = values[..., :colours] if colours == 3 else values[..., 0]
        if photometric == _PALETTE:
            values, top = np.moveaxis(page.colormap, 0, -1)[values], 65535
        inverted = photometric == _WHITE_IS_ZERO
        return Samples(values, alpha, top, inverted, int(tag.value) if tag else 1, mode)


def _alpha(
    values: NDArray[Any], colours: int, extra: tuple[int, ...], top: int | None
) -> NDArray[np.floating[Any]] | None:
    # An extra sample without a meaning is no opacity; colours with an associated one are already multiplied.
    if _UNASSOCIATED_ALPHA not in extra:
        return None
    opacity = values[..., colours + extra.index(_UNASSOCIATED_ALPHA)]
    most = top or (np.iinfo(opacity.dtype).max if np.issubdtype(opacity.dtype, np.integer) else 1)
    return np.asarray(opacity / most)


def _png(content: bytes) -> Samples:
    from imagecodecs import png_decode

    values = png_decode(content)
    with Image.open(BytesIO(content), formats=["PNG"]) as image:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    channels = values.shape[2]
    alpha = values[..., -1] / 65535 if channels in (2, 4) else None
    values = values[..., 0] if channels < 3 else values[..., :3]
    return Samples(values, alpha, None, False, int(orientation), f"uint16 x {channels}")


def _frame(content: bytes) -> tuple[int, int, int, int]:
    """Return the marker, the bits per sample, the width and the height that a JPEG tells; zeros if none."""
    place = 2
    while place + 9 < len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in _FRAMES:
            bits, height, width = struct.unpack(">BHH", content[place + 4 : place + 9])
            return marker, bits, width, height
        length = struct.unpack(">H", content[place + 2 : place + 4])[0]
        place += 1 if marker == 0xFF else 2 + length
    return 0, 8, 0, 0


def _jpeg(content: bytes, bits: int) -> Samples:
    from imagecodecs import jpeg_decode

    values = jpeg_decode(content)
    channels = 1 if values.ndim == 2 else values.shape[2]
    if channels not in (1, 3):
        raise UnknownSamplesError(f"{channels} channels that are no RGB")
    values = values[..., 0] if channels == 1 and values.ndim == 3 else values
    exif, start = Image.Exif(), content.find(b"Exif\0\0", 0, 2**16)
    if start > 0:
        exif.load(content[start:])
    top = None if bits == 16 else 2**bits - 1
    mode = f"{values.dtype} x {channels}" + (f" of {bits} bits" if top else "")
    return Samples(values, None, top, False, int(exif.get(ExifTags.Base.Orientation, 1)), mode)
