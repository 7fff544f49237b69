"""Images that Pillow does not read exactly: TIFF, PNG of 16 bits in colour, and JPEG of other than 8 bits."""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

from PIL import ExifTags, Image

from oncovec.data import tiff
from oncovec.data.samples import ADVICE, Samples, UnknownSamplesError, opacity, orientation_of

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_LOSSLESS = 0xC3
_JPEG_LS = 0xF7
_FRAMES = {*range(0xC0, 0xD0), _JPEG_LS} - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG that begin the description of its image."""
_SCAN, _APP1, _END = 0xDA, 0xE1, b"\xff\xd9"
_EXIF = b"Exif\0\0"


class JpegFrame(NamedTuple):
    """The header of a JPEG or JPEG-LS; `ends` is whether its end is there, too."""

    marker: int
    bits: int
    height: int
    width: int
    channels: int
    exif: bytes
    ends: bool


def read(content: bytes, most: int) -> Samples | None:
    """Read a TIFF, PNG or JPEG that Pillow does not read exactly; None for any other file.

    Args:
        content: the file.
        most: largest number of pixels that is decoded.

    Raises:
        UnknownSamplesError: if the samples have a meaning that is not known here.
        Exception: whatever tifffile and imagecodecs raise for damaged bytes.
    """
    if content[:4] in tiff.STARTS:
        return tiff.read(content, most)
    # Colour with 16 bits per sample; Pillow reads 16-bit grey as it is.
    if content[:8] == _PNG and content[24:25] == b"\x10" and content[25:26] in (b"\x02", b"\x04", b"\x06"):
        width, height = struct.unpack(">II", content[16:24])
        return _png(content) if width * height <= most else None
    if content[:3] == _JPEG:
        return _jpeg(content, most)
    return None


def _png(content: bytes) -> Samples:
    from imagecodecs import png_decode

    values = png_decode(content)
    with Image.open(BytesIO(content), formats=["PNG"]) as image:
        orientation = orientation_in(image.info.get("exif", b""))
    channels = values.shape[2]
    alpha = opacity(values[..., -1]) if channels in (2, 4) else None
    values = values[..., 0] if channels < 3 else values[..., :3]
    return Samples(values, alpha, None, False, orientation, f"uint16 x {channels}")


def jpeg_frame(content: bytes) -> JpegFrame | None:
    """Return what the header of a JPEG or JPEG-LS tells; None if there is none before its first scan."""
    frame, exif, scan = b"", b"", 0
    for marker, start, body in _segments(content):
        if marker in _FRAMES:
            frame = bytes([marker]) + body[:6]
        elif marker == _APP1 and body.startswith(_EXIF):
            exif = exif or body
        elif marker == _SCAN:
            scan = start
            break
    if len(frame) < 7:
        return None
    marker, bits, height, width, channels = struct.unpack(">BBHHB", frame)
    # The decoders fill what is missing with grey, and do not say so.
    ends = scan > 0 and content.find(_END, scan) > 0
    return JpegFrame(marker, bits, height, width, channels, exif, ends)


def _jpeg(content: bytes, most: int) -> Samples | None:
    """Read a JPEG of other than 8 bits, or a lossless one."""
    frame = jpeg_frame(content)
    if frame is None or frame.marker == _JPEG_LS:
        return None
    shallow = frame.marker != _LOSSLESS and frame.bits == 8
    if frame.channels not in ((1, 3, 4) if shallow else (1, 3)):
        raise UnknownSamplesError(f"{frame.channels} channels that are no RGB are not read: {ADVICE}")
    if not frame.height:
        raise UnknownSamplesError("a height that stands behind the image (DNL) is not read: save it again")
    if shallow:
        return None
    if frame.width * frame.height > most:
        raise Image.DecompressionBombError
    return _deep_jpeg(content, frame)


def _deep_jpeg(content: bytes, frame: JpegFrame) -> Samples:
    from imagecodecs import jpeg_decode

    if not frame.ends:
        raise EOFError("truncated")
    values = jpeg_decode(content)
    values = values[..., 0] if frame.channels == 1 and values.ndim == 3 else values
    top = None if frame.bits == 16 else 2**frame.bits - 1
    mode = f"{values.dtype} x {frame.channels}" + (f" of {frame.bits} bits" if top else "")
    return Samples(values, None, top, False, orientation_in(frame.exif), mode)


def _segments(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield marker, place and body of each segment of a JPEG, up to the first scan."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # a filling byte
            place += 1
            continue
        length = struct.unpack(">H", content[place + 2 : place + 4])[0]
        yield marker, place, content[place + 4 : place + 2 + length]
        if marker == _SCAN:
            return
        place += 2 + length


def orientation_in(exif: bytes) -> int:
    """Return the orientation of a block of EXIF; 1 if there is none, or if the block is damaged."""
    found = Image.Exif()
    try:
        found.load(exif)
        return orientation_of(found.get(ExifTags.Base.Orientation))
    except Exception:  # noqa: BLE001 - damaged EXIF raises many types, and the image is complete
        return 1
