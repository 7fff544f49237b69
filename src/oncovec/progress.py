"""Progress bars: on a terminal only, so that logs and CI stay readable."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(items: Iterable[Any], what: str, total: int | None = None) -> "tqdm[Any]":
    """Wrap `items` in a bar that shows `what`, the count of images, their rate and the time left."""
    return tqdm(items, desc=what, total=total, unit=" images", disable=None, leave=False, dynamic_ncols=True)
