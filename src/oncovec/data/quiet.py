"""Silence for libraries that warn of what they read; their warnings may quote the content of a file."""

import threading
import warnings


class Quiet:
    """Context manager that ignores all warnings while any thread is inside.

    With `warnings.catch_warnings` in each thread, the filters of the last thread to leave would remain.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._caught.__exit__(None, None, None)


QUIET = Quiet()
"""The one instance; every thread uses it."""
