import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncovec.data.duplicates import candidates as module
from oncovec.data.duplicates.candidates import candidates


def drawn(count, dimensions, seed):
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(vectors, neighbours):
    """Every pair of which one is among the other's nearest, by comparing all."""
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1)[:, : min(neighbours, len(vectors) - 1)]
    return {(min(i, j), max(i, j)) for i, row in enumerate(order.tolist()) for j in row}


@given(st.integers(2, 40), st.sampled_from([3, 8, 50]), st.integers(1, 45), st.integers(0, 99))
def test_candidates_are_the_nearest_of_every_image(count, dimensions, neighbours, seed):
    vectors = drawn(count, dimensions, seed)
    found = candidates(vectors, neighbours)
    assert set(map(tuple, found.tolist())) == nearest(vectors, neighbours)


@given(st.integers(0, 40), st.integers(1, 45), st.integers(0, 99))
def test_every_candidate_comes_once_the_smaller_row_first_and_sorted(count, neighbours, seed):
    found = candidates(drawn(count, 8, seed), neighbours).tolist()
    assert found == sorted(found) and len(set(map(tuple, found))) == len(found)
    assert all(first < second for first, second in found)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_have_no_candidates(count):
    assert candidates(drawn(count, 8, 0), 5).shape == (0, 2)


def test_images_that_all_say_the_same_are_candidates():
    assert len(candidates(np.tile(drawn(1, 8, 0), (6, 1)), 10)) == 15


def test_the_answer_does_not_depend_on_how_questions_are_cut(monkeypatch):
    vectors = drawn(200, 16, 0)
    whole = candidates(vectors, 5)
    monkeypatch.setattr(module, "BLOCK", 7)
    assert np.array_equal(candidates(vectors, 5), whole)


@pytest.fixture
def few(monkeypatch):
    """The search for many images, at a few thousand."""
    monkeypatch.setattr(module, "EXACT", 500)
    monkeypatch.setattr(module, "SAMPLE", 1500)


def clustered(count, originals, seed=0):
    """Copies of originals, nearer to each other than to any unrelated image."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((originals, 64))[np.arange(count) % originals]
    vectors = vectors + 0.6 * rng.standard_normal((count, 64))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_search_in_cells_finds_what_comparing_all_pairs_finds(few):
    vectors = clustered(3000, 600)
    expected = nearest(vectors, 4)
    found = set(map(tuple, candidates(vectors, 4).tolist()))
    assert len(expected & found) >= 0.95 * len(expected)
    assert np.array_equal(candidates(vectors, 4), candidates(vectors, 4))


def test_the_search_in_cells_says_nothing_on_its_own(few, capfd):
    candidates(clustered(1000, 200), 4)
    assert capfd.readouterr() == ("", "")
