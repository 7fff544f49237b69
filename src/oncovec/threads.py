"""A fixed number of CPU threads for scikit-learn's numbers, on which their last bits depend."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Limit BLAS and OpenMP to `threads` inside the block."""
    # A limit reaches only the libraries that are loaded already.
    import sklearn.metrics
    import sklearn.neighbors  # noqa: F401

    with threadpool_limits(threads):
        yield
