"""Use of a trained system: embed new images, predict their classes, return their nearest neighbours."""

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.exported import ExportedParts, is_exported
from oncovec.core.parallel import cpu_count
from oncovec.core.parts import CheckoutParts, Parts
from oncovec.data.decode import Square
from oncovec.data.embeddings import Embedded
from oncovec.evaluation.gallery import Gallery
from oncovec.learning import heatmap, systems
from oncovec.learning.images import Images
from oncovec.learning.inference import embed, ood_features_width
from oncovec.learning.network import Network, sharing
from oncovec.metrics import classification
from oncovec.serving import batches, inputs
from oncovec.serving.inputs import ImageLike

BATCH = 64
"""Number of images that a GPU embeds in a step, and of those that vote together."""

CPU_BATCH = 16
"""Number of images that a CPU embeds in a step.

The maps of more images need blocks of memory that the system maps and zeroes again in each step."""

NETWORKS = 4
"""Largest number of batches that a CPU runs through the network at once, each on its share of the cores."""

Each: TypeAlias = Generator[tuple[ImageLike, tuple[np.ndarray, np.ndarray] | str]]
"""Images, each with its embedding and ood_features, or with the reason why it cannot be read."""

SHOWN = 5
"""Number of neighbours that a prediction lists."""

SAME_IMAGE = 1e-3
"""Distance, in 0 to 2, below which two embeddings are of the same image.

Batches of different sizes give embeddings that differ in their last digits."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        path: path as given; empty for an image in memory.
        predicted: predicted class, by the operating point if there is one; empty if the image failed or
            is `ood`.
        probability: probability of the chosen class, also if `ood` leaves `predicted` empty. It is the
            vote of the training images, weighted by distance. At the operating point, another class may
            have a larger one.
        probabilities: probability of every class, in the task's order.
        neighbours: the nearest `SHOWN` training images, each with its class and its Euclidean
            distance in 0..2.
        error: the reason why there is no prediction; empty if there is one.
        prediction_set: the classes that the image may have, in the task's order; empty if the image failed or
            is `ood`. For images like those of training, a promised share of sets holds the true class
            (`evaluate.set_coverage`, `metrics.conformal`).
        ood: whether the image is out of distribution. Its OOD score is then above 1: it is farther from the
            training images of its class than most val images are from those of theirs (`evaluate.coverage`,
            `knn.choose_ood_limit`). The system has learned from no similar image, so the vote is not
            meaningful.
        ood_score: see `gallery.Gallery.ood_score`.
        voted: the class that the votes give, also if `ood` leaves `predicted` empty.
    """

    path: str
    predicted: str = ""
    probability: float = 0.0
    probabilities: dict[str, float] = field(default_factory=dict)
    neighbours: tuple[tuple[str, str, float], ...] = ()
    error: str = ""
    prediction_set: tuple[str, ...] = ()
    ood: bool = False
    ood_score: float = 0.0
    voted: str = ""

    @property
    def trained_on(self) -> bool:
        """Whether the image has the embedding of a training image; most likely it is that image."""
        return bool(self.neighbours) and self.neighbours[0][2] < SAME_IMAGE


