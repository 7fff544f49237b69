"""The patients of DICOM files, under names that say nothing about them."""

import logging
from collections.abc import Iterable

from oncovec.data import dicom
from oncovec.data.quiet import QUIET
from oncovec.data.tree import Folder


def names(tree: Folder, images: Iterable[str]) -> dict[str, str]:
    """Name the patient of each image after the first image, by path, with the same PatientID.

    A PatientID never leaves this function, not even as a hash: a hash of a short number is found again by
    hashing all numbers, and a key would have to be kept. The name is the same on every run over the same
    files, and it says as much about a patient as the path of an image does.

    Args:
        tree: tree of the images.
        images: paths in the tree, of any kind of file.

    Returns:
        The name for each image; empty for a file that is no DICOM or has no PatientID.
    """
    first: dict[str, str] = {}
    found = {}
    for image in sorted(images):
        patient = _patient_id(tree, image)
        found[image] = first.setdefault(patient, image) if patient else ""
    return found


def _patient_id(tree: Folder, image: str) -> str:
    """Read the PatientID of a file, without the blanks around it; empty if there is none."""
    if not dicom.begins(tree, image):
        return ""
    from pydicom import dcmread

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its messages may quote the file
    try:
        with QUIET, tree.open(image) as stream:
            dataset = dcmread(stream, stop_before_pixels=True, specific_tags=["PatientID"])
            return str(dataset.get("PatientID") or "").strip()
    except Exception:  # noqa: BLE001 - damaged files raise many types, and preparation says what is wrong
        return ""
