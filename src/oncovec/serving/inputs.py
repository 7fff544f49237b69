"""Images from Python users: rules that distinguish one image, several images, and other values."""

import errno
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from oncovec.core.errors import OncovecError
from oncovec.data.decode import UnreadableImageError, decode, fit, from_memory
from oncovec.data.samples import DEPTHS, SLACK, Window, windowed
from oncovec.data.tree import UNNAMED, alone, is_plain_text

ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | NDArray[Any] | torch.Tensor

CHANNELS = (1, 3, 4)
"""Numbers of channels: grey, RGB, RGB and alpha."""

OF_ITEMS = "OSTU"
"""NumPy's kinds of one-dimensional arrays whose elements are not numbers."""

_LOCKS = tuple(threading.Lock() for _ in range(16))
"""Locks, so that one thread at a time loads a Pillow image; different images mostly use different locks."""


def singles(images: ImageLike | Iterable[ImageLike]) -> Iterator[Any]:
    """Iterate over the single images in the input; they are read only as fast as they are taken.

    One image is
    - a path, as str or `os.PathLike`;
    - a Pillow image;
    - an array (H, W) or (H, W, 1), grey; (H, W, 3), RGB; (H, W, 4), RGB and alpha;
    - a torch tensor with its channels first: (1, H, W), (3, H, W), (4, H, W); otherwise as an array.

    Several images are
    - a list, a tuple, a generator, a pandas Series or any other iterable of single images. An array in it may
      also have its channels first: (1, H, W), (3, H, W), (4, H, W);
    - an array or tensor with one more dimension: (N, H, W), (N, H, W, C), (N, C, H, W).

    If a shape fits two of these forms, the first one applies: (N, H, 3) is an RGB image, not N grey images
    that are 3 px wide. An array (3, H, W) or (4, H, W) by itself is refused, since it may be one image or
    several. Sets are refused, since they have no order. Containers with named images, such as a dict, are
    refused too.

    The meaning of numbers depends on their type, for each image separately:
    - uint8: 0 to 255; bool: black and white; floats: 0 to 1 if all values fit, else 0 to 255;
    - other integers: the smallest of 0 to 255, 0 to 4095 and 0 to 65535 that all values fit, as in files. For
      a system whose dataset has a `window`, they are stored values or HU of any sign, which it maps.
    Negative, larger and non-finite numbers are refused. Values with an unclear range are refused too: floats
    with a maximum between 1 and 2, and uint16 with a maximum below 256.

    Raises:
        OncovecError: if the input is neither one image nor several. An element that is not an image causes no
            error here; `square` returns the reason for it.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        return iter([images])
    if _is_array(images):
        return _of_array(images)
    if reason := _why_neither(images):
        raise OncovecError(f"images: {reason}")
    try:
        return iter(images)
    except TypeError:
        raise OncovecError(f"images: {_kind(images)} is neither an image nor several") from None


def square(
    image: Any, size: int, resize: Literal["keep", "squash"], window: Window | None = None
) -> NDArray[np.uint8] | str:
    """Read one image in the same way as preparation.

    Returns:
        uint8 (size, size, 3); if the image cannot be read, one line with the reason.
    """
    try:
        return fit(_picture(image, size, window), size, resize)
    except UnreadableImageError as error:
        return error.reason


def path_of(image: object) -> str:
    """Return the path of an image if the image is given as a path; else ''."""
    return os.fsdecode(image) if isinstance(image, str | os.PathLike) else ""


def _picture(image: Any, size: int, window: Window | None) -> Image.Image:
    """Read one image, upright and in 8-bit RGB."""
    if isinstance(image, str | os.PathLike):
        return _of_file(Path(path_of(image)), size, window)
    if isinstance(image, Image.Image):
        with _LOCKS[hash(id(image) // 16) % len(_LOCKS)]:
            return from_memory(image, window)
    if _is_array(image):
        return from_memory(_pixels(image, window))
    if isinstance(image, list | tuple):
        raise _refused(f"a {_kind(image)} among the images: give single ones in one flat list")
    raise _refused(_why_neither(image) or f"{_kind(image)} is no image")


def _of_file(path: Path, size: int, window: Window | None) -> Image.Image:
    if not is_plain_text(str(path)) and os.path.lexists(path):
        raise UnreadableImageError(str(path), UNNAMED)
    try:
        return decode(*alone(path), size, window)
    except UnreadableImageError as error:
        if os.strerror(errno.EISDIR) in error.reason:
            advice = f"list its images, as in sorted(Path({str(path)!r}).glob('*.png'))"
            raise _refused(f"{path} is a folder: {advice}") from None
        raise


def _refused(reason: str) -> UnreadableImageError:
    return UnreadableImageError("image in memory", reason)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _why_neither(value: Any) -> str:
    """Return why a value is neither one image nor several, as `singles` defines them; '' if it may be."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{_kind(value)}: give a path as str, or PIL.Image.open(io.BytesIO(...)) of a file's content"
    if isinstance(value, set | frozenset):
        return f"a {_kind(value)} has no order: give a list"
    if isinstance(value, Mapping):
        return f"a {_kind(value)} holds images under names: give list(images.values())"
    if hasattr(value, "columns"):
        return f"a {_kind(value)} is a table: give one column of it"
    if hasattr(value, "read"):
        return "an open file: give its path, or PIL.Image.open(file)"
    return ""


