"""A task that every system must learn at once, red squares and green ones, and a checkout trained on it."""

import os
import shutil
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from oncovec.core import params, paths, rows
from oncovec.core.recipes import METRIC_OBJECTIVES
from oncovec.data import groups, index, splitting, val_parts
from oncovec.learning import systems
from oncovec.learning.config import TrainingConfig
from oncovec.learning.images import Images
from oncovec.learning.validation import Splits

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("green", "red")
SIZE = 16

CONFIG = TrainingConfig(
    system="tiny",
    task="colour",
    dataset="squares",
    source="local",
    classes=CLASSES,
    positive=None,
    image_size=SIZE,
    resize="keep",
    backbone="siamese_cnn",
    hidden=(16,),
    objective="cross_entropy",
    input_size=SIZE,
    lr=0.003,
    backbone_lr=0.003,
    label="label",
    few_shot_classes=(),
    batch_size=16,
    epochs=4,
    seed=0,
    precision="fp32",
    threads=2,
)

torch.set_num_threads(2)


def config(objective="cross_entropy", **changes) -> TrainingConfig:
    """A config of the given objective; metric learning gets a margin, a mining and a dimension."""
    metric = {"margin": 0.2, "mining": "all", "embedding_dim": 8}
    own = metric if objective in METRIC_OBJECTIVES else {}
    return CONFIG.model_copy(update={"objective": objective} | own | changes)


def objective(name="cross_entropy", embedding_dim=2, **changes):
    """An objective alone, of so many classes as `classes` names."""
    from oncovec.learning import objectives

    return objectives.build(config(name, **changes), embedding_dim)


def network(**changes):
    """An untrained network and its facts."""
    return systems.build(config(**changes))


def images_of(pixels: np.ndarray, facts: dict) -> Images:
    """Prepared images on the CPU for a network with these facts."""
    return Images(pixels, torch.device("cpu"), facts["input_size"], systems.preprocessing_of(facts))


def squares(count=48, size=SIZE, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy squares, uint8 (N, size, size, 3), green (0) and red (1) by turns, and their labels."""
    labels = np.arange(count) % 2
    pixels = np.random.default_rng(seed).integers(0, 60, (count, size, size, 3), dtype=np.uint8)
    pixels[np.arange(count), :, :, 1 - labels] += 150
    return pixels, labels


def splits_of(labels: np.ndarray, train: int) -> Splits:
    """The first `train` rows to train on, the others to validate with."""
    rows = np.arange(len(labels))
    return Splits(rows[:train], labels[:train], rows[train:], labels[train:])


def noise(count=64, classes=2, size=SIZE, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Random pixels with random labels: nothing can be learned of them."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8), np.concatenate(
        [np.arange(classes), generator.integers(0, classes, count - classes)]
    )


def settings(processes=1) -> dict:
    """The content of a params.yaml with two systems for the squares."""
    content = params.read(ROOT / "params.yaml")
    shared = {
        "task": "colour",
        "dataset": "squares",
        "input_size": SIZE,
        "lr": 0.003,
        "batch_size": 16,
        "epochs": 3,
        "augment": "none",
        "hidden": [16],
    }
    content["train"] |= {"processes": processes, "threads": 2, "epochs": None, "precision": "fp32"}
    content["downloads"] = {}
    content["external"] = {}
    content["datasets"] = {"squares": {"layout": "folders", "root": "squares", "image_size": SIZE}}
    content["tasks"] = {"colour": {"dataset": "squares", "label": "label", "positive": "red"}}
    content["systems"] = {
        "nearest": shared | {"base": "model", "backbone": "siamese_cnn", "objective": "triplet"},
        "head": shared | {"base": "classifier", "backbone": "pcam_cnn", "objective": "cross_entropy"},
    }
    return content


def prepared(folder: Path, processes=1) -> Path:
    """A checkout's params.yaml, and the squares as files, index, split and prepared array."""
    pixels, labels = squares(60, size=20)
    for number, (square, label) in enumerate(zip(pixels, labels, strict=True)):
        file = folder / "squares" / CLASSES[label] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(square).save(file)
    text = yaml.safe_dump(settings(processes), sort_keys=False)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "dvc.yaml", folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        _prepare()
    finally:
        os.chdir(before)
    return folder


def _prepare() -> None:
    """Index, array and split of the squares, without a look for near-duplicates: they are all alike."""
    from stages import preprocess

    preprocess.main("squares", params.load())
    table = index.read(paths.index("squares"))
    settings = params.Split(strategy="grouped", train=0.6, val=0.2, test=0.2, seed=0)
    data = splitting.labelled(table, groups.join(table), "squares")
    splits = splitting.assign(data, settings, "squares")
    splitting.write(data, splits, val_parts.halves(data, splits, "grouped", 0), "squares")


_made = []


def trained(factory) -> Path:
    """A checkout with both systems trained, embedded and fitted by the real stages; made once a session."""
    if not _made:
        _made.append(prepared(factory.mktemp("checkout")))
        _train(_made[0])
    return _made[0]


def _train(folder: Path) -> None:
    from stages import embed, evaluate, explain, train

    before = Path.cwd()
    os.chdir(folder)
    try:
        content = params.load()
        for system in content.systems:
            for stage in (train, embed, evaluate):
                stage.main(system, content)
        rows.write_systems(content)
        explain.main(content)
    finally:
        os.chdir(before)


def copied(checkout: Path, folder: Path) -> Path:
    """A copy of a checkout that a test may damage."""
    return Path(shutil.copytree(checkout, folder / "checkout"))


def one_line(error) -> str:
    """The text of an error that must be one line for a person to read."""
    text = str(error.value)
    assert text
    assert "\n" not in text
    assert "Traceback" not in text
    return text
