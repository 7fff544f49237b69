"""Sampling: the images of each batch of an epoch."""

from collections.abc import Sequence

import numpy as np


def epoch_batches(
    labels: Sequence[int] | np.ndarray, batch_size: int, balanced: bool, generator: np.random.Generator
) -> list[np.ndarray]:
    """Draw the batches of one epoch, with as many images as there are labels.

    Args:
        labels: class of each image.
        batch_size: images per batch.
        balanced: draw every class equally often, with replacement, instead of each image once.
        generator: source of the draw; each call advances it.

    Returns:
        One array of positions in `labels` per batch. A last batch of one image is left out, because
        BatchNorm cannot compute statistics for it.
    """
    labels = np.asarray(labels)
    if balanced:
        classes, counts = np.unique(labels, return_inverse=True)[1], np.unique(labels, return_counts=True)[1]
        share = 1 / counts[classes]
        order = generator.choice(len(labels), size=len(labels), p=share / share.sum())
    else:
        order = generator.permutation(len(labels))
    starts = range(0, count_batches(len(order), batch_size) * batch_size, batch_size)
    return [order[start : start + batch_size] for start in starts]


def shared(batches: Sequence[np.ndarray], process: int, processes: int) -> list[np.ndarray]:
    """Select the batches of an epoch for one of several processes.

    Each process gets the same number of batches, because otherwise one would wait for the others. Remaining
    batches are left out of the epoch. If there are fewer batches than processes, some are used twice.
    """
    return [
        batches[(process + step * processes) % len(batches)]
        for step in range(steps_each(len(batches), processes))
    ]


def steps_each(batches: int, processes: int) -> int:
    """Compute the number of batches, and so of steps, of each process per epoch."""
    return max(1, batches // processes)


def count_batches(images: int, batch_size: int) -> int:
    """Count the batches of an epoch; a last batch of one image is left out, unless it is the only batch."""
    whole, rest = divmod(images, batch_size)
    return max(1, whole + (rest > 1))
