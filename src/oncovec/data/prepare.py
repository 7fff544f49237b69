"""Preparation: read every image once; write the index, the stored squares and the small copies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, NamedTuple
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.core import paths
from oncovec.core.errors import OncovecError, not_there
from oncovec.core.files import read_json, write_json
from oncovec.core.parallel import ordered_map
from oncovec.core.progress import progress
from oncovec.data import index
from oncovec.data.decode import Facts, Square, UnreadableImageError, fit, read_image
from oncovec.data.layouts.listing import Listing
from oncovec.data.small_copies import SIDE, copy_of, shape_of
from oncovec.data.tree import Folder

CHUNK = 32
"""Largest number of images that a worker returns at once."""

CHUNK_BYTES = 2**23
"""Largest memory in bytes of the images that a worker returns at once, unless one image takes more."""

HEADER = 128
"""Size in bytes of NumPy's header; it is written last, when the number of rows is known."""

Pixels = NDArray[np.uint8]


class Prepared(NamedTuple):
    """A prepared image: its facts, its stored square, and its small grey copy."""

    facts: Facts
    square: Pixels
    copy: Pixels


def prepare(
    tree: Folder, listing: Listing, folder: Path, stored: Square, workers: int | None = None
) -> index.Index:
    """Read each image of a listing once, and write everything except `facts.json` into `folder`.

    Writes `index.csv`, `unreadable.csv`, `images.npy` (N, size, size, 3) uint8 and `copies.npy` (N, 128, 128)
    uint8, in the order of the index. Memory is limited to a few chunks per worker and the size of one file.

    Args:
        tree: tree of the images.
        listing: the images to read.
        folder: the output folder.
        stored: how an image becomes a stored square.
        workers: number of processes; None for one per core. The result does not depend on it.

    Raises:
        OncovecError: if fewer classes than `listing.least` are left without the unreadable files.
    """
    names = [record.image for record in listing.records]
    count = max(1, min(CHUNK, CHUNK_BYTES // (3 * stored.size**2 + SIDE**2)))
    chunks = [names[start : start + count] for start in range(0, len(names), count)]
    found = chain.from_iterable(ordered_map(partial(_read, tree, stored), chunks, workers))
    measured: list[Facts | str] = []
    with (
        growing(folder / "images.npy", (stored.size, stored.size, 3)) as images,
        growing(folder / "copies.npy", (SIDE, SIDE)) as copies,
    ):
        for each in progress(found, f"preprocess {tree.root.name}", total=len(names)):
            if isinstance(each, str):
                measured.append(each)
                continue
            measured.append(each.facts)
            images.write(each.square.tobytes())
            copies.write(each.copy.tobytes())
    table = index.build(tree, listing, measured)
    index.write(table, folder / "index.csv", folder / "unreadable.csv")
    return table


def _read(tree: Folder, stored: Square, images: Sequence[str]) -> list[Prepared | str]:
    return [_read_one(tree, image, stored) for image in images]


def _read_one(tree: Folder, image: str, stored: Square) -> Prepared | str:
    try:
        (picture, small), facts = read_image(tree, image, [stored.size, SIDE], stored.window)
    except UnreadableImageError as error:
        return error.reason
    return Prepared(
        facts, fit(picture, stored.size, stored.resize), copy_of(small, facts.width, facts.height)
    )


@contextmanager
def growing(path: Path, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Yield a file to which rows of uint8 are appended; at the end of the block it is an npy array.

    Args:
        path: the file.
        shape: shape of one row.
    """
    with path.open("wb") as stream:
        stream.seek(HEADER)
        yield stream
        rows = (stream.tell() - HEADER) // int(np.prod(shape))
        stream.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_1_0(stream, header)
        if stream.tell() != HEADER:
            raise AssertionError(f"NumPy's header takes {stream.tell()} bytes, not {HEADER}")


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write the facts of the prepared array: source, image_size, resize, images, window, and limits."""
    write_json(folder / "facts.json", facts)


def open_prepared(dataset: str) -> Pixels:
    """Open a dataset's prepared array, memory-mapped and read-only.

    Returns:
        uint8 (N, H, W, 3), in the order of the dataset's index.

    Raises:
        OncovecError: if the array is missing, truncated, or does not match its facts.
    """
    facts = prepared_facts(dataset)
    size = facts["image_size"]
    return _open(paths.images(dataset), dataset, (facts["images"], size, size, 3))


def open_copies(dataset: str) -> tuple[Pixels, NDArray[np.int32]]:
    """Open a dataset's small grey copies, memory-mapped and read-only.

    Returns:
        uint8 (N, 128, 128), with each image in the upper left corner, and int32 (N, 2), its height and width
        in the copy.

    Raises:
        OncovecError: if the copies are missing, truncated, or do not match the index.
    """
    table = index.read(paths.index(dataset))
    try:
        found = shapes(table)
    except (ValueError, ZeroDivisionError):
        raise _unusable(paths.index(dataset), dataset, "a width or height is no number of px") from None
    return _open(paths.copies(dataset), dataset, (len(table), SIDE, SIDE)), found


def shapes(table: pd.DataFrame) -> NDArray[np.int32]:
    """Return the height and width of each image of an index in its small copy: (N, 2)."""
    sizes = zip(map(int, table["width"]), map(int, table["height"]), strict=True)
    return np.array([shape_of(*size) for size in sizes], np.int32).reshape(-1, 2)


def depths(table: pd.DataFrame) -> list[str]:
    """Return a line for each number of bits that deeper images were taken for; see `decode.decode`."""
    bits = table["mode"].str.extract(r" in (\d+) bits$")[0].dropna().value_counts().sort_index()
    return [f"{count} images of more bits hold {bits} and are read as such" for bits, count in bits.items()]


def blank(copies: Pixels, shapes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Find the images that show nothing: all pixels of their copy are equal. See `open_copies`."""
    parts = (copy[:height, :width] for copy, (height, width) in zip(copies, shapes.tolist(), strict=True))
    return np.array([part.min() == part.max() for part in parts], bool).reshape(-1)


def _open(path: Path, dataset: str, shape: tuple[int, ...]) -> Pixels:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise _unusable(path, dataset, error) from None
    except (ValueError, EOFError, OSError, TokenError, SyntaxError, BadZipFile):
        # NumPy's message is not shown, because it advises to load the file unsafely.
        raise _unusable(path, dataset, "damaged, or no array at all") from None
    if array.dtype != np.uint8 or array.shape != shape:
        raise _unusable(path, dataset, f"{array.dtype} {array.shape} is not what was prepared")
    return array


def prepared_facts(dataset: str) -> dict[str, Any]:
    """Read the facts of the prepared array.

    Raises:
        OncovecError: if the file is missing or damaged.
    """
    path = paths.prepared_facts(dataset)
    try:
        facts = read_json(path)
    except (ValueError, OSError) as error:
        raise _unusable(path, dataset, error) from None
    if not isinstance(facts, dict) or not facts.keys() >= {"source", "images", "image_size", "resize"}:
        raise _unusable(path, dataset, "not what preparation writes")
    return facts


def _unusable(path: Path, dataset: str, error: Exception | str) -> OncovecError:
    if isinstance(error, FileNotFoundError):
        return not_there(path, f"preprocess@{dataset}")
    reason = " ".join(str(error).split())
    return OncovecError(f"{path}: {reason}; run `dvc repro preprocess@{dataset}` to write it again")
