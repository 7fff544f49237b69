"""TIFF that Pillow does not read exactly, read by tifffile.

Pillow reads 8 bits per sample. Of deeper images it drops bits, mixes up channels that are stored one after
another, or refuses them. It lacks some compressions, such as JPEG 2000, and takes the small copy that some
scanners put first for the image.
"""

import logging
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oncovec.data.samples import ADVICE, Samples, UnknownSamplesError, opacity, orientation_of, to_uint8

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF, in both byte orders."""

MOST_PAGES = 1000
"""Number of pages among which the image is looked for."""

_BIG_BIG = b"MM\0+"
"""First bytes of a BigTIFF with the high byte first, which Pillow does not know."""

_BY_PILLOW = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
"""Compressions that Pillow reads: none, CCITT, LZW, JPEG, deflate, PackBits, LZMA, Zstandard."""

_CCITT, _JPEG = (2, 3, 4), (6, 7)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = range(4)
_CMYK, _YCBCR, _LAB = 5, 6, 8
_READ = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE)
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED, _COMPLEX = range(1, 6)
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2
_PHOTOMETRIC, _ORIENTATION = 262, 274


def read(content: bytes, most: int, pillow_failed: bool = False) -> Samples | None:
    """Read a TIFF that Pillow does not read exactly; None for another, which Pillow reads.

    Args:
        content: the file.
        most: largest number of pixels that is decoded; a larger image is left to Pillow, which refuses it.
        pillow_failed: whether Pillow has refused the file, so that it is read here in any case.

    Raises:
        UnknownSamplesError: if the samples have a meaning that is not known here.
        Exception: whatever tifffile raises for damaged bytes.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it reports damage before it raises
    with tifffile.TiffFile(BytesIO(content)) as file:
        first: Any = file.pages[0]
        page = next((each for each in _pages(file) if not each.is_reduced), first)
        if not page.imagewidth * page.imagelength:
            raise UnknownSamplesError("an image without a width or a height is not read")
        if page.imagewidth * page.imagelength > most:
            if page is not first or pillow_failed:
                raise Image.DecompressionBombError
            return None
        photometric = _photometric(page)
        _refuse_without_data(page)
        if page is first and not pillow_failed and _is_for_pillow(page, photometric, content):
            return None
        _refuse_unknown(page, photometric)
        return _samples(page, photometric)


def _pages(file: Any) -> Iterator[Any]:
    """Yield the images of a file, each before those of its sub-directories, which raw files have."""
    for page in islice(file.pages, MOST_PAGES):  # damaged files have pages that lead to themselves
        yield page
        yield from getattr(page, "pages", None) or ()


def _photometric(page: Any) -> int:
    """Return what the samples mean; tifffile turns a JPEG's YCbCr into RGB.

    Without the tag the number of samples decides, as in libtiff. Three samples are colours, also where some
    writers call them grey.
    """
    told = int(page.photometric) if _PHOTOMETRIC in page.tags else None
    samples = page.samplesperpixel - len(page.extrasamples)
    if told is None:
        white = page.compression in _CCITT
        return _RGB if samples == 3 else _WHITE_IS_ZERO if white else _BLACK_IS_ZERO
    if told == _YCBCR and page.compression == 7:
        return _RGB
    return _RGB if told == _BLACK_IS_ZERO and samples == 3 else told


def _is_for_pillow(page: Any, photometric: int, content: bytes) -> bool:
    """Whether Pillow reads the samples of a page exactly."""
    told = page.tags[_PHOTOMETRIC].value if _PHOTOMETRIC in page.tags else None
    old_palette = photometric == _PALETTE and _is_old(page.colormap)
    return (
        page.sampleformat == _UNSIGNED
        and page.bitspersample in (1, 2, 4, 8)
        and (page.planarconfig == 1 or page.samplesperpixel == 1)
        and page.imagedepth == 1
        and page.compression in _BY_PILLOW
        and _ASSOCIATED_ALPHA not in tuple(map(int, page.extrasamples))
        and content[:4] != _BIG_BIG
        and not old_palette
        and told in (photometric, _YCBCR)
        and not _is_subsampled(page)
    )


def _is_subsampled(page: Any) -> bool:
    """Whether a page has fewer colours than pixels, outside of a JPEG, which decodes them itself."""
    return (
        page.photometric == _YCBCR
        and page.compression not in _JPEG
        and page.subsampling not in (None, (1, 1))
    )


def _is_old(colormap: NDArray[Any] | None) -> bool:
    """Whether a palette has values of 8 bits, as old writers have them, and not of 16."""
    return colormap is not None and 0 < colormap.max() < 256


def _refuse_without_data(page: Any) -> None:
    if any(count == 0 for count in page.databytecounts) or any(place == 0 for place in page.dataoffsets):
        raise UnknownSamplesError("strips or tiles without data (sparse TIFF) are not read: fill them first")


def _refuse_unknown(page: Any, photometric: int) -> None:
    """Refuse samples whose meaning is not known here."""
    bits, kind, samples = page.bitspersample, page.sampleformat, page.samplesperpixel
    name = getattr(page.photometric, "name", page.photometric)
    reason = ""
    if not isinstance(bits, int):
        reason = f"channels of different bits {tuple(bits)} are"
    elif not isinstance(kind, int) or kind >= _COMPLEX:
        reason = f"complex numbers of {bits} bits are"
    elif _is_subsampled(page):
        reason = "YCBCR with fewer colours than pixels, without JPEG, is"
    elif photometric not in _READ:
        reason = f"{bits} bits of {name} in {samples} channels are"
    elif samples != (3 if photometric == _RGB else 1) + len(page.extrasamples) or len(page.extrasamples) > 1:
        reason = f"{samples} channels that are no RGB are"
    if reason:
        raise UnknownSamplesError(f"{reason} not read: {ADVICE}")


def _samples(page: Any, photometric: int) -> Samples:
    bits, samples = page.bitspersample, page.samplesperpixel
    # Axes of any TIFF: separate samples, depth, height, width, samples. Of a volume the first slice is read.
    stored = page.asarray().reshape(page.shaped)[:, 0]
    values = np.moveaxis(stored[..., 0], 0, -1) if len(stored) > 1 else stored[0]
    unsigned = page.sampleformat in (_UNSIGNED, _UNDEFINED)
    top = 2**bits - 1 if unsigned and bits not in (16, 32, 64) else None
    mode = f"{values.dtype} x {samples}" + (f" of {bits} bits" if top and bits != 8 else "")
    colours = 3 if photometric == _RGB else 1
    extra = tuple(map(int, page.extrasamples))
    alpha = None
    # An extra sample without a meaning is no opacity; colours with an associated one are already multiplied.
    if _UNASSOCIATED_ALPHA in extra:
        alpha = opacity(values[..., colours + extra.index(_UNASSOCIATED_ALPHA)], top)
    values = values[..., :3] if colours == 3 else values[..., 0]
    if photometric == _PALETTE:
        palette, _ = to_uint8(np.moveaxis(page.colormap, 0, -1), 255 if _is_old(page.colormap) else 65535)
        values, top = palette[values], 255
    tag = page.tags.get(_ORIENTATION)
    orientation = orientation_of(tag.value) if tag else 1
    return Samples(values, alpha, top, photometric == _WHITE_IS_ZERO, orientation, mode)
