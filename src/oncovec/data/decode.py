"""Decoding: read image files to pixels, in the same way for preparation and for prediction."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from oncovec.core.errors import OncovecError
from oncovec.data import bit_depth, dicom, tiff
from oncovec.data.quiet import QUIET
from oncovec.data.samples import Samples, UnknownSamplesError, Window
from oncovec.data.tree import Folder
from oncovec.data.upright import DAMAGED, of_samples, upright

# A colour profile or a note of more than 1 MiB is usual in some archives; Pillow takes it for an attack.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 2**28

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP")
"""Formats that Pillow reads here. Others are refused: some of Pillow's readers start external programs."""

_MOST_PIXELS = 1024**3 // 12
"""Largest number of pixels of an image, 256 MiB as RGB; above it Pillow warns."""


_UNKNOWN = "not an image that is read (JPEG, PNG, TIFF, BMP, GIF, WebP, DICOM), or damaged at its start"
_NO_IMAGES = {
    b"version https://git-lfs": "a pointer of Git LFS, no image: fetch the image with `git lfs pull`",
    b"<": "a web page or XML, no image",
    b"PK\3\4": "an archive, no image",
    b"\x1f\x8b": "an archive, no image",
    bytes(64): "no image: its first bytes are all zero, as after an interrupted copy",
}
"""Reasons why a file is no image, by its first bytes."""


