"""A trained system put to use: embed new images, name their class, show their nearest neighbours."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.data.decode import UnreadableImageError, decode, fit, from_memory
from oncovec.data.tree import alone
from oncovec.evaluation.gallery import Gallery
from oncovec.learning import systems
from oncovec.learning.images import Images
from oncovec.learning.inference import Embedded, appearance_width, embed
from oncovec.metrics.classification import predict
from oncovec.metrics.neighbours import vote

BATCH = 64

SHOWN = 5
"""Of the k neighbours that vote, which may be thousands, those that an answer names."""

READERS = 4
"""Images decoded at once: the largest that are read take 268 MB each."""

ImageLike = str | Path | Image.Image | np.ndarray


@dataclass(frozen=True)
class Prediction:
    """The answer for one image.

    Attributes:
        path: as given; empty for an image in memory.
        predicted: class, by the operating point where the task is binary; empty if it failed or is far.
        probability: of the class that the vote names, by distance-weighted votes of its neighbours.
        probabilities: of every class, in the task's order.
        neighbours: the nearest `SHOWN` of those that vote, training images, each with its class and Euclidean
            distance in 0..2.
        error: why there is no answer; empty if there is one.
        far: it looks less like any training image than 99 % of val's images do (`knn.far_threshold`). Such
            an image is like none that the system has learned from, and its vote is no diagnosis.
    """

    path: str
    predicted: str = ""
    probability: float = 0.0
    probabilities: dict[str, float] = field(default_factory=dict)
    neighbours: tuple[tuple[str, str, float], ...] = ()
    error: str = ""
    far: bool = False


class System:
    """A trained system: network and gallery, as the pipeline wrote them.

    Args:
        name: row of `systems:` that has been trained.

    Raises:
        OncovecError: when it has not been trained, or a file is damaged or belongs to another model.
    """

    def __init__(self, name: str):
        self.name = name
        self.device = systems.best_device()
        self.network, self.facts = systems.load_system(name, self.device)
        self.gallery = Gallery.load(paths.gallery(name))
        fitted = self.gallery.embeddings.shape[1], list(self.gallery.classes)
        looks, width = self.gallery.appearance, appearance_width(self.network)
        if fitted != (self.facts["embedding_dim"], self.classes) or looks is None or looks.shape[1] != width:
            raise OncovecError(
                f"{paths.gallery(name)}: fitted to another model, or by another version of Oncovec; "
                f"run `dvc repro knn@{name}`"
            )

    @property
    def classes(self) -> list[str]:
        """Classes of the task, in order."""
        return list(self.facts["classes"])

    def embed(self, images: Iterable[ImageLike]) -> np.ndarray:
        """Embed images.

        Args:
            images: paths, Pillow images, or arrays as `oncovec.data.decode.from_memory` takes them.

        Returns:
            float32 (N, embedding_dim), rows of length 1.

        Raises:
            OncovecError: for the first image that cannot be read.
        """
        vectors = [np.zeros((0, self.facts["embedding_dim"]), np.float32)]
        for image, found in self.embed_each(images):
            if isinstance(found, str):
                raise OncovecError(f"{image if isinstance(image, str | Path) else 'image'}: {found}")
            vectors.append(found[None])
        return np.concatenate(vectors)

    def embed_each(self, images: Iterable[ImageLike]) -> Iterator[tuple[ImageLike, np.ndarray | str]]:
        """Yield each image with its embedding, or with the reason why it cannot be read."""
        return self._each(images, self.embed_prepared)

    def predict(self, images: Iterable[ImageLike]) -> list[Prediction]:
        """Predict the class of each image; one that cannot be read gets an `error` instead."""
        answers = []
        for image, found in self._each(images, self.predict_prepared):
            path = str(image) if isinstance(image, str | Path) else ""
            failed = isinstance(found, str)
            answers.append(Prediction(path, error=found) if failed else replace(found, path=path))
        return answers

    def predict_prepared(self, array: np.ndarray) -> list[Prediction]:
        """Predict from stored squares, uint8 (N, H, W, 3), as preparation makes them."""
        if not len(array):
            return []
        embedded, gallery = self._embedded(array), self.gallery
        queries = embedded.vectors
        distances, rows = gallery.neighbours(queries)
        probabilities = vote(distances, gallery.labels[rows], len(gallery.classes))
        chosen = predict(probabilities, gallery.threshold, gallery.positive_index)
        far = gallery.is_far(queries if gallery.appearance is None else embedded.appearance)
        return [
            Prediction(
                "",
                "" if far[i] else self.classes[chosen[i]],
                float(probabilities[i, chosen[i]]),
                dict(zip(self.classes, map(float, probabilities[i]), strict=True)),
                tuple(
                    (str(gallery.images[row]), self.classes[gallery.labels[row]], float(distance))
                    for row, distance in zip(rows[i, :SHOWN], distances[i, :SHOWN], strict=True)
                ),
                far=bool(far[i]),
            )
            for i in range(len(queries))
        ]

    def embed_prepared(self, array: np.ndarray) -> np.ndarray:
        """Embed stored squares, uint8 (N, H, W, 3), as preparation makes them."""
        return self._embedded(array).vectors

    def _embedded(self, array: np.ndarray) -> Embedded:
        expects = systems.preprocessing_of(self.facts)
        images = Images(array, self.device, self.facts["input_size"], expects)
        return embed(self.network, images, np.arange(len(images)), BATCH, self.gallery.tta)

    def _each(
        self, images: Iterable[ImageLike], answer: Callable[[np.ndarray], Any]
    ) -> Iterator[tuple[Any, Any]]:
        """Read images in chunks, answer for those that can be read, and keep the order."""
        items = [images] if isinstance(images, str | Path | Image.Image) else list(images)
        with ThreadPoolExecutor(READERS) as pool:
            for start in range(0, len(items), BATCH):
                chunk = items[start : start + BATCH]
                read = list(pool.map(self._prepare, chunk))
                good = [pixels for pixels in read if isinstance(pixels, np.ndarray)]
                found = iter(answer(np.stack(good)) if good else ())
                for item, pixels in zip(chunk, read, strict=True):
                    yield item, next(found) if isinstance(pixels, np.ndarray) else pixels

    def _prepare(self, image: ImageLike) -> np.ndarray | str:
        """The same square that preparation stores, or the reason why there is none."""
        size = self.facts["image_size"]
        try:
            if isinstance(image, str | Path):
                picture = decode(*alone(Path(image)), size)
            else:
                picture = from_memory(image)
        except UnreadableImageError as error:
            return error.reason
        return fit(picture, size, self.facts["resize"])


def load(name: str) -> System:
    """Load a trained system by its name in params.yaml; run from the root of the checkout."""
    return System(name)
