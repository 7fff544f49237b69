import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oncovec.learning.sampling import count_batches, epoch_batches, shared, steps_each

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=150)
SIZES = st.integers(2, 40)
BOTH = st.booleans()
SEEDS = st.integers(0, 1000)


def batches(labels, size, balanced, seed):
    return epoch_batches(labels, size, balanced, np.random.default_rng(seed))


@given(LABELS, SIZES, SEEDS)
def test_every_image_comes_once_but_for_one_that_would_be_a_batch_of_its_own(labels, size, seed):
    drawn = np.concatenate(batches(labels, size, False, seed)).tolist()
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(range(len(labels)))
    alone = len(labels) % size == 1 and len(labels) > 1
    assert len(drawn) == len(labels) - alone


@given(LABELS, SIZES, SEEDS)
def test_a_balanced_epoch_draws_as_many_images_as_there_are(labels, size, seed):
    drawn = np.concatenate(batches(labels, size, True, seed))
    assert len(drawn) == len(labels) - (len(labels) % size == 1 and len(labels) > 1)
    assert ((drawn >= 0) & (drawn < len(labels))).all()


@given(LABELS, SIZES, BOTH, SEEDS)
def test_batches_are_full_but_for_the_last_and_none_is_of_one_image_unless_alone(
    labels, size, balanced, seed
):
    sizes = [len(batch) for batch in batches(labels, size, balanced, seed)]
    assert all(count == size for count in sizes[:-1])
    assert 1 <= sizes[-1] <= size
    assert sizes[-1] > 1 or len(labels) == 1


@given(LABELS, SIZES, BOTH, SEEDS)
def test_two_runs_agree(labels, size, balanced, seed):
    first, second = batches(labels, size, balanced, seed), batches(labels, size, balanced, seed)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@given(st.integers(20, 150), SIZES, BOTH, SEEDS)
def test_two_epochs_of_a_run_differ(count, size, balanced, seed):
    labels, generator = np.arange(count) % 3, np.random.default_rng(seed)
    first, second = (
        np.concatenate(epoch_batches(labels, size, balanced, generator)).tolist() for _ in range(2)
    )
    assert first != second


@settings(max_examples=15)
@given(st.lists(st.integers(1, 400), min_size=2, max_size=5), SEEDS)
def test_a_balanced_epoch_draws_every_class_about_equally_often(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    generator, epochs = np.random.default_rng(seed), 1 + 20_000 // len(labels)
    drawn = np.concatenate(
        [batch for _ in range(epochs) for batch in epoch_batches(labels, 32, True, generator)]
    )
    share, found = 1 / len(counts), np.bincount(labels[drawn], minlength=len(counts)) / len(drawn)
    assert np.abs(found - share).max() < 6 * np.sqrt(share * (1 - share) / len(drawn))


def test_a_balanced_epoch_draws_the_images_of_a_class_equally_often():
    labels, generator = np.array([0] * 5 + [1] * 45), np.random.default_rng(0)
    drawn = np.concatenate([b for _ in range(800) for b in epoch_batches(labels, 10, True, generator)])
    found = np.bincount(drawn, minlength=50) / len(drawn)
    assert np.allclose(found[:5], 0.1, rtol=0.1)
    assert np.allclose(found[5:], 0.5 / 45, rtol=0.3)


def test_the_global_generator_does_not_move():
    before = np.random.get_state()[1].tolist()
    batches([0, 1, 0, 1], 2, True, 0)
    assert before == np.random.get_state()[1].tolist()


@pytest.mark.parametrize("images", [1, 2, 31, 32, 33, 64, 65, 200])
@pytest.mark.parametrize("batch_size", [2, 16, 32])
def test_batches_are_as_many_as_are_counted(images, batch_size):
    labels = np.zeros(images, int)
    batches = epoch_batches(labels, batch_size, False, np.random.default_rng(0))
    assert len(batches) == count_batches(images, batch_size)


@given(LABELS, SIZES, st.integers(1, 9))
def test_every_process_makes_as_many_batches_as_are_counted_and_none_of_anothers(labels, size, processes):
    drawn = batches(labels, size, False, 0)
    shares = [shared(drawn, process, processes) for process in range(processes)]
    assert {len(share) for share in shares} == {steps_each(count_batches(len(labels), size), processes)}
    made = [tuple(batch) for share in shares for batch in share]
    assert len(set(made)) == min(len(made), len(drawn))
    assert processes > 1 or made == [tuple(batch) for batch in drawn]
