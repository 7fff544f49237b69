"""A plugin for pydicom that decompresses DICOM pixels with imagecodecs; importing this module adds it.

See the guide to decoder plugins of pydicom. imagecodecs holds libjpeg-turbo, CharLS and OpenJPEG, which are
under permissive licences.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Any

import imagecodecs
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from oncovec.data.bit_depth import jpeg_frame

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

PLUGIN = "imagecodecs"
"""Name of the plugin."""

_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
DECODER_DEPENDENCIES = dict.fromkeys((*_JPEG, *_JPEG_LS, *_JPEG_2000), (PLUGIN,))
"""Transfer syntaxes that are decompressed, and the packages that this needs."""


def is_available(syntax: str) -> bool:
    """Whether a transfer syntax is decompressed."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: "DecodeRunner") -> bytes:
    """Decompress a frame; colours are by pixel, and luminance and chrominance of a JPEG stay what they are.

    Raises:
        ValueError: if the stream has another size than the file tells; larger ones would fill the memory.
        EOFError: for a JPEG without its end.
        Exception: whatever imagecodecs raises for damaged bytes.
    """
    jpeg_2000 = runner.transfer_syntax in _JPEG_2000
    size = _jpeg_2000_size(source) if jpeg_2000 else _jpeg_size(source)
    if size != (runner.rows, runner.columns):
        raise ValueError("another size than the file tells")
    values = _decoded(source, runner)
    if jpeg_2000 and runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", 8 * values.itemsize)
    return values.tobytes()


def _jpeg_2000_size(source: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(source), formats=["JPEG2000"]) as image:
        return image.height, image.width


def _jpeg_size(source: bytes) -> tuple[int, int] | None:
    frame = jpeg_frame(source)
    if frame is None:
        return None
    if not frame.ends:
        raise EOFError("truncated")
    return frame.height, frame.width


def _decoded(source: bytes, runner: "DecodeRunner") -> NDArray[Any]:
    values: NDArray[Any]
    if runner.transfer_syntax in _JPEG_2000:
        values = imagecodecs.jpeg2k_decode(source)
    elif runner.transfer_syntax in _JPEG_LS:
        values = imagecodecs.jpegls_decode(source)
    else:
        # The same on both sides: pydicom changes the colours, by the file's photometric interpretation.
        colours = "YCBCR" if runner.samples_per_pixel == 3 else None
        values = imagecodecs.jpeg_decode(source, colorspace=colours, outcolorspace=colours)
    return values


for _syntax in DECODER_DEPENDENCIES:
    get_decoder(_syntax).add_plugin(PLUGIN, (__name__, "decode_frame"))