class System:
    """A trained system: the network and the gallery that the pipeline wrote, or an exported file of them.

    Several threads may use one system at once. The system can be pickled. Images are decoded beside the
    network. On a CPU, up to `NETWORKS` batches run through it at once, each on its share of the cores; on a
    GPU one.

    Args:
        parts: its files.

    Raises:
        OncovecError: if the system is not trained, a file is damaged, or network and gallery do not belong
            together.
    """

    def __init__(self, parts: Parts):
        self.parts = parts
        self.name = parts.name
        self.device = systems.best_device()
        self.network, self.facts = systems.load_system(parts, self.device)
        on_cpu = self.device.type == "cpu"
        self.batch = CPU_BATCH if on_cpu else BATCH
        copies = min(NETWORKS, cpu_count()) - 1 if on_cpu else 0
        self._networks = [self.network, *(sharing(self.network) for _ in range(copies))]
        self.gallery = Gallery.load(parts)
        self._refuse_other_gallery()

    def _refuse_other_gallery(self) -> None:
        gallery, again = self.gallery, self.parts.again
        path = self.parts.where(paths.gallery(self.name))
        if gallery.weights != self.facts["sha256"]:
            made = self.parts.where(paths.weights(self.name))
            raise OncovecError(f"{path}: made by other weights than {made}; {again}")
        centres, width = gallery.ood_centres, ood_features_width(self.network, self.facts["input_size"])
        same = centres.whitening is not None and centres.means.shape[1] == width
        if list(gallery.classes) != self.classes or not same:
            raise OncovecError(f"{path}: of other classes, or by another version of Oncovec; {again}")

    @property
    def classes(self) -> list[str]:
        """Classes of the task, in order."""
        return list(self.facts["classes"])

    def embed(self, images: ImageLike | Iterable[ImageLike]) -> np.ndarray:
        """Embed images.

        Args:
            images: one or several images, as `oncovec.serving.inputs.singles` accepts them.

        Returns:
            float32 (N, embedding_dim); rows have length 1.

        Raises:
            OncovecError: for the first image that cannot be read, and for a value that is not an image.
        """
        vectors = [np.zeros((0, self.facts["embedding_dim"]), np.float32)]
        with closing(self.embed_each(images)) as each:
            for number, (image, found) in enumerate(each):
                if isinstance(found, str):
                    raise OncovecError(f"{inputs.path_of(image) or f'images[{number}]'}: {found}")
                vectors.append(found[None])
        return np.concatenate(vectors)

    def embed_each(
        self, images: ImageLike | Iterable[ImageLike]
    ) -> Generator[tuple[ImageLike, np.ndarray | str]]:
        """Yield each image with its embedding, or with the reason why it cannot be read.

        Images are taken a few batches ahead, so a generator of any length needs little memory.

        Raises:
            OncovecError: if the input is neither an image nor several.
        """
        return self._embeddings(self._each(images))

    def _embeddings(self, each: Each) -> Generator[tuple[ImageLike, np.ndarray | str]]:
        with closing(each):
            for image, found in each:
                yield image, found if isinstance(found, str) else found[0]

    def predict(self, images: ImageLike | Iterable[ImageLike]) -> list[Prediction]:
        """Predict the class of each image; an image that cannot be read gets an `error` instead.

        Args:
            images: one or several images, as `oncovec.serving.inputs.singles` accepts them.

        Raises:
            OncovecError: if the input is neither an image nor several.
        """
        return list(self.predict_each(images))

    def predict_each(self, images: ImageLike | Iterable[ImageLike]) -> Generator[Prediction]:
        """Yield the prediction of each image, as `predict` does; images are taken a few batches ahead."""
        return self._predicted(self._each(images))

    def _predicted(self, each: Each) -> Generator[Prediction]:
        with closing(each):
            while batch := list(islice(each, BATCH)):
                good = [found for _, found in batch if not isinstance(found, str)]
                voted = iter(self._voted(*map(np.stack, zip(*good, strict=True))) if good else ())
                for image, found in batch:
                    path = inputs.path_of(image)
                    if isinstance(found, str):
                        yield Prediction(path, error=found)
                    else:
                        yield replace(next(voted), path=path)

    def predict_prepared(self, array: np.ndarray) -> list[Prediction]:
        """Predict the classes of stored square images, uint8 (N, H, W, 3), as preparation makes them."""
        if not len(array):
            return []
        embedded = self._embedded(array, self.network)
        return self._voted(embedded.vectors, embedded.ood_features)

    def _voted(self, queries: np.ndarray, ood_features: np.ndarray) -> list[Prediction]:
        """Predict the classes of embedded images, (N, d) and (N, A), by their neighbours."""
        gallery = self.gallery
        distances, rows = gallery.neighbours(queries, SHOWN)
        probabilities = gallery.probabilities(queries)
        chosen = classification.predict(probabilities, gallery.thresholds)
        scores = gallery.ood_score(ood_features, chosen)
        ood, sets = scores > 1, gallery.prediction_sets(queries, chosen)
        return [
            Prediction(
                "",
                "" if ood[i] else self.classes[chosen[i]],
                float(probabilities[i, chosen[i]]),
                dict(zip(self.classes, map(float, probabilities[i]), strict=True)),
                tuple(
                    (str(gallery.images[row]), self.classes[gallery.labels[row]], float(distance))
                    for row, distance in zip(rows[i], distances[i], strict=True)
                ),
                prediction_set=()
                if ood[i]
                else tuple(name for name, inside in zip(self.classes, sets[i], strict=True) if inside),
                ood=bool(ood[i]),
                ood_score=float(scores[i]),
                voted=self.classes[chosen[i]],
            )
            for i in range(len(queries))
        ]

    def heat_maps(self, array: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """Compute which places of stored square images make them similar to training images of a class.

        Args:
            array: uint8 (N, H, W, 3), as preparation makes them.
            classes: the class to explain for each image, such as `Prediction.voted`.

        Returns:
            float32 (N, H, W) in 0..1; see `oncovec.learning.heatmap`.

        Raises:
            OncovecError: if the backbone has no layer with maps.
        """
        labels = np.array([self.classes.index(name) for name in classes], np.int64)
        queries = self.embed_prepared(array)
        towards = heatmap.directions(self.gallery.embeddings, self.gallery.labels, queries, labels)
        return heatmap.heat_maps(self.network, self._images(array), towards, self.gallery.tta)

    def embed_prepared(self, array: np.ndarray) -> np.ndarray:
        """Embed stored square images, uint8 (N, H, W, 3), as preparation makes them."""
        return self._embedded(array, self.network).vectors

    def _embedded(self, array: np.ndarray, network: Network) -> Embedded:
        images = self._images(array)
        return embed(network, images, np.arange(len(images)), self.batch, self.gallery.tta)

    def _images(self, array: np.ndarray) -> Images:
        expects = systems.preprocessing_of(self.facts)
        return Images(array, self.device, self.facts["input_size"], expects)

    def _each(self, images: ImageLike | Iterable[ImageLike]) -> Each:
        square = partial(inputs.square, **Square.of(self.facts)._asdict())
        processes = [partial(self._rows, network=network) for network in self._networks]
        return batches.each(inputs.singles(images), square, processes, self.batch)

    def _rows(self, array: np.ndarray, network: Network) -> list[tuple[np.ndarray, np.ndarray]]:
        embedded = self._embedded(array, network)
        return list(zip(embedded.vectors, embedded.ood_features, strict=True))


def load(system: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> System:
    """Load a trained system of a checkout, or one that `oncovec export` wrote.

    Args:
        system: name of a trained row of `systems:`, or an exported file, whose name ends in .oncovec.
        root: root of the checkout. By default, it is the nearest folder at or above the working directory
            that has a params.yaml and a dvc.yaml. An exported file needs none.

    Raises:
        OncovecError: if there is no checkout, no such trained system or no such file; see `System`.
    """
    if is_exported(system):
        return System(ExportedParts(Path(system)))
    return System(CheckoutParts(system, None if root is None else Path(root)))
