"""Textured images, copies of them by transforms that are known, and the small copies of both."""

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from oncovec.core.params import NearDuplicates
from oncovec.data.duplicates.keypoints import detect
from oncovec.data.duplicates.registration import view
from oncovec.data.phantoms import canvas
from oncovec.data.small_copies import copy_of, shape_of

SETTINGS = NearDuplicates(keypoints=400, neighbours=30, inliers=15, correlation=0.85)
"""As params.yaml has them."""


def texture(seed, width=160, height=120):
    """Smooth coloured noise, RGB; another seed gives another image."""
    rng, at = canvas.generator(seed, "texture"), canvas.grid(height, width)
    channels = [canvas.noise(rng, at, 0.3, 3) for _ in range(3)]
    return Image.fromarray(np.uint8(np.clip(128 + 50 * np.stack(channels, 2), 0, 255)))


class Copy(NamedTuple):
    """How a copy is made, and the (2, 3) matrix that says where it shows a place of an original of that size.

    Places are in px from the upper left corner, so the middle of the first pixel is at (0.5, 0.5).
    """

    make: Callable[[Image.Image], Image.Image]
    matrix: Callable[[int, int], np.ndarray]


def encoded(image, quality=50):
    """The image as a JPEG of that quality gives it."""
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def same(width, height):
    return affine(1, 0, 0, 0, 1, 0)


def affine(*numbers):
    return np.array(numbers, float).reshape(2, 3)


def about_middle(width, height, linear):
    """The linear map about the middle of the image."""
    middle = np.array([width, height]) / 2
    return np.column_stack([linear, middle - linear @ middle])


def turned(degrees):
    """Turned anticlockwise, as Pillow does, what leaves the frame cut off."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return Copy(
        lambda image: image.rotate(degrees, Image.Resampling.BICUBIC),
        lambda width, height: about_middle(width, height, np.array([[cos, sin], [-sin, cos]])),
    )


def moved(*back):
    """Every pixel taken from where this affine map says, black where that is outside."""
    inverse = np.linalg.inv(np.vstack([affine(*back), [0, 0, 1]]))[:2]
    return Copy(
        lambda image: image.transform(image.size, Image.Transform.AFFINE, back, Image.Resampling.BICUBIC),
        lambda width, height: inverse,
    )


def zoomed(edge):
    """The image without its edges, enlarged to its size."""

    def box(width, height):
        return (edge, edge, width - edge, height - edge)

    def matrix(width, height):
        across, down = width / (width - 2 * edge), height / (height - 2 * edge)
        return affine(across, 0, -edge * across, 0, down, -edge * down)

    return Copy(lambda image: image.resize(image.size, Image.Resampling.BICUBIC, box(*image.size)), matrix)


def smaller(image):
    return image.resize((image.width * 5 // 8, image.height * 5 // 8), Image.Resampling.BICUBIC)


def transposed(how, matrix):
    return Copy(lambda image: image.transpose(how), matrix)


COPIES = {
    "byte-copy": Copy(lambda image: image, same),
    "JPEG": Copy(encoded, same),
    "resized": Copy(smaller, lambda width, height: affine(0.625, 0, 0, 0, 0.625, 0)),
    "cropped": Copy(
        lambda image: image.crop((8, 6, image.width - 8, image.height - 6)),
        lambda width, height: affine(1, 0, -8, 0, 1, -6),
    ),
    "darker": Copy(lambda image: ImageEnhance.Brightness(image).enhance(0.4), same),
    "flipped left to right": transposed(
        Image.Transpose.FLIP_LEFT_RIGHT, lambda width, height: affine(-1, 0, width, 0, 1, 0)
    ),
    "flipped upside down": transposed(
        Image.Transpose.FLIP_TOP_BOTTOM, lambda width, height: affine(1, 0, 0, 0, -1, height)
    ),
    "quarter turn": transposed(
        Image.Transpose.ROTATE_90, lambda width, height: affine(0, 1, 0, -1, 0, width)
    ),
    "half turn": transposed(
        Image.Transpose.ROTATE_180, lambda width, height: affine(-1, 0, width, 0, -1, height)
    ),
    "three quarter turn": transposed(
        Image.Transpose.ROTATE_270, lambda width, height: affine(0, -1, height, 1, 0, 0)
    ),
    "turned by 7": turned(7),
    "turned by 30": turned(30),
    "shifted": moved(1, 0, 16, 0, 1, -10),
    "zoomed": zoomed(10),
    "zoomed across": moved(0.75, 0, 16, 0, 1, 0),
    "sheared by 10": moved(1, np.tan(np.radians(10)), -12, 0, 1, 0),
}


def small(images):
    """Small copies of images in memory (N, 128, 128), and their shapes (N, 2)."""
    copies = np.stack([copy_of(image, *image.size) for image in images])
    return copies, np.array([shape_of(*image.size) for image in images], np.int32)


def grey(image):
    """The small copy of an image, without what is black around it."""
    height, width = shape_of(*image.size)
    return copy_of(image, *image.size)[:height, :width]


def seen(image, keypoints=400):
    """What is compared of an image."""
    return view(detect(grey(image), keypoints), grey(image))
