"""Which images make up the batches of an epoch."""

from collections.abc import Sequence

import numpy as np


def epoch_batches(
    labels: Sequence[int] | np.ndarray, batch_size: int, balanced: bool, generator: np.random.Generator
) -> list[np.ndarray]:
    """Draw one epoch: as many images as there are, cut into batches.

    Args:
        labels: class of each image.
        batch_size: images a batch.
        balanced: draw every class equally often, with repetition for small ones, rather than each
            image once.
        generator: source of the draw; each call goes on where the last one stopped.

    Returns:
        Positions into `labels`, a batch each. A last batch of one image is left out, since BatchNorm
        has no statistics for it.
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
    """The batches of an epoch that one of several processes makes; each gets equally many, or one would wait.

    Batches beyond that are left out of the epoch; where there are fewer than processes, some come twice.
    """
    return [
        batches[(process + step * processes) % len(batches)]
        for step in range(steps_each(len(batches), processes))
    ]


def steps_each(batches: int, processes: int) -> int:
    """Number of an epoch's batches, and so of steps, that each process makes."""
    return max(1, batches // processes)


def count_batches(images: int, batch_size: int) -> int:
    """Number of batches of an epoch: a last one of a single image is left out, unless it is the only one."""
    whole, rest = divmod(images, batch_size)
    return max(1, whole + (rest > 1))
