import threading
import time
from contextlib import closing

import numpy as np
import pytest
import torch

from oncovec.core.parallel import cpu_count
from oncovec.serving import batches

SIZE = 4


def square(number):
    return f"{number} is odd" if number % 2 else np.full((2, 2, 3), number, np.uint8)


def even(number):
    return np.full((2, 2, 3), number, np.uint8)


def doubled(array):
    return [2 * int(pixels[0, 0, 0]) for pixels in array]


def slow_at_first(array):
    time.sleep(0.2 if array[0, 0, 0, 0] == 0 else 0)
    return doubled(array)


@pytest.mark.parametrize("networks", [1, 3])
@pytest.mark.parametrize("count", [0, 1, SIZE, 50])
def test_results_are_in_the_order_of_the_images_whichever_batch_ends_first(networks, count):
    found = list(batches.each(iter(range(count)), even, [slow_at_first] * networks, SIZE))
    assert found == [(number, 2 * number) for number in range(count)]


def test_an_image_that_cannot_be_read_has_its_reason_as_result_and_is_in_no_batch():
    seen = []

    def process(array):
        seen.extend(array[:, 0, 0, 0].tolist())
        return doubled(array)

    found = dict(batches.each(iter([1, 3, 5, 7, 2, 1, 4, 3]), square, [process], SIZE))
    assert found == {1: "1 is odd", 3: "3 is odd", 5: "5 is odd", 7: "7 is odd", 2: 4, 4: 8}
    assert seen == [2, 4]


def test_images_are_decoded_while_the_network_has_earlier_ones():
    decoded = threading.Event()

    def read(number):
        if number == SIZE:
            decoded.set()
        return even(number)

    def process(array):
        assert decoded.wait(60)
        return doubled(array)

    assert len(list(batches.each(iter(range(2 * SIZE)), read, [process], SIZE))) == 2 * SIZE


def test_as_many_batches_as_there_are_networks_are_processed_at_once():
    together = threading.Barrier(2, timeout=60)

    def process(array):
        together.wait()
        return doubled(array)

    assert len(list(batches.each(iter(range(2 * SIZE)), even, [process, process], SIZE))) == 2 * SIZE


def test_no_network_is_used_by_two_threads_at_once():
    def alone():
        lock = threading.Lock()

        def process(array):
            assert lock.acquire(blocking=False)
            time.sleep(0.001)
            lock.release()
            return doubled(array)

        return process

    assert len(list(batches.each(iter(range(40)), even, [alone(), alone()], 1))) == 40


def test_networks_share_the_cores_and_the_thread_that_asks_keeps_its_own():
    before = torch.get_num_threads()
    for networks in (1, 2):
        processes = [lambda array: [torch.get_num_threads()] * len(array)] * networks
        found = {threads for _, threads in batches.each(iter(range(20)), even, processes, SIZE)}
        assert found == {max(1, cpu_count() // networks)}
    asked = []
    thread = threading.Thread(target=lambda: asked.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == before == asked[0]


def test_images_are_taken_a_few_batches_ahead_of_the_results_that_are_used():
    taken = []

    def endless():
        while True:
            taken.append(len(taken) % 100)
            yield taken[-1]

    with closing(batches.each(endless(), even, [doubled, doubled], SIZE)) as each:
        for count in range(1, 100):
            next(each)
            assert len(taken) <= count + (2 * batches.AHEAD + 1) * SIZE


def test_an_error_of_the_network_is_raised_and_ends_the_threads():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(batches.each(iter(range(50)), even, [lambda array: 1 / 0] * 2, SIZE))
    assert threading.active_count() == before
