import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import processes
import pytest

from oncovec.core.errors import OncovecError
from oncovec.core.parallel import WAITING, cpu_count, ordered_map

SOURCE = Path(__file__).parents[2] / "src"
SLEEPING = """
import time
from oncovec.core.parallel import ordered_map
try:
    for number, _ in enumerate(ordered_map(time.sleep, [{seconds}] * 999, 2)):
        if number == 9:
            print("at work", flush=True)
except KeyboardInterrupt:
    raise SystemExit("interrupted")
"""

both = pytest.mark.parametrize("workers", [1, 2])


def slow_if_even(number):
    time.sleep(0.01 * (number % 2 == 0))
    return number * number


def fail_at_three(number):
    if number == 3:
        raise OncovecError(f"{number} is wrong")
    return number


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


@both
def test_results_come_in_the_order_of_the_items(workers):
    assert list(ordered_map(slow_if_even, range(30), workers)) == [n * n for n in range(30)]


@both
def test_no_items_give_no_results(workers):
    assert list(ordered_map(slow_if_even, [], workers)) == []


@both
def test_what_the_function_raises_is_raised_here_after_the_results_before_it(workers):
    results = ordered_map(fail_at_three, range(30), workers)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(OncovecError, match="3 is wrong"):
        next(results)


@both
def test_items_are_read_only_as_fast_as_results_are_taken(workers):
    read = []
    results = ordered_map(slow_if_even, (read.append(n) or n for n in range(1000)), workers)
    assert not read
    for taken in range(1, 20):
        next(results)
        assert len(read) <= taken + (WAITING * workers if workers > 1 else 0)
    results.close()


def test_a_worker_that_is_killed_is_one_line():
    with pytest.raises(OncovecError, match="a worker process died, most likely for lack of memory"):
        list(ordered_map(die, range(30), 2))


def start(code, **options):
    """Start Python with a text, in a session of its own."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, env=environment, start_new_session=True, text=True, **options)


def test_workers_end_by_themselves_when_their_parent_is_killed():
    with start(SLEEPING.format(seconds=60)) as parent:
        workers = processes.descendants(parent.pid, 2)
        parent.kill()
    assert not processes.left(workers)


def test_an_interruption_of_the_whole_group_is_the_parent_s_alone():
    code = SLEEPING.format(seconds=0.1)
    with start(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        workers = processes.descendants(parent.pid, 2)
        assert parent.stdout.readline() == "at work\n"
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stderr.read() == "interrupted\n"
    assert parent.returncode == 1 and not processes.left(workers)


@pytest.fixture
def quota(tmp_path):
    """Number of cores in a machine with these lines of /proc/self/cgroup and files of /sys/fs/cgroup."""

    def count(lines, files):
        named = {f"sys/fs/cgroup/{name}": content for name, content in files}
        for name, content in {"proc/self/cgroup": lines, **named}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n")
        return cpu_count(tmp_path)

    return count


@pytest.fixture
def eight(monkeypatch):
    """A process that may use eight cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)


VERSION_2 = "0::/system/docker-1a:b"
VERSION_1 = "9:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/1a\n0::/"


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("lines", "files", "cores"),
    [
        (VERSION_2, [], 8),
        (VERSION_2, [("system/docker-1a:b/cpu.max", "max 100000")], 8),
        (VERSION_2, [("system/docker-1a:b/cpu.max", "300000 100000")], 3),
        (VERSION_2, [("system/docker-1a:b/cpu.max", "150000 100000")], 2),
        (VERSION_2, [("system/docker-1a:b/cpu.max", "1000 100000")], 1),
        (VERSION_2, [("system/docker-1a:b/cpu.max", "1600000 100000")], 8),
        (VERSION_2, [("system/docker-1a:b/cpu.max", "max 100000"), ("system/cpu.max", "50000 10000")], 5),
        (VERSION_2, [("cpu.max", "400000 100000")], 4),
        (VERSION_2, [("cpu.max", "damaged")], 8),
        (VERSION_2, [("elsewhere/cpu.max", "100000 100000")], 8),
        ("0::/", [("cpu.max", "600000 100000")], 6),
        ("0::/../../other", [("cpu.max", "600000 100000")], 6),
        (VERSION_1, [("cpu/cpu.cfs_quota_us", "-1"), ("cpu/cpu.cfs_period_us", "100000")], 8),
        (VERSION_1, [("cpu/cpu.cfs_quota_us", "200000"), ("cpu/cpu.cfs_period_us", "100000")], 2),
        (
            VERSION_1,
            [
                ("cpu,cpuacct/docker/1a/cpu.cfs_quota_us", "300000"),
                ("cpu,cpuacct/docker/1a/cpu.cfs_period_us", "100000"),
            ],
            3,
        ),
        (VERSION_1, [("cpu/cpu.cfs_quota_us", "200000"), ("cpu/cpu.cfs_period_us", "0")], 8),
    ],
)
def test_a_container_s_quota_limits_the_cores(quota, lines, files, cores):
    assert quota(lines, files) == cores


@pytest.mark.usefixtures("eight")
def test_a_machine_without_control_groups_has_the_cores_of_its_affinity(tmp_path):
    assert cpu_count(tmp_path) == 8


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_that_is_bound_to_one_core_works_alone():
    code = (
        "import os; from oncovec.core.parallel import cpu_count, ordered_map\n"
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "print(cpu_count(), set(ordered_map(lambda _: os.getpid(), range(9))) == {os.getpid()})"
    )
    with start(code, stdout=subprocess.PIPE) as bound:
        assert bound.stdout.read() == "1 True\n"
