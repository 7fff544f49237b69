"""DICOM files: how they are recognised, and their pixels as the standard says to show them.

The formulas are those of DICOM PS3.3: C.11.1 (modality), C.11.2 (window and VOI LUT), C.7.6.3.1.5 (palette).
pydicom parses a file and decompresses its pixels. Only the elements in `ELEMENTS` are parsed: none of them is
about the patient.
"""

import logging
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oncovec.core.errors import one_line
from oncovec.data.samples import ADVICE, Samples, UnknownSamplesError, Window, to_uint8, windowed
from oncovec.data.tree import Folder

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

START = 132
"""Number of first bytes by which a DICOM file is recognised."""

SUFFIXES = ("dcm", "dicom", "ima")
"""Usual suffixes of DICOM files, in lower case."""

NO_PREAMBLE = "no DICOM file, or one without its first 132 bytes (preamble): export it again as a DICOM file"

ELEMENTS = (
    *("SpecificCharacterSet", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *(
        f"{segmented}{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    ),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
)
"""The elements of a file that are parsed."""

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PALETTE = "PALETTE COLOR"
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_OF_VALUES = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


def is_dicom(content: bytes) -> bool:
    """Whether a file is DICOM, by its first `START` bytes."""
    return content[128:START] == b"DICM"


def begins(tree: Folder, path: str) -> bool:
    """Whether a file begins as DICOM does, and is no DICOMDIR, the list of files on a disc, by its name."""
    if path.rpartition("/")[2].upper() == "DICOMDIR":
        return False
    try:
        with tree.open(path) as stream:
            return is_dicom(stream.read(START))
    except (OSError, ValueError):
        return False


def read(content: bytes, most: int, window: Window | None = None) -> Samples:
    """Read a DICOM file of one frame.

    Grey values become 8 bits by the first that there is of

    1. `window`, in modality units such as HU;
    2. the file's VOI LUT, the first if there are several;
    3. its window (linear, linear exact or sigmoid), likewise.

    Without any, the stored values are mapped as those of a TIFF with as many bits, see `decode.decode`. So
    are colours. MONOCHROME1 is inverted. Overlays, colour profiles and the value of padding are not applied.

    Args:
        content: the file.
        most: largest number of pixels that is decoded.
        window: modality values that become black and white; None for the file's own window.

    Returns:
        Samples; their mode names the photometric interpretation, the type and the bits stored.

    Raises:
        UnknownSamplesError: for several frames, no pixels, and pixels that are not read.
        Exception: whatever pydicom raises for damaged bytes.
    """
    dataset = _parsed(content)
    _refuse_no_image(dataset)
    if dataset.Rows * dataset.Columns > most:
        raise Image.DecompressionBombError
    photometric = str(dataset.PhotometricInterpretation)
    stored = _pixels(dataset, photometric)
    inverted = photometric == "MONOCHROME1"
    bits, top = int(dataset.BitsStored), _top(dataset)
    mode = f"DICOM {photometric} {stored.dtype} of {bits} bits"
    if photometric == _PALETTE:
        return Samples(_coloured(dataset, stored), None, 255, False, 1, mode)
    if photometric in _COLOUR:
        return Samples(to_uint8(stored, top)[0], None, 255, False, 1, mode)
    shown = _shown(dataset, stored, window)
    if shown is not None:
        return Samples(shown, None, 255, inverted, 1, mode)
    if dataset.get("ModalityLUTSequence"):
        values, bits = _modality_lut(dataset, stored)
        return Samples(to_uint8(values, 2**bits - 1)[0], None, 255, inverted, 1, mode)
    return Samples(stored, None, top, inverted != (_rescale(dataset)[0] < 0), 1, mode)


def _parsed(content: bytes) -> "Dataset":
    """Parse the elements of a file that say how its one frame is shown."""
    from pydicom import dcmread

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it reports damage, and may quote the file
    dataset = dcmread(BytesIO(content), specific_tags=list(ELEMENTS))
    for groups in _FUNCTIONAL_GROUPS:  # of an enhanced image
        for group in (dataset.get(groups) or ())[:1]:
            for name in _OF_VALUES:
                for item in group.get(name) or ():
                    dataset.update(item)
    return dataset


def _refuse_no_image(dataset: "Dataset") -> None:
    """Refuse what has no pixels or several frames.

    Raises:
        UnknownSamplesError: with what the file is, and what to do.
    """
    kind = dataset.file_meta.get("MediaStorageSOPClassUID")
    name = kind.name if kind is not None and kind.name != str(kind) else "of an unknown kind"
    frames = int(dataset.get("NumberOfFrames") or 1)
    reason = ""
    if name == "Media Storage Directory Storage":
        reason = "a DICOMDIR, the list of other files, no image: name those files, or their folder"
    elif "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        reason = f"DICOM pixels that are floats are not read: {ADVICE} of integers"
    elif "PixelData" not in dataset and ("Rows" in dataset or "Image" in name):
        reason = f"DICOM ({name}) that ends before its pixels: copy it again"
    elif "PixelData" not in dataset:
        reason = f"DICOM without pixels ({name}), no image: leave it out"
    elif frames != 1:
        reason = f"DICOM of {frames} frames (multi-frame) is not read: save each frame as a file of its own"
    if reason:
        raise UnknownSamplesError(reason)


def _pixels(dataset: "Dataset", photometric: str) -> NDArray[Any]:
    """Decompress the pixels: (H, W), or (H, W, 3) RGB; unused bits are cleared."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import RLELossless

    from oncovec.data import dicom_codecs

    samples = 3 if photometric in _COLOUR else 1
    deep_ybr = photometric.startswith("YBR_FULL") and dataset.BitsStored > 8
    if photometric not in (*_GREY, *_COLOUR, _PALETTE) or dataset.SamplesPerPixel != samples or deep_ybr:
        depth = f" and {dataset.BitsStored} bits" if deep_ybr else ""
        kind = f"{one_line(photometric)[:16]} in {dataset.SamplesPerPixel} channels{depth}"
        raise UnknownSamplesError(f"DICOM pixels of {kind} are not read: {ADVICE}")
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        name = one_line(syntax.name)
        raise UnknownSamplesError(
            f"DICOM compressed as {name} is not read: save it uncompressed first"
        ) from None
    stored = 2 if photometric == "YBR_FULL_422" else samples
    expected = dataset.Rows * dataset.Columns * stored * dataset.BitsAllocated
    if not syntax.is_encapsulated and len(dataset.PixelData) * 8 < expected:
        raise UnknownSamplesError("DICOM that ends within its pixels (truncated): copy it again")
    # Named, so that a decoder that is also installed changes no pixel.
    plugin = "pydicom" if syntax == RLELossless else dicom_codecs.PLUGIN
    values: NDArray[Any]
    values, _ = decoder.as_array(dataset, index=0, decoding_plugin=plugin if syntax.is_encapsulated else "")
    return values


def _top(dataset: "Dataset") -> int | None:
    """Return the largest value by the header; None if the values decide, as in a TIFF."""
    bits = int(dataset.BitsStored)
    return None if dataset.PixelRepresentation or bits in (16, 32, 64) else 2**bits - 1


def _shown(dataset: "Dataset", stored: NDArray[Any], window: Window | None) -> NDArray[np.uint8] | None:
    """Map grey values by the window or the VOI LUT; None if there is none."""
    values = _modality(dataset, stored)
    if window is not None:
        return windowed(values, *window)
    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        descriptor = item.LUTDescriptor
        table = _table(item.LUTData, descriptor, _order(dataset))
        return to_uint8(_looked_up(table, np.rint(values), descriptor[1]), 2 ** descriptor[2] - 1)[0]
    center, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    return _windowed(values, center, width, str(dataset.get("VOILUTFunction") or "LINEAR").upper())


def _windowed(values: NDArray[Any], center: float, width: float, function: str) -> NDArray[np.uint8]:
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.rint(255 / (1 + np.exp(-4 * (values - center) / width))).astype(np.uint8)
    # LINEAR is not defined below a width of 1; floats such as uptake values are then meant exactly.
    if function == "LINEAR_EXACT" or width < 1:
        return windowed(values, center - width / 2, center + width / 2)
    return windowed(values, center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2)


def _modality(dataset: "Dataset", stored: NDArray[Any]) -> NDArray[Any]:
    """Map stored values to modality units, such as HU."""
    if dataset.get("ModalityLUTSequence"):
        return _modality_lut(dataset, stored)[0]
    slope, intercept = _rescale(dataset)
    return stored if (slope, intercept) == (1, 0) else stored * slope + intercept


def _rescale(dataset: "Dataset") -> tuple[float, float]:
    return _first(dataset.get("RescaleSlope")) or 1.0, _first(dataset.get("RescaleIntercept")) or 0.0


def _modality_lut(dataset: "Dataset", stored: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Return the values by the modality LUT, and their bits."""
    item = dataset.ModalityLUTSequence[0]
    table = _table(item.LUTData, item.LUTDescriptor, _order(dataset))
    return _looked_up(table, stored, item.LUTDescriptor[1]), int(item.LUTDescriptor[2])


def _coloured(dataset: "Dataset", stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Look the colours of stored values up in the palette: (H, W, 3)."""
    descriptor = dataset.RedPaletteColorLookupTableDescriptor
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        from pydicom.pixels import apply_color_lut

        values = apply_color_lut(stored, dataset)[..., :3]
        return to_uint8(values, np.iinfo(values.dtype).max)[0]
    tables = [
        _table(dataset[f"{colour}PaletteColorLookupTableData"].value, descriptor, _order(dataset))
        for colour in ("Red", "Green", "Blue")
    ]
    values = _looked_up(np.stack(tables, axis=-1), stored, descriptor[1])
    return to_uint8(values, 2 ** descriptor[2] - 1)[0]


# pydicom's functions for tables count entries in the type of the table, which is too small for a table of 8
# bits with more than 256 entries, and take a palette of another byte order for one of this machine.
def _table(data: bytes | Sequence[int], descriptor: Sequence[int], order: str) -> NDArray[Any]:
    """Return the entries of a lookup table, as many as its descriptor tells."""
    entries = descriptor[0] % 2**16 or 2**16
    if isinstance(data, bytes):
        # Entries of 8 bits have one byte each, or two.
        wide = len(data) >= 2 * entries
        return np.frombuffer(data, f"{order}u2" if wide else "u1")[:entries]
    return np.asarray(data)[:entries]


def _looked_up(table: NDArray[Any], values: NDArray[Any], first: int) -> NDArray[Any]:
    """Look values up in a table whose first entry is for `first`; values outside get the nearest entry."""
    places = np.clip(values.astype(np.int64) - first, 0, len(table) - 1)
    found: NDArray[Any] = table[places]
    return found


def _order(dataset: "Dataset") -> str:
    return "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"


def _first(value: Any) -> float | None:
    """Return a number, or the first of several; None for none."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)
