"""Work spread over all cores: results in order, only a few of them waiting at any time."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from oncovec.core.errors import OncovecError

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING = 4
"""Items under way a worker: enough to keep it busy, few enough to bound the memory."""


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of `items`.

    Args:
        function: picklable; an exception that it raises is raised here.
        items: read only as fast as results are taken.
        workers: processes; None for one a core. With one, everything happens in this process.

    Raises:
        OncovecError: when a worker process is killed, as Linux does when memory runs out.
    """
    count = workers or os.cpu_count() or 1
    if count == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(count) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > WAITING * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise OncovecError(
                "a worker process died, most likely for lack of memory; end other programs and run again"
            ) from None
        finally:
            for future in waiting:
                future.cancel()
