"""Embeddings with known properties, for the tests of what reads them."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from oncovec.data.embeddings import Embeddings
from oncovec.evaluation.gallery import Gallery

SPLITS = {"train": 60, "val": 30, "test": 30}

WEIGHTS = 64 * "5"
"""The sha256 of what made them."""


def embeddings(classes=("ant", "bee", "cat"), positive="", head=False, noise=0.6, seed=0, splits=SPLITS):
    """Noisy clusters on the sphere, one a class; every split has images of every class."""
    generator = np.random.default_rng(seed)
    names = [split for split, count in splits.items() for _ in range(count)]
    labels = np.concatenate([np.arange(count) % len(classes) for count in splits.values()])
    centres = np.eye(len(classes), 20)
    vectors = centres[labels] + noise * generator.normal(size=(len(labels), 20)) / 2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    probabilities = generator.dirichlet(np.ones(len(classes)), len(labels)).astype(np.float32)
    return Embeddings(
        images=np.array([f"folder/{number:04d}.png" for number in range(len(labels))]),
        splits=np.array(names),
        groups=np.array([f"g{number // 2}" for number in range(len(labels))]),
        labels=labels.astype(np.int64),
        vectors=vectors.astype(np.float32),
        head=probabilities if head else None,
        classes=tuple(classes),
        positive=positive,
        source="phantom",
        task="zoo",
        dataset="zoo",
        weights=WEIGHTS,
        val_parts=np.full(len(labels), ""),
    )


def kept_out(content: Embeddings, names) -> Embeddings:
    """The same embeddings, of a system that was not trained on some of the classes."""

    def part(classes):
        rows = np.isin(np.array(content.classes)[content.labels], classes)
        number = {content.classes.index(name): index for index, name in enumerate(classes)}
        return replace(
            content,
            images=content.images[rows],
            splits=content.splits[rows],
            groups=content.groups[rows],
            labels=np.array([number[label] for label in content.labels[rows].tolist()], np.int64),
            vectors=content.vectors[rows],
            val_parts=content.val_parts[rows],
            head=None,
            classes=tuple(classes),
        )

    return replace(part([name for name in content.classes if name not in names]), few_shot=part(names))


def write(path: Path, content: Embeddings) -> None:
    """Write embeddings as the embed stage does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [content] if content.few_shot is None else [content, content.few_shot]
    arrays = {} if content.head is None else {"head_probability": content.head}
    np.savez(
        path,
        image=np.concatenate([part.images for part in parts]),
        split=np.concatenate([part.splits for part in parts]),
        val_part=np.concatenate([part.val_parts for part in parts]),
        label=np.concatenate([np.array(part.classes)[part.labels] for part in parts]),
        group=np.concatenate([part.groups for part in parts]),
        embedding=np.concatenate([part.vectors for part in parts]),
        classes=np.array(content.classes),
        few_shot=np.array(content.few_shot.classes if content.few_shot else (), np.str_),
        positive=np.array(content.positive),
        normal=np.array(content.normal, np.str_),
        source=np.array(content.source),
        task=np.array(content.task),
        dataset=np.array(content.dataset),
        tta=np.array(content.tta),
        weights=np.array(content.weights),
        ood_features=np.concatenate(
            [part.vectors if part.ood_features is None else part.ood_features for part in parts]
        ),
        **arrays,
    )


def assert_same(first, second, but=()):
    """Two galleries agree in all fields but these."""
    for field in fields(Gallery):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name == "ood_centres":
            one, other = ([each.means, each.radii, each.whitening] for each in (one, other))
            for array, same in zip(one, other, strict=True):
                np.testing.assert_array_equal(array, same, field.name)
        elif field.name not in but:
            np.testing.assert_array_equal(one, other, field.name)  # NaN equals NaN