class UnreadableImageError(OncovecError):
    """Error for a file that is not an image or is damaged; `reason` is one line without the file name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.reason}"


@dataclass(frozen=True)
class Facts:
    """Width and height in px of the upright image, mode as stored, and hash of the file's bytes.

    The mode is Pillow's, or the type and channels of the values of a deep TIFF or PNG, such as `uint16 x 3`,
    or that of a DICOM file, see `dicom.read`. It ends with `in 12 bits` if the values of a deeper image fit
    into fewer bits.
    """

    width: int
    height: int
    mode: str
    sha256: str


class Square(NamedTuple):
    """How an image becomes a stored square: side in px, see `fit` for `resize`, `decode` for `window`."""

    size: int
    resize: Literal["keep", "squash"]
    window: Window | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Square":
        """Return what the facts of prepared images or of a trained system record; a window may be missing."""
        window = facts.get("window")
        return cls(facts["image_size"], facts["resize"], tuple(window) if window else None)


def read_image(
    tree: Folder, path: str, sizes: Sequence[int], window: Window | None = None
) -> tuple[list[Image.Image], Facts]:
    """Read a file once, measure and hash it, and decode it for each of `sizes`.

    A JPEG may be reduced in decoding. It is decoded once per reduction; most sizes need the same one. So the
    result for one size never depends on the other sizes.

    Args:
        tree: tree of the file.
        path: path of the file in the tree.
        sizes: sizes in px, see `size_hint` of `decode`.
        window: see `decode`.

    Returns:
        The result of `decode` for each size, and the facts of the whole image.

    Raises:
        UnreadableImageError: for anything that is not a complete image.
    """
    content = _read(tree, path)
    images, (width, height), mode = _decode(tree.where(path), content, sizes, window)
    return images, Facts(width, height, mode, hashlib.sha256(content).hexdigest())


def decode(
    tree: Folder, path: str, size_hint: int | None = None, window: Window | None = None
) -> Image.Image:
    """Decode the first frame of a file to an upright image in 8-bit RGB.

    The first bytes of a file decide what it is, not its suffix. Transparent areas are put on black; if all of
    the image is transparent, its transparency means nothing. Colour profiles are not applied. Values of more
    or fewer than 8 bits are mapped as follows:

    - Unsigned integers have the range of the bits that the file's header names: 4095 of 12 bits and 65535 of
      16 bits become 255. 16 and 32 bits are often used for fewer. So their range is the smallest of 8, 12 and
      16 bits that has all values of the image, and the facts name it.
    - Signed integers without a negative value likewise, with one bit less than their type.
    - Floats have the range 0 to 1, or 0 to 255 if they do not fit. A maximum between 1 and 2 is refused.
    - Other integers and floats are stretched from their smallest to their largest value.
    - Alpha has the range of the fewest of 8, 12 and 16 bits that has all its values.
    - Values that are not finite become black.

    With a window, the stored values of an image of more than 8 bits are stretched from `low` to `high`
    instead. DICOM has rules of its own, see `dicom.read`.

    Args:
        tree: tree of the file.
        path: path of the file in the tree.
        size_hint: in px; a JPEG may then be reduced by 2, 4 or 8, with a shorter side of at least this size.
        window: values that become black and white; None for the rules above.

    Raises:
        UnreadableImageError: for anything that is not a complete image.
    """
    return _decode(tree.where(path), _read(tree, path), [size_hint], window)[0][0]


def from_memory(image: Image.Image | np.ndarray, window: Window | None = None) -> Image.Image:
    """Convert an image in memory to the form that `decode` returns: upright and in 8-bit RGB.

    Args:
        image: any Pillow image; or an array (H, W) of any number type, (H, W, 3) or (H, W, 4) of uint8.
        window: see `decode`.

    Raises:
        UnreadableImageError: for another type of array, or a Pillow image whose file is damaged.
    """
    try:
        rgb, *_ = upright(image if isinstance(image, Image.Image) else Image.fromarray(image), window)
        if all(rgb.size):
            return rgb
        reason = "has no pixels"
    except UnknownSamplesError as error:
        reason = f"is not read: {error}"
    except DAMAGED:
        reason = "is damaged, or no array (H, W), (H, W, 3) or (H, W, 4) of a type that is read"
    what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise UnreadableImageError("image in memory", f"{what} {reason}")


def fit(image: Image.Image, size: int, resize: Literal["keep", "squash"]) -> np.ndarray:
    """Resize an image to a square, with bicubic interpolation and antialiasing.

    Args:
        image: RGB.
        size: side of the square in px.
        resize: `keep` keeps the aspect ratio and centres the image on black, `squash` stretches it.

    Returns:
        uint8 (size, size, 3).
    """
    if resize == "squash":
        return np.array(image.resize((size, size), Image.Resampling.BICUBIC))
    longer = max(image.size)
    width, height = (max(1, round(side * size / longer)) for side in image.size)
    square = Image.new("RGB", (size, size))
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    return np.array(square)


def _read(tree: Folder, path: str) -> bytes:
    name = tree.where(path)
    try:
        content = tree.read(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise UnreadableImageError(name, f"cannot be opened: {reason}") from None
    if not content:
        raise UnreadableImageError(name, "empty file")
    return content


def _decode(
    name: str, content: bytes, sizes: Sequence[int | None], window: Window | None
) -> tuple[list[Image.Image], tuple[int, int], str]:
    """Return an upright RGB image per size, perhaps reduced; the full size; and the stored mode."""
    try:
        with QUIET:
            return _decode_each(content, sizes, window)
    except UnidentifiedImageError:
        named = name.lower().endswith(tuple(f".{suffix}" for suffix in dicom.SUFFIXES))
        otherwise = dicom.NO_PREAMBLE if named else _UNKNOWN
        reason = next((what for start, what in _NO_IMAGES.items() if content.startswith(start)), otherwise)
    except UnknownSamplesError as error:
        reason = str(error)
    except Image.DecompressionBombError:
        reason = f"more than {_MOST_PIXELS} pixels (decompression bomb?): reduce it first"
    except DAMAGED as error:
        # Pillow's messages contain memory addresses, but a file must give the same line on every run.
        told = str(error).lower()
        if "truncated" in told:
            reason = "truncated"
        elif "unsupported" in told:
            reason = "a kind of this format that is not read: save it again as PNG"
        else:
            reason = f"damaged ({type(error).__name__} in decoding)"
    raise UnreadableImageError(name, reason)


def _decode_each(
    content: bytes, sizes: Sequence[int | None], window: Window | None
) -> tuple[list[Image.Image], tuple[int, int], str]:
    if dicom.is_dicom(content):
        samples: Samples | None = dicom.read(content, _MOST_PIXELS, window)
    else:
        samples = bit_depth.read(content, _MOST_PIXELS)
    if samples is None:
        try:
            return _decode_by_pillow(content, sizes, window)
        except UnidentifiedImageError:
            if content[:4] not in tiff.STARTS:
                raise
            samples = tiff.read(content, _MOST_PIXELS, pillow_failed=True)
            if samples is None:
                raise
    image, bits = of_samples(samples, window)
    return [image] * len(sizes), image.size, samples.mode + bits


def _decode_by_pillow(
    content: bytes, sizes: Sequence[int | None], window: Window | None
) -> tuple[list[Image.Image], tuple[int, int], str]:
    decoded: dict[tuple[int, int], Image.Image] = {}
    images = []
    for size in sizes:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            mode, (width, height) = image.mode, image.size
            if width * height > _MOST_PIXELS:
                raise Image.DecompressionBombError
            if size:
                image.draft(None, (size, size))
            reduced = image.size
            if reduced not in decoded:
                decoded[reduced], orientation, bits = upright(image, window)
            images.append(decoded[reduced])
    return images, (height, width) if orientation >= 5 else (width, height), mode + bits
