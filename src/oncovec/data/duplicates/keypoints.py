"""Keypoints of small copies (SIFT, Lowe 2004), and a temporary file for the keypoints of many images."""

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from oncovec.core.errors import OncovecError
from oncovec.core.parallel import ordered_map
from oncovec.core.progress import progress

CONTRAST = 0.002
"""Lowest contrast of a keypoint. It is a twentieth of OpenCV's value, above which dermoscopic images and
darkened copies have few keypoints."""

EDGE = 50
"""Largest ratio of curvatures of a keypoint, five times OpenCV's default.

Slices of one volume agree mostly in their outlines. With the default many of their keypoints are dropped.
"""

SIGMA = 1.4
"""Smoothing of the doubled image, in px; OpenCV's default is 1.6. Small copies have few pixels to lose."""

BIAS = 0.25
"""px by which OpenCV places a keypoint too far right and down, because it first doubles the image size."""

CHUNK = 32
"""Number of images that a worker gets at once."""

_BINS = np.arange(128).reshape(4, 4, 8)
MIRRORED = np.ascontiguousarray(_BINS[::-1][:, :, -np.arange(8) % 8]).reshape(128)
"""Permutation of a SIFT descriptor that describes the mirror image: rows of cells reversed, angles negated.

With it, a mirrored image needs no second detection (as in MI-SIFT, Ma et al. 2010)."""

_RECORD = np.dtype([("point", np.float32, 2), ("descriptor", np.uint8, 128)])

# Work is distributed over processes. With an OpenCV thread pool in the parent, forked processes would hang.
cv2.setNumThreads(1)


class Keypoints(NamedTuple):
    """Keypoints of one image: points (K, 2) float32, x and y in px of the small copy, and descriptors.

    Descriptors are (K, 128) uint8.
    """

    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]


def detect(grey: NDArray[np.uint8], most: int) -> Keypoints:
    """Detect the strongest keypoints of a small copy (H, W), at most `most`."""
    sift = cv2.SIFT.create(most, contrastThreshold=CONTRAST, edgeThreshold=EDGE, sigma=SIGMA)
    found, described = sift.detectAndCompute(grey, None)
    # OpenCV may return a few more than requested if responses are equal.
    points = np.array([point.pt for point in found[:most]], np.float32).reshape(-1, 2)
    descriptors = np.zeros((0, 128)) if described is None else described[:most]
    return Keypoints(points - np.float32(BIAS), descriptors.astype(np.uint8))


class KeypointFile:
    """Keypoints of some of N images, by row.

    A keypoint takes 136 bytes, and all keypoints may not fit into memory. They are in a temporary file
    without a name, which disappears when this process ends, even if the process is killed.

    Attributes:
        counts: (N,) number of keypoints of each image; 0 if none were added.
    """

    def __init__(self, images: int, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)
        self._starts = np.zeros(images, np.int64)
        self.counts = np.zeros(images, np.int64)

    def __enter__(self) -> "KeypointFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __setitem__(self, row: int, keypoints: Keypoints) -> None:
        records = np.empty(len(keypoints.points), _RECORD)
        records["point"], records["descriptor"] = keypoints
        try:
            self._starts[row] = self._file.seek(0, os.SEEK_END)
            self._file.write(records.tobytes())
            self._file.flush()
        except OSError as error:
            raise OncovecError(f"keypoints cannot be kept on disk: {error.strerror}") from None
        self.counts[row] = len(records)

    def __getitem__(self, row: int) -> Keypoints:
        self._file.seek(self._starts[row])
        records = np.frombuffer(self._file.read(self.counts[row] * _RECORD.itemsize), _RECORD)
        return Keypoints(records["point"], records["descriptor"])


def gather(
    file: KeypointFile,
    copies: NDArray[np.uint8],
    shapes: NDArray[np.int32],
    rows: NDArray[np.int64],
    most: int,
) -> None:
    """Detect the keypoints of some images on all cores, and write them into a file.

    Args:
        file: the file to fill.
        copies: (N, 128, 128) grey, each image in the upper left corner.
        shapes: (N, 2) height and width of each image in its copy.
        rows: rows of the images.
        most: largest number of keypoints per image.
    """
    chunks = (rows[start : start + CHUNK].tolist() for start in range(0, len(rows), CHUNK))
    greys = ([crop(copies, shapes, row) for row in chunk] for chunk in chunks)
    found = chain.from_iterable(ordered_map(partial(_detect_all, most), greys))
    for row, keypoints in zip(rows.tolist(), progress(found, "keypoints", total=len(rows)), strict=True):
        file[row] = keypoints


def crop(copies: NDArray[np.uint8], shapes: NDArray[np.int32], row: int) -> NDArray[np.uint8]:
    """Read one small copy (H, W) into memory, without the black area around it."""
    height, width = shapes[row]
    return np.array(copies[row, :height, :width])


def _detect_all(most: int, greys: Sequence[NDArray[np.uint8]]) -> list[Keypoints]:
    return [detect(grey, most) for grey in greys]
