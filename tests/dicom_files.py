"""DICOM files for tests, written by pydicom and compressed by imagecodecs."""

from copy import deepcopy
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

COMPRESSED = {
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "HTJ2K": HTJ2KLossless,
}
"""Lossless compressions."""

PATIENT = "MRN-77310042"


def dataset(values, photometric="MONOCHROME2", bits=None, **elements):
    """Return a DICOM dataset of one frame; `elements` are more of its elements, by keyword."""
    values = np.asarray(values)
    allocated = values.dtype.itemsize * 8
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID = CTImageStorage
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = generate_uid(None, [repr(elements)])
    found.PatientID, found.PatientName, found.PatientBirthDate = PATIENT, "Doe^Jane", "19510203"
    found.Rows, found.Columns = values.shape[:2]
    found.SamplesPerPixel = 3 if values.ndim == 3 else 1
    found.PhotometricInterpretation = photometric
    found.BitsAllocated, found.BitsStored = allocated, bits or allocated
    found.HighBit = found.BitsStored - 1
    found.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        found.PlanarConfiguration = 0
    found.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    found["PixelData"].VR = "OB" if allocated == 8 else "OW"
    for name, value in elements.items():
        setattr(found, name, value)
    return found


def write(path, values, photometric="MONOCHROME2", bits=None, syntax=ExplicitVRLittleEndian, **elements):
    """Write a DICOM file and return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = dataset(values, photometric, bits, **elements)
    if syntax.is_compressed:
        found.PixelData = encapsulate([encoded(np.asarray(values), found, syntax)])
        found["PixelData"].VR = "OB"
    elif not syntax.is_little_endian:
        found["PixelData"].VR = "OW"
        found.PixelData = np.frombuffer(found.PixelData, "<u2").astype(">u2").tobytes()
    found.file_meta.TransferSyntaxUID = syntax
    found.save_as(
        path,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        enforce_file_format=True,
    )
    return path


def write_encoded(path, values, photometric, bits, syntax, stream):
    """Write a file whose pixels are an encoded stream."""
    found = dataset(values, photometric, bits)
    found.file_meta.TransferSyntaxUID = syntax
    found.PixelData = encapsulate([stream])
    found["PixelData"].VR = "OB"
    found.save_as(path, enforce_file_format=True)
    return path


def encoded(values, found, syntax):
    """Compress one frame, lossless except for JPEG baseline."""
    if syntax == RLELossless:
        # With fewer bits stored, pydicom encodes values of 8 bits, which does not fit the header.
        whole = deepcopy(found)
        whole.BitsStored, whole.HighBit = found.BitsAllocated, found.BitsAllocated - 1
        return get_encoder(syntax).encode(whole, encoding_plugin="pydicom")
    if syntax == JPEG2000Lossless:
        return imagecodecs.jpeg2k_encode(values, level=0, reversible=True, codecformat="j2k", mct=False)
    if syntax == HTJ2KLossless:
        return imagecodecs.htj2k_encode(values)
    if syntax == JPEGLSLossless:
        return imagecodecs.jpegls_encode(values.view(f"u{values.dtype.itemsize}"))
    if syntax == JPEGLosslessSV1:
        unsigned = values.view(f"u{values.dtype.itemsize}")
        return (
            imagecodecs.ljpeg_encode(unsigned)
            if values.ndim == 2
            else imagecodecs.jpeg_encode(unsigned, lossless=True, colorspace="RGB", outcolorspace="RGB")
        )
    assert syntax == JPEGBaseline8Bit
    stream = BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=95)
    return stream.getvalue()
