"""Features of images: a vector from a pretrained backbone, SIFT keypoints, and a small grey image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from oncovec.core.parallel import ordered_map
from oncovec.core.progress import progress
from oncovec.data.decode import decode, fit
from oncovec.data.duplicates.features import GREY, writing
from oncovec.data.tree import Folder
from oncovec.learning import backbones, weights
from oncovec.learning.images import Images, chunks

BACKBONE = "tf_efficientnet_lite0"
"""Its ImageNet weights come with a package, so no hub is asked."""

CONTRAST = 0.002
"""Least contrast of a keypoint, a twentieth of OpenCV's: dermoscopy and darkened copies have few above."""

BIAS = 0.25
"""px by which OpenCV places a keypoint too far right and down, since it doubles the image first."""

MEAN, SPREAD = 128, 48
"""Of each colour channel that the backbone sees, in levels of 255; the spread is the standard deviation."""

LEAST_SPREAD = 4.0
"""Levels of a channel that are taken for a flat one's spread, so that its noise is not blown up."""

CHUNK = 32
"""Images a worker hands back at once."""

BLOCK = 256
"""Images whose pixels wait for the backbone at once."""

# Work is spread over processes: a pool of OpenCV's threads in the parent would leave its forks waiting.
cv2.setNumThreads(1)


class Seen(NamedTuple):
    """What one image is compared by, and its pixels for the backbone.

    `square` is uint8 (size, size, 3) as the backbone gets it, `grey` uint8 (128, 128) with the image in its
    upper left corner, `shape` its (height, width) there, `points` (K, 2) x and y on the canvas, `descriptors`
    (K, 128) uint8.
    """

    square: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    shape: tuple[int, int]
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]


def write(
    tree: Folder, images: Mapping[str, str], folder: Path, size: int, keypoints: int, device: torch.device
) -> None:
    """Decode every image once and write its features, with all cores; memory is bounded by a few blocks.

    Args:
        tree: where the images lie.
        images: sha256 by path, in the order of the index.
        folder: of the feature set.
        size: side in px of what the backbone sees.
        keypoints: the strongest of an image that are kept.
        device: where the backbone computes.

    Raises:
        OncovecError: when an image that the index has is missing, changed or does not decode any more.
    """
    items = list(images.items())
    parts = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    found = chain.from_iterable(ordered_map(partial(_look_at, tree, size, keypoints), parts))
    network = _network(size, device)
    with writing(folder) as writer, progress((), f"features {folder.name}", total=len(items)) as bar:
        for block in _blocks(found, BLOCK):
            writer.append(
                vectors=vectors(network, np.stack([seen.square for seen in block]), device),
                greys=np.stack([seen.grey for seen in block]),
                shapes=[seen.shape for seen in block],
                counts=[len(seen.points) for seen in block],
                points=np.concatenate([seen.points for seen in block]),
                descriptors=np.concatenate([seen.descriptors for seen in block]),
            )
            bar.update(len(block))


def look(image: Image.Image, size: int, keypoints: int) -> Seen:
    """Find the keypoints of an image (SIFT, Lowe 2004) and shrink it for the rest.

    Keypoints are sought where the longer side has 256 px, to which small images are enlarged, so that an
    image and a smaller copy of it are described alike.

    Args:
        image: RGB.
        size: side in px of the square for the backbone; the image is stretched to it.
        keypoints: the strongest that are kept.
    """
    bright = image.convert("L")
    sift = cv2.SIFT.create(nfeatures=keypoints, contrastThreshold=CONTRAST)
    found, described = sift.detectAndCompute(_resized(bright, 2 * GREY), None)
    # OpenCV may return a few more than asked where responses are equal.
    points = np.array([point.pt for point in found[:keypoints]], np.float32).reshape(-1, 2)
    descriptors = np.zeros((0, 128)) if described is None else described[:keypoints]
    small = _resized(bright, GREY)
    grey = np.zeros((GREY, GREY), np.uint8)
    grey[: small.shape[0], : small.shape[1]] = small
    square = _evened(fit(image, size, "squash"))
    return Seen(square, grey, small.shape, points - np.float32(BIAS), descriptors.astype(np.uint8))


@torch.inference_mode()
def vectors(network: nn.Module, squares: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """Mean over the four quarter turns of what the backbone says of each image, of length 1.

    The mean does not change when an image is turned by a quarter, and hardly when it is mirrored.

    Args:
        network: from `(B, 3, size, size)` to `(B, 1280)`.
        squares: uint8 (B, size, size, 3).
        device: the network's.
    """
    images = Images(squares, device, squares.shape[1], backbones.preprocessing(BACKBONE))
    found: list[Tensor] = []
    for rows in chunks(np.arange(len(squares)), 64):
        pixels = images.normalise(images.take(rows))
        turned = [torch.rot90(pixels, turn, (2, 3)) for turn in range(4)]
        views = [network(view.contiguous(memory_format=torch.channels_last)) for view in turned]
        found.append(F.normalize(torch.stack(views).mean(0), dim=1).cpu())
    return np.asarray(torch.cat(found).numpy())


def _network(size: int, device: torch.device) -> nn.Module:
    network, _ = backbones.build(BACKBONE, size)
    weights.load(network, BACKBONE, "imagenet")
    return network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _evened(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take away what a turn cuts off or fills in, and what brightness, contrast and white balance change.

    All but the inscribed disc becomes grey; within it each channel gets the same mean and spread.
    """
    size = square.shape[0]
    offsets = np.arange(size) - (size - 1) / 2
    inside = np.hypot(offsets[:, None], offsets) <= size / 2
    pixels = square[inside].astype(np.float32)
    spread = np.maximum(pixels.std(axis=0), LEAST_SPREAD)
    evened = np.full_like(square, MEAN)
    evened[inside] = np.clip((pixels - pixels.mean(axis=0)) / spread * SPREAD + MEAN, 0, 255).round()
    return evened


def _look_at(tree: Folder, size: int, keypoints: int, images: Sequence[tuple[str, str]]) -> list[Seen]:
    return [look(decode(tree, image, 2 * GREY, sha256), size, keypoints) for image, sha256 in images]


def _resized(image: Image.Image, longer: int) -> NDArray[np.uint8]:
    scale = longer / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def _blocks(items: Iterable[Seen], size: int) -> Iterator[list[Seen]]:
    block: list[Seen] = []
    for item in items:
        block.append(item)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
