"""Progress bars; they appear only on a terminal, so that logs and CI output stay readable."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(items: Iterable[Any], what: str, total: int | None = None) -> "tqdm[Any]":
    """Wrap `items` in a bar that shows `what`, the count of images, their rate and the time left."""
    return tqdm(items, desc=what, total=total, unit=" images", disable=None, leave=False, dynamic_ncols=True)


def byte_progress(what: str, total: int | None, done: int = 0) -> "tqdm[Any]":
    """Make a bar for a download that shows `what`, bytes so far, total bytes, rate and time left."""
    return tqdm(
        desc=what,
        total=total,
        initial=done,
        unit="B",
        unit_scale=True,
        disable=None,
        leave=False,
        dynamic_ncols=True,
    )
