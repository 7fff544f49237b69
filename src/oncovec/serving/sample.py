"""Predictions for a random sample of a dataset's test images, of which the true classes are known."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.data import index, prepare, splitting
from oncovec.data.decode import Square

if TYPE_CHECKING:
    from oncovec.serving.predict import Prediction, System


def predict(system: "System", count: int, seed: int) -> tuple[list["Prediction"], list[str]]:
    """Predict test images of the system's classes that are drawn at random.

    Args:
        system: a trained system.
        count: number of images; at most the whole test split.
        seed: random seed of the draw.

    Returns:
        Predictions and true classes, sorted by image.

    Raises:
        OncovecError: if the dataset was split or prepared anew since the system was trained.
    """
    dataset, again = system.facts["dataset"], f"run `dvc repro evaluate@{system.name}`"
    table = splitting.of_task(dataset, system.facts["label"])
    test = table[table["label"].isin(system.classes) & (table["split"] == "test")]
    if trained_on := set(test["image"]) & set(system.gallery.images.tolist()):
        raise OncovecError(
            f"{paths.split(dataset)}: drawn anew since {system.name} was trained, which so knows "
            f"{len(trained_on)} of its test images; {again}"
        )
    prepared = prepare.prepared_facts(dataset)
    if Square.of(prepared) != Square.of(system.facts):
        raise OncovecError(f"{paths.images(dataset)}: prepared anew since {system.name} was trained; {again}")
    chosen = np.random.default_rng(seed).permutation(len(test))[:count]
    shown = test.iloc[sorted(chosen)]
    rows = index.rows_of(index.read(paths.index(dataset)), shown["image"])
    found = system.predict_prepared(prepare.open_prepared(dataset)[rows])
    named = [replace(each, path=image) for each, image in zip(found, shown["image"], strict=True)]
    return named, shown["label"].tolist()
