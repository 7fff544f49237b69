"""Work spread over the cores this process may use; processes that end when the one they work for is gone."""

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
"""Items under way a worker: enough to keep it busy, few enough to bound the memory."""


def cpu_count(root: Path = Path("/")) -> int:
    """Number of cores that this process may use, at least 1.

    Fewer than the machine has where its affinity or a container's quota says so; of a quota of 1.5 cores,
    2 are used. `root` is where /proc and /sys are looked for.
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
    """Yield the cores that each control group above this process grants, of those that set a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = {"cpu", controllers} if controllers else {""}
        # In a container the group may be named as its host sees it: then only the mount itself is there.
        names = Path(group.lstrip("/")).parts
        for mount in mounts:
            for depth in range(len(names) + 1):
                yield from _quota(root.joinpath("sys/fs/cgroup", mount, *names[:depth]))


def _quota(folder: Path) -> Iterator[float]:
    """Yield the limit of one control group, of version 2 or 1, if it sets one."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            allowed, period = " ".join((folder / name).read_text() for name in names).split()
            if allowed != "max" and int(allowed) > 0:
                yield int(allowed) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            pass


def end_with_parent(parent: int | None = None) -> None:
    """Let this process end within about a second after its parent, killed or not, is gone.

    DVC starts a stage in a shell, which may stay between them and outlive a killed DVC: then the shell's
    parent is what counts.

    Args:
        parent: number of the process that started this one, where it is known: it may be gone by now.
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
    """Return the number of a process's parent if the process is a shell (sh, bash, dash, zsh, fish, ...)."""
    try:
        process = psutil.Process(number)
        return process.ppid() if process.name().endswith("sh") else None
    except psutil.Error:
        return None


def _start_worker() -> None:
    """Leave an interruption, which reaches every process of a terminal, to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of `items`.

    Args:
        function: picklable; an exception that it raises is raised here.
        items: read only as fast as results are taken.
        workers: processes; None for `cpu_count()`. With one, everything happens in this process.

    Raises:
        OncovecError: when a worker process is killed, as Linux does when memory runs out.
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