def _is_array(value: object) -> bool:
    """Return whether a value is an array of NumPy, torch, or another library that NumPy can read."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, bytes | str)


def _told(array: Any) -> str:
    """Return the type and shape of an array, for error messages."""
    return f"{_kind(array)} {str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}"


def _of_array(images: Any) -> Iterator[Any]:
    """Iterate over the single images of an array, according to its shape."""
    shape, dimensions = tuple(images.shape), len(images.shape)
    is_tensor = isinstance(images, torch.Tensor)
    if dimensions == 1 and (shape[0] == 0 or (not is_tensor and _is_of_items(images))):
        return iter(images)
    layout = _layout(shape, is_tensor)
    if layout == "CHW" and shape[0] > 1 and not is_tensor:
        raise OncovecError(
            f"images: {_told(images)} may be one image or {shape[0]} grey ones: give "
            "images.transpose(1, 2, 0), or list(images)"
        )
    if layout:
        return iter([images])
    if dimensions in (3, 4) and (shape[0] == 0 or _layout(shape[1:], is_tensor)):
        return iter(images)
    raise OncovecError(
        f"images: {_told(images)} is neither an image, (H, W) or (H, W, 1, 3 or 4), nor several"
    )


def _is_of_items(array: Any) -> bool:
    return getattr(array.dtype, "kind", "O") in OF_ITEMS


def _layout(shape: tuple[int, ...], is_tensor: bool) -> str:
    """Return the axes of one image, `HW`, `HWC` or `CHW`, by its shape; '' if no layout fits."""
    if len(shape) == 2:
        return "HW"
    orders = ("CHW", "HWC") if is_tensor else ("HWC", "CHW")
    fitting = [order for order in orders if len(shape) == 3 and shape[order.index("C")] in CHANNELS]
    return fitting[0] if fitting else ""


def _pixels(image: Any, window: Window | None) -> Image.Image:
    """Convert an array of one image to a Pillow image."""
    layout = _layout(tuple(image.shape), isinstance(image, torch.Tensor))
    told = _told(image)
    if not layout:
        raise _refused(f"{told} is no single image, (H, W) or (H, W, 1, 3 or 4)")
    try:
        values = _to_numpy(image)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise _refused(f"{told} cannot be read: {reason}") from None
    if layout == "CHW":
        values = values.transpose(1, 2, 0)
    if not values.size:
        raise _refused(f"{told} has no pixels")
    pixels = _to_uint8(values, told, window)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


def _to_numpy(image: Any) -> NDArray[Any]:
    if isinstance(image, torch.Tensor):
        # NumPy has no bfloat16. No float type that NumPy lacks is more precise than double.
        tensor = image.detach().cpu()
        return (tensor.double() if tensor.is_floating_point() else tensor).numpy(force=True)
    if np.ma.is_masked(image):
        raise ValueError("it has masked values; fill them first")
    return np.asarray(image)


def _to_uint8(values: NDArray[Any], told: str, window: Window | None) -> NDArray[np.uint8]:
    """Convert numbers to 8 bits, by the rules of `singles`."""
    kind, width = values.dtype.kind, values.dtype.itemsize
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if (kind, width) == ("u", 1):
        return values
    if kind not in "iuf":
        hint = "; paths belong into one flat list" if kind in OF_ITEMS else ""
        raise _refused(f"{told} holds no integers or floats{hint}")
    if window and kind in "iu":
        return windowed(values, *window)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise _refused(f"{told} holds values that are not finite")
    tops = (1, 255) if kind == "f" else tuple(2**depth - 1 for depth in DEPTHS)
    top = next((top for top in tops if high <= top * (1 + SLACK)), tops[-1])
    allowed = " or ".join(f"0 to {each}" for each in (tops[0], tops[-1]))
    span = f"{told} holds values from {low:g} to {high:g}"
    if low < -SLACK * top or high > top * (1 + SLACK):
        raise _refused(f"{span}: give {allowed}, as they are before any normalisation")
    if kind == "f" and top == 255 and high < 2:
        raise _refused(f"{span}, neither {allowed}: clip them to 0 to 1 if that is what they are")
    if (kind, width) == ("u", 2) and 0 < high < 256:
        raise _refused(f"{span}: give uint8 if they have 8 bits, or multiply them")
    eight: NDArray[np.uint8] = np.rint(values * (255 / top)).astype(np.uint8)
    return eight
