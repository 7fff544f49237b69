"""The features of a dataset's images on disk, by which near copies are found without reading an image."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing

GREY = 128
"""Longer side in px of the grey images."""

HEADER = 128
"""Bytes that NumPy's header takes; it is written last, when the number of rows is known."""

COLUMNS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "vectors": (np.float16, (1280,)),
    "greys": (np.uint8, (GREY, GREY)),
    "shapes": (np.int32, (2,)),
    "counts": (np.int32, ()),
    "points": (np.float32, (2,)),
    "descriptors": (np.uint8, (128,)),
}
"""Arrays of a feature set, one file each: type and shape of a row."""


@dataclass(frozen=True)
class FeatureSet:
    """The features of N images in the order of the index, with K keypoints in all; memory-mapped.

    Attributes:
        folder: where it lies.
        vectors: (N, 1280) float16 of length 1, by which candidates are found.
        greys: (N, 128, 128) uint8, the image in the upper left corner.
        shapes: (N, 2) height and width in px of the image there.
        offsets: (N + 1,) where each image's keypoints begin.
        points: (K, 2) float32, x and y in px of the canvas, whose sides are twice those of the grey image.
        descriptors: (K, 128) uint8, SIFT.
    """

    folder: Path
    vectors: NDArray[np.float16]
    greys: NDArray[np.uint8]
    shapes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.vectors)

    def __reduce__(self) -> tuple[Callable[[Path], "FeatureSet"], tuple[Path]]:
        # A worker maps the files itself instead of being sent their content.
        return open_features, (self.folder,)


class Writer:
    """Appends rows to the arrays of a feature set."""

    def __init__(self, files: Mapping[str, BinaryIO]) -> None:
        self._files = files
        self._rows = dict.fromkeys(files, 0)
        for file in files.values():
            file.seek(HEADER)

    def append(self, **blocks: Any) -> None:
        """Append a block of rows to each array named."""
        for name, block in blocks.items():
            dtype, shape = COLUMNS[name]
            rows = np.ascontiguousarray(block, dtype).reshape(-1, *shape)
            self._files[name].write(rows.tobytes())
            self._rows[name] += len(rows)

    def finish(self) -> None:
        """Write the headers, which say how many rows there are."""
        for name, file in self._files.items():
            dtype, shape = COLUMNS[name]
            described = np.lib.format.dtype_to_descr(np.dtype(dtype))
            header = {"descr": described, "fortran_order": False, "shape": (self._rows[name], *shape)}
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, header)
            if file.tell() != HEADER:
                raise AssertionError(f"NumPy's header takes {file.tell()} bytes, not {HEADER}")


@contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    """Yield a writer of the feature set in `folder`; its files are replaced when the block has succeeded."""
    with ExitStack() as stack:
        parts = {name: stack.enter_context(replacing(folder / f"{name}.npy")) for name in COLUMNS}
        files = {name: stack.enter_context(part.open("wb")) for name, part in parts.items()}
        writer = Writer(files)
        yield writer
        writer.finish()


def open_features(folder: Path, images: int | None = None) -> FeatureSet:
    """Open the features in `folder`, memory-mapped and read-only.

    Args:
        folder: as `writing` left it.
        images: how many there must be.

    Raises:
        OncovecError: when one of the files is missing, damaged, or does not fit the others.
    """
    arrays = {name: _open(folder / f"{name}.npy") for name in COLUMNS}
    counts = arrays.pop("counts")
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    lengths = {len(arrays[name]) for name in ("vectors", "greys", "shapes")} | {len(counts)}
    if images is not None:
        lengths.add(images)
    if len(lengths) > 1 or {len(arrays["points"]), len(arrays["descriptors"])} != {int(offsets[-1])}:
        raise _unusable(folder, "its arrays do not fit each other, or the index")
    return FeatureSet(folder, offsets=offsets, **arrays)


def _open(path: Path) -> NDArray[Any]:
    dtype, shape = COLUMNS[path.stem]
    try:
        # A file without rows cannot be mapped.
        empty = path.stat().st_size == HEADER
        array: NDArray[Any] = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    except FileNotFoundError:
        raise _unusable(path, "not there yet") from None
    except (ValueError, EOFError, OSError, SyntaxError):
        raise _unusable(path, "damaged, or no array at all") from None
    if array.dtype != dtype or array.shape[1:] != shape:
        raise _unusable(path, f"{array.dtype} {array.shape} is not what was written")
    return array


def _unusable(path: Path, reason: str) -> OncovecError:
    return OncovecError(f"{path}: {reason}; run `dvc repro --force features@DATASET` to write it again")
