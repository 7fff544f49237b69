"""Parallel work on the cores that this process may use; workers end when their parent process is gone."""

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

import psutil

from oncovec.core.errors import OncovecError

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING = 4
"""Items in progress per worker: enough to keep a worker busy, few enough to bound the memory."""


def cpu_count(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use, at least 1.

    The CPU affinity and the quota of a container can reduce the number below that of the machine. A quota of
    1.5 cores gives 2. `root` is the folder that contains /proc and /sys.
    """
    count: int | None
    if sys.version_info >= (3, 13):
        count = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    return min([count or 1, *(max(1, math.ceil(quota)) for quota in _quotas(root))])


def _quotas(root: Path) -> Iterator[float]:
    """Yield the limit in cores of each control group above this process that sets a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = {"cpu", controllers} if controllers else {""}
        # In a container the group may have its name on the host. Then only the mount itself exists.
        names = Path(group.lstrip("/")).parts
        for mount in mounts:
            for depth in range(len(names) + 1):
                yield from _quota(root.joinpath("sys/fs/cgroup", mount, *names[:depth]))


def _quota(folder: Path) -> Iterator[float]:
    """Yield the limit in cores of one control group (version 2 or 1), if it sets a limit."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            allowed, period = " ".join((folder / name).read_text() for name in names).split()
            if allowed != "max" and int(allowed) > 0:
                yield int(allowed) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            pass


def end_with_parent(parent: int | None = None) -> None:
    """End this process within about a second after its parent ends, whether the parent is killed or not.

    DVC starts a stage in a shell. The shell may remain between DVC and the stage and may outlive a killed
    DVC. In this case the function watches the parent of the shell.

    Args:
        parent: number of the process that started this one, if known. That process may already be gone.
    """
    number = parent or os.getppid()
    forked_by = multiprocessing.parent_process()
    above = _parent_of_shell(number)

    def watch() -> None:
        while (
            os.getppid() == number
            and (forked_by is None or forked_by.is_alive())
            and _parent_of_shell(number) == above
        ):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _parent_of_shell(number: int) -> int | None:
    """Return the number of the parent of a process if it is a shell (sh, bash, dash, zsh, fish, ...)."""
    try:
        process = psutil.Process(number)
        return process.ppid() if process.name().endswith("sh") else None
    except psutil.Error:
        return None


def _start_worker() -> None:
    """Ignore interrupts in a worker: they reach every process of a terminal, and the parent handles them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of `items`.

    Args:
        function: a picklable function; its exceptions are raised here.
        items: the inputs; they are read only as fast as results are taken.
        workers: number of processes; None means `cpu_count()`. With one worker, this process does the work.

    Raises:
        OncovecError: if a worker process is killed. Linux kills processes when memory runs out.
    """
    count = workers or cpu_count()
    if count == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(count, initializer=_start_worker) as pool:
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
