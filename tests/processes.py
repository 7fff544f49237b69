"""Processes that must end by themselves when the one they work for is killed."""

import time

import psutil


def descendants(pid, count, seconds=60):
    """Wait until a process has at least `count` descendants; return all of them."""
    end = time.monotonic() + seconds
    while len(found := psutil.Process(pid).children(recursive=True)) < count:
        assert time.monotonic() < end, f"{len(found)} descendants after {seconds} s, not {count}"
        time.sleep(0.05)
    return found


def left(processes, seconds=30):
    """Wait until the processes are gone; return those that are not."""
    end = time.monotonic() + seconds
    while (found := [process for process in processes if _runs(process)]) and time.monotonic() < end:
        time.sleep(0.1)
    for process in found:
        process.kill()
    return found


def _runs(process):
    # Where no process reaps the dead, they stay as zombies.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
