"""Images to results in batches: decoded beside the network, in order, in bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from oncovec.core.parallel import cpu_count
from oncovec.learning.systems import keep_freed_memory, use_threads_here

READERS = 4
"""Largest number of images decoded at the same time, at most one per core; large images take 268 MB each."""

AHEAD = 2
"""Batches in progress per process function: one with the network, one that is decoded meanwhile."""

Read = Callable[[Any], NDArray[np.uint8] | str]
Process = Callable[[NDArray[np.uint8]], Sequence[Any]]


def claim_process() -> None:
    """Set up this process for prediction and nothing else; a library must not do this to its user's process.

    Freed memory is kept. Outside of the network, matrix products and scikit-learn use one thread: their
    threads spin while they wait, which takes the cores from the network.
    """
    keep_freed_memory()
    threadpool_limits(1)


def each(
    images: Iterator[Any], read: Read, processes: Sequence[Process], size: int
) -> Generator[tuple[Any, Any]]:
    """Yield each image with its result, in order; images are taken only a few batches ahead.

    Args:
        images: the images.
        read: turns an image into a stored square (H, W, 3), or into the reason why it cannot be read, which
            then is its result. It is called in at most `READERS` threads.
        processes: functions that turn squares (N, H, W, 3) into N results. Each is called in one thread at a
            time, with its share of the cores.
        size: largest number of images of a batch.
    """
    free: SimpleQueue[Process] = SimpleQueue()
    for process in processes:
        free.put(process)
    threads = max(1, cpu_count() // len(processes))
    waiting: deque[tuple[list[Any], Future[list[Any]]]] = deque()
    with (
        ThreadPoolExecutor(min(READERS, cpu_count()), "oncovec-reader") as readers,
        ThreadPoolExecutor(len(processes), "oncovec-network", use_threads_here, (threads,)) as networks,
    ):
        try:
            while batch := list(islice(images, size)):
                squares = [readers.submit(read, image) for image in batch]
                waiting.append((batch, networks.submit(_processed, squares, free)))
                if len(waiting) > AHEAD * len(processes):
                    yield from _finished(*waiting.popleft())
            while waiting:
                yield from _finished(*waiting.popleft())
        finally:
            for pool in (readers, networks):
                pool.shutdown(wait=False, cancel_futures=True)


def _processed(squares: Sequence[Future[NDArray[np.uint8] | str]], free: SimpleQueue[Process]) -> list[Any]:
    """Return the result of each image of a batch, by a process function that no other thread uses."""
    read = [square.result() for square in squares]
    good = [pixels for pixels in read if not isinstance(pixels, str)]
    process = free.get()
    try:
        found = iter(process(np.stack(good)) if good else ())
    finally:
        free.put(process)
    return [pixels if isinstance(pixels, str) else next(found) for pixels in read]


def _finished(batch: Sequence[Any], found: Future[list[Any]]) -> Iterator[tuple[Any, Any]]:
    yield from zip(batch, found.result(), strict=True)
