"""The prepared array: every image of a dataset as a uint8 square, memory-mapped."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tokenize import TokenError
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import read_json, replacing, write_json
from oncovec.core.parallel import ordered_map
from oncovec.core.progress import progress
from oncovec.data.decode import decode, fit
from oncovec.data.tree import Folder

CHUNK = 32
"""Images a worker hands back at once: bounds the memory to a few chunks a core."""

Resize = Literal["keep", "squash"]


def stored_size(sides: Sequence[int], image_size: int, enlarge: bool, cap: int | None) -> int:
    """Side of the stored square in px.

    Args:
        sides: longer side of each image in px.
        image_size: the size asked for.
        enlarge: whether images may be stored above the median of their own sides.
        cap: limit of a phantom run, None for none.
    """
    own = image_size if enlarge else int(median(sides))
    return min(image_size, own, cap or image_size)


def prepare(tree: Folder, images: Mapping[str, str], size: int, resize: Resize, target: Path) -> None:
    """Decode `images` of a tree and write them to `target` in this order, with all cores.

    Writes an array (N, size, size, 3) uint8; memory stays bounded by a few chunks a core.

    Args:
        tree: where the images lie.
        images: sha256 by path, as the index has them.
        size: side of the square in px.
        resize: how an image becomes a square.
        target: the file.

    Raises:
        OncovecError: when an image that the index has is missing, changed or does not decode any more.
    """
    items = list(images.items())
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with replacing(target) as part, progress((), f"preprocess {target.stem}", total=len(images)) as bar:
        shape = (len(images), size, size, 3)
        array = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        start = 0
        for block in ordered_map(partial(_decode_chunk, tree, size, resize), chunks):
            array[start : start + len(block)] = block
            start += len(block)
            bar.update(len(block))
        array.flush()


def _decode_chunk(tree: Folder, size: int, resize: Resize, images: Sequence[tuple[str, str]]) -> np.ndarray:
    return np.stack([fit(decode(tree, image, size, sha256), size, resize) for image, sha256 in images])


def write_facts(dataset: str, facts: dict[str, Any]) -> None:
    """Write what travels beside the array: source, image_size, resize, images, epochs."""
    write_json(paths.prepared_facts(dataset), facts)


def open_prepared(dataset: str) -> np.ndarray:
    """Open a dataset's prepared array, memory-mapped and read-only.

    Returns:
        uint8 (N, H, W, 3), in the order of the dataset's index.

    Raises:
        OncovecError: when it is missing, cut, or does not fit what stands beside it.
    """
    path = paths.prepared(dataset)
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise _unusable(path, dataset, error) from None
    except (ValueError, EOFError, OSError, TokenError, BadZipFile):
        # NumPy's own words advise to load the file unsafely.
        raise _unusable(path, dataset, "damaged, or no array at all") from None
    facts = prepared_facts(dataset)
    size = facts["image_size"]
    if array.dtype != np.uint8 or array.shape != (facts["images"], size, size, 3):
        raise _unusable(path, dataset, f"{array.dtype} {array.shape} is not what was prepared")
    return array


def prepared_facts(dataset: str) -> dict[str, Any]:
    """Read what travels beside the prepared array.

    Raises:
        OncovecError: when it is missing or damaged.
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
    reason = "not there yet" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
    return OncovecError(f"{path}: {reason}; run `dvc repro preprocess@{dataset}` to write it again")
