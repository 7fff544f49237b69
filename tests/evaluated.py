"""A checkout in which systems are evaluated already, without training: for what reads their results."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import synthetic
import yaml

from oncovec.core import params, paths, tables
from oncovec.data import index, prepare
from oncovec.data.embeddings import Embeddings
from oncovec.data.index import MEASURED
from oncovec.evaluation import knn, predictions, report

ROOT = Path(__file__).resolve().parents[1]


def write(folder: Path, systems: Mapping[str, Embeddings], size: int = 24) -> Path:
    """Write params.yaml with these rows, and what preparation, embed and evaluate leave; return the folder.

    Systems of one dataset must name the same images. `size` is the side of the prepared images in px.
    """
    _write_params(folder, systems)
    for name, content in systems.items():
        synthetic.write(folder / paths.embeddings(name), content)
        gallery = knn.fit(content, [5], coverage=0.9)
        outputs = predictions.of_splits(content, gallery, ["val", "test"])
        gallery.save(folder / paths.gallery(name))
        tables.write(folder / paths.predictions(name), report.predictions(content, outputs))
    for content in {each.dataset: each for each in systems.values()}.values():
        _write_prepared(folder / paths.prepared(content.dataset), content, size)
    return folder


def renamed(content: Embeddings, names: Mapping[int, str]) -> Embeddings:
    """The same embeddings with other names of some images, by their rows."""
    images = content.images.astype("U200")
    for row, name in names.items():
        images[row] = name
    return replace(content, images=images)


def _write_params(folder: Path, systems: Mapping[str, Embeddings]) -> None:
    content = params.read(ROOT / "params.yaml")
    content["downloads"], content["external"] = {}, {}
    content["datasets"] = {
        each.dataset: {"layout": "folders", "root": "anywhere", "image_size": 24} for each in systems.values()
    }
    content["tasks"] = {each.task: {"dataset": each.dataset, "label": "label"} for each in systems.values()}
    row = content["systems"]["triplet_multi_organ"]
    content["systems"] = {
        name: row | {"task": each.task, "dataset": each.dataset} for name, each in systems.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    (folder / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")


def _write_prepared(folder: Path, content: Embeddings, size: int) -> None:
    """Each image has a colour of its own, so that a test can tell which one it sees."""
    folder.mkdir(parents=True)
    order = np.argsort(content.images)
    with prepare.growing(folder / "images.npy", (size, size, 3)) as stream:
        for row in order.tolist():
            stream.write(np.broadcast_to(colour(row), (size, size, 3)).tobytes())
    rows = [(content.images[row], "a", "", *[""] * len(MEASURED)) for row in order.tolist()]
    table = tables.of(("image", "label", "group", *MEASURED), rows)
    tables.write(folder / "index.csv", table)
    facts = {"source": content.source, "images": len(table), "image_size": size, "resize": "keep"}
    prepare.write_facts(folder, facts)
    assert len(index.read(folder / "index.csv")) == len(table)


def colour(row: int) -> np.ndarray:
    """The colour of an image, by its row in the embeddings: uint8 (3,)."""
    return np.array([row % 8 * 32, row // 8 % 8 * 32, row // 64 % 4 * 64], np.uint8)
