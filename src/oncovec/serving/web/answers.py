"""What is said of an image and of a system: the answers of the server as plain values."""

import base64
import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oncovec.core import paths, sheets
from oncovec.core.errors import OncovecError
from oncovec.data import index, prepare
from oncovec.data.decode import Square, decode, fit
from oncovec.data.tree import Folder
from oncovec.evaluation import external
from oncovec.serving import formats
from oncovec.serving.predict import Prediction, System


@dataclass(frozen=True, kw_only=True)
class Upload(Folder):
    """A tree of one file, whose content is in memory; its name says nothing."""

    root: Path = Path()
    content: bytes

    def read(self, path: str) -> bytes:
        """Return the content."""
        return self.content


@dataclass(frozen=True)
class Thumbnails:
    """The prepared squares of a gallery's images: the array of the dataset, and the row of each image."""

    array: NDArray[np.uint8]
    rows: dict[str, int]


class Served:
    """A system that is served: what is known of it, and its answers.

    Args:
        system: a trained system. The working directory is the root of its checkout.
    """

    def __init__(self, system: System):
        self.system = system
        self.known = external.told(system.parts)
        self._thumbnails = _thumbnails(system)

    def facts(self) -> dict[str, Any]:
        """Return what the page says of the system before it is asked."""
        facts = self.system.facts
        return {
            "name": self.system.name,
            "task": facts["task"],
            "classes": self.system.classes,
            "phantom": facts["source"] == "phantom",
            "known": self.known,
            "thumbnails": self._thumbnails is not None,
        }

    def answer(self, content: bytes, pictures: bool) -> list[dict[str, Any]]:
        """Predict the class of an image, as `oncovec predict --format json` does; `path` is ''.

        Args:
            content: the content of the file.
            pictures: whether to add `seen`, the image as the system sees it, `heat_map`, and `trained_on`.

        Raises:
            OncovecError: `UnreadableImageError` for anything that is not a complete image.
        """
        size, resize, window = Square.of(self.system.facts)
        square = fit(decode(Upload(content=content), "upload", size, window), size, resize)
        (prediction,) = self.system.predict_prepared(square[None])
        found: list[dict[str, Any]] = json.loads(formats.as_json([prediction], self.system.classes))
        if pictures:
            found[0] |= self._pictures(square, prediction)
        return found

    def _pictures(self, square: NDArray[np.uint8], prediction: Prediction) -> dict[str, Any]:
        seen = _as_url(Image.fromarray(square))
        heat_map, reason = None, ""
        if not prediction.ood:  # there is no class to explain
            try:
                (heat,) = self.system.heat_maps(square[None], [prediction.voted])
                heat_map = _as_url(sheets.heat_layer(heat))
            except OncovecError as error:
                reason = str(error)
        pictures = {"seen": seen, "heat_map": heat_map, "no_heat_map": reason}
        return pictures | {"trained_on": prediction.trained_on}

    def thumbnail(self, image: str) -> bytes | None:
        """Return the prepared square of a training image as PNG; None if it is not there."""
        found = self._thumbnails
        if found is None or image not in found.rows:
            return None
        return _as_png(Image.fromarray(found.array[found.rows[image]]))


def _thumbnails(system: System) -> Thumbnails | None:
    """Open the prepared squares of the gallery's images, if they are there and are those of training."""
    dataset = system.facts["dataset"]
    try:
        prepared, array = prepare.prepared_facts(dataset), prepare.open_prepared(dataset)
        table = index.read(paths.index(dataset))
    except OncovecError:
        return None
    if any(prepared[key] != system.facts[key] for key in ("image_size", "resize")) or len(table) != len(
        array
    ):
        return None
    images = system.gallery.images.tolist()
    rows = zip(images, index.rows_of(table, images).tolist(), strict=True)
    return Thumbnails(array, {image: row for image, row in rows if row >= 0})


def _as_url(image: Image.Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(_as_png(image)).decode('ascii')}"


def _as_png(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
