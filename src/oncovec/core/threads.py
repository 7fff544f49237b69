"""A fixed number of CPU threads for matrix products and scikit-learn; their last bits depend on it."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Limit BLAS and OpenMP to `threads` threads inside the block; this affects only loaded libraries."""
    with threadpool_limits(threads):
        yield
