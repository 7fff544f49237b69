import os
import signal
import time

import pytest

from oncovec.core.errors import OncovecError
from oncovec.core.parallel import WAITING, ordered_map

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
