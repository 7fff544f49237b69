"""How trained systems do on val images as another camera or another export might have given them.

    python benchmarks/distortions.py SYSTEM@EXPERIMENT …

Each names what `dvc exp run` trained. Its model and its split are read from Git and DVC's cache, the images
from the prepared array of this checkout, which must be the one that the system was trained on. Every image of
val is distorted as `DISTORTIONS` says, at its stored size, and answered by the neighbours among the training
images, which are as they were, and by the head: AUROC of a binary task, macro F1 of others, at the operating
points that were chosen on half of val. Test images are not touched.
"""

import argparse
import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from dvc.api import DVCFileSystem
from dvc.utils.serialize import parse_yaml
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from oncovec.core import paths, tables
from oncovec.core.params import merged
from oncovec.core.parts import CheckoutParts
from oncovec.data import embeddings, index, prepare
from oncovec.evaluation import revisions
from oncovec.evaluation.gallery import Gallery
from oncovec.learning import inference, systems
from oncovec.learning.images import Images
from oncovec.learning.network import Network
from oncovec.metrics import classification

Pixels = NDArray[np.uint8]

BATCH = 32
"""Images a step."""

COLUMNS = ("system", "seed", "augment", "distortion", "model", "metric", "value", "images")


def gamma(power: float) -> Callable[[Pixels], Pixels]:
    """Darken (above 1) or lighten the mid tones."""
    return lambda image: np.round(255 * (image / 255.0) ** power).astype(np.uint8)


def contrast(factor: float) -> Callable[[Pixels], Pixels]:
    """Scale about the mean of each channel."""

    def scaled(image: Pixels) -> Pixels:
        mean = image.mean((0, 1), keepdims=True)
        return np.clip(mean + (image - mean) * factor, 0, 255).astype(np.uint8)

    return scaled


def cast(*factors: float) -> Callable[[Pixels], Pixels]:
    """Scale red, green and blue."""
    return lambda image: np.clip(image * np.array(factors), 0, 255).astype(np.uint8)


def noise(deviation: float) -> Callable[[Pixels], Pixels]:
    """Add Gaussian noise, in grey values; the same to each image."""

    def noisy(image: Pixels) -> Pixels:
        added = np.random.default_rng(0).normal(0, deviation, image.shape)
        return np.clip(image + added, 0, 255).astype(np.uint8)

    return noisy


def pillow(change: Callable[[Image.Image], Image.Image]) -> Callable[[Pixels], Pixels]:
    """What Pillow does."""
    return lambda image: np.asarray(change(Image.fromarray(image)))


def coarse(image: Image.Image) -> Image.Image:
    """As if it had been stored at 0.45 of its size."""
    side = round(0.45 * image.width)
    return image.resize((side, side)).resize(image.size)


def jpeg(image: Image.Image) -> Image.Image:
    """Through JPEG of quality 15."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=15)
    return Image.open(stream).convert("RGB")


def nearer(image: Image.Image) -> Image.Image:
    """The middle, enlarged by 1.3."""
    edge = round(image.width * (1 - 1 / 1.3) / 2)
    return image.crop((edge, edge, image.width - edge, image.height - edge)).resize(image.size)


DISTORTIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "none": lambda image: image,
    "gamma 0.65": gamma(0.65),
    "gamma 1.5": gamma(1.5),
    "contrast 0.6": contrast(0.6),
    "contrast 1.5": contrast(1.5),
    "blur 0.8 px": pillow(lambda image: image.filter(ImageFilter.GaussianBlur(0.8))),
    "blur 1.5 px": pillow(lambda image: image.filter(ImageFilter.GaussianBlur(1.5))),
    "coarse": pillow(coarse),
    "sharpened": pillow(lambda image: image.filter(ImageFilter.UnsharpMask(2, 150, 0))),
    "noise 3": noise(3),
    "noise 10": noise(10),
    "JPEG 15": pillow(jpeg),
    "zoom 1.3": pillow(nearer),
    "warm": cast(1.15, 1, 0.8),
    "cool": cast(0.85, 0.95, 1.15),
}
"""Of images at their stored size; the last two are of no use where images are grey."""

GREY = ("multi_organ",)
"""Datasets of grey images."""


class Kept(NamedTuple):
    """What an experiment trained: its params, the network and its facts, embeddings of all sides, gallery."""

    params: dict[str, Any]
    network: Network
    facts: dict[str, Any]
    known: embeddings.Embeddings
    gallery: Gallery

    def stored(self, rows: NDArray[np.int64]) -> Pixels:
        """The prepared images of some rows of the embeddings."""
        chosen = index.rows_of(index.read(paths.index(self.known.dataset)), self.known.images[rows])
        return np.asarray(prepare.open_prepared(self.known.dataset)[chosen])

    def embed(self, stored: Pixels, tta: bool) -> inference.Embedded:
        """What the network says of prepared images."""
        expects = systems.preprocessing_of(self.facts)
        seen = Images(stored, torch.device("cpu"), self.facts["input_size"], expects)
        return inference.embed(self.network, seen, np.arange(len(stored)), BATCH, tta)


def load(named: str) -> Kept:
    """Read what SYSTEM@EXPERIMENT trained from Git and DVC's cache."""
    system, _, experiment = named.partition("@")
    wanted = (
        *(paths.weights(system), paths.model_facts(system)),
        *(paths.gallery(system), paths.embeddings(system)),
    )
    (text,) = revisions.read(experiment, [paths.PARAMS])
    with tempfile.TemporaryDirectory() as folder:
        kept = DVCFileSystem(rev=experiment)
        for file in wanted:
            (Path(folder) / file).parent.mkdir(parents=True, exist_ok=True)
            kept.get(file.as_posix(), str(Path(folder) / file))
        with contextlib.chdir(folder):
            parts = CheckoutParts(system, Path())
            network, facts = systems.load_system(parts, torch.device("cpu"))
            known = embeddings.read(paths.embeddings(system))
            gallery = Gallery.load(parts)
    return Kept(parse_yaml(text, str(paths.PARAMS)), network, facts, known, gallery)


