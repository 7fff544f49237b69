"""A fixed number of CPU threads for matrix products and scikit-learn, on which their last bits depend."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Limit BLAS and OpenMP to `threads` inside the block: those libraries that are loaded by then."""
    with threadpool_limits(threads):
        yield