def judge(named: str) -> list[list[object]]:
    """A system's metrics on val under each distortion."""
    kept, (system, _, _) = load(named), named.partition("@")
    params, known, gallery = kept.params, kept.known, kept.gallery
    settings = merged(params, params["systems"][system]).get("augment", {})
    augment = " ".join(f"{parameter}={value}" for parameter, value in settings.items())
    val = known.rows("val")
    stored = kept.stored(val)
    positive = gallery.positive_index
    metric = "f1_macro" if positive is None else "auroc"
    rows: list[list[object]] = []
    for name, distort in DISTORTIONS.items():
        if known.dataset in GREY and name in ("warm", "cool"):
            continue
        found = kept.embed(np.stack([distort(image) for image in stored]), gallery.tta)
        predictions = {"knn": (gallery.probabilities(found.vectors), gallery.thresholds)}
        if found.probabilities is not None:
            predictions["head"] = found.probabilities, gallery.head_thresholds
        for model, (probabilities, thresholds) in predictions.items():
            predicted = classification.predict(probabilities, thresholds)
            value = classification.metrics(known.labels[val], probabilities, predicted, positive)[metric]
            told = [system, params["split"]["seed"], augment]
            rows.append([*told, name, model, metric, value, len(val)])
    return rows


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """KNN's metrics in Markdown: a row a distortion, a column a system in the order given.

    The last row has the mean over the distortions that were asked of all.
    """
    named = list(dict.fromkeys(tuple(row[:3]) for row in rows))
    value = {(*row[:3], row[3]): float(str(row[6])) for row in rows if row[4] == "knn"}
    columns = ["KNN on val", *(f"{system}, seed {seed}, {augment}" for system, seed, augment in named)]
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    names = [name for name in DISTORTIONS if name in {row[3] for row in rows}]
    for name in names:
        cells = [f"{value[*each, name]:.3f}" if (*each, name) in value else "" for each in named]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    common = [name for name in names if all((*each, name) in value for each in named)]
    means = [np.mean([value[*each, name] for name in common]) for each in named]
    return [*lines, f"| mean | {' | '.join(f'{mean:.3f}' for mean in means)} |"]


def run(
    measure: Callable[[str], list[list[object]]],
    table: Callable[[Sequence[Sequence[object]]], list[str]],
    columns: Sequence[str],
    output: Path,
) -> None:
    """Measure each system named on the command line, write the csv and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("systems", nargs="+", metavar="SYSTEM@EXPERIMENT")
    parser.add_argument("-o", "--output", type=Path, default=output)
    options = parser.parse_args()
    rows = [row for each in options.systems for row in measure(each)]
    tables.write(options.output, tables.of(columns, rows))
    print("\n".join(table(rows)))


if __name__ == "__main__":
    run(judge, table, COLUMNS, Path("benchmarks/distortions.csv"))
