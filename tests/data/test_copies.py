import dataclasses
import hashlib

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from textures import COPIES, texture, write_features

from oncovec.core import params
from oncovec.data.duplicates import copies, extract, features
from oncovec.data.duplicates.copies import Pair, candidates, cluster, find, is_copy, look
from oncovec.data.duplicates.registration import register, view
from oncovec.data.tree import Folder

PLANTED = ("JPEG", "cropped", "flipped left to right", "turned by 30", "darker")
KNOBS = params.Group()


def drawn(count, dimensions, seed):
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def nearest(vectors, neighbours):
    """Every pair of which one is among the other's nearest, by comparing all."""
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    cosines = centred @ centred.T
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


@pytest.fixture
def small(monkeypatch):
    """The search for many images, at a few thousand."""
    monkeypatch.setattr(copies, "EXACT", 500)
    monkeypatch.setattr(copies, "SAMPLE", 1500)


def clustered(count, originals, seed=0):
    """Copies of originals, nearer to each other than to any stranger."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((originals, 64))[np.arange(count) % originals]
    vectors = vectors + 0.6 * rng.standard_normal((count, 64))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def test_the_search_in_cells_finds_what_comparing_all_pairs_finds(small):
    vectors = clustered(3000, 600)
    expected = nearest(vectors, 4)
    found = set(map(tuple, candidates(vectors, 4).tolist()))
    assert len(expected & found) >= 0.95 * len(expected)
    assert np.array_equal(candidates(vectors, 4), candidates(vectors, 4))


def test_the_search_in_cells_says_nothing_on_its_own(small, capfd):
    candidates(clustered(1000, 200), 4)
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The features of 6 originals, 5 copies of each, and 30 strangers, shuffled; and who comes from whom."""
    root = tmp_path_factory.mktemp("raw")
    images = [(number, texture(number, 96, 80)) for number in range(36)]
    images += [(number, COPIES[name].make(image)) for number, image in images[:6] for name in PLANTED]
    order = np.random.default_rng(0).permutation(len(images))
    origins, hashes = [], {}
    for row, place in enumerate(order):
        origin, image = images[place]
        path = root / f"{row:02d}.png"
        image.save(path)
        origins.append(origin)
        hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = tmp_path_factory.mktemp("features")
    extract.write(Folder(root), hashes, folder, 64, 200, torch.device("cpu"))
    return features.open_features(folder), origins


@pytest.fixture(scope="module")
def confirmed(planted):
    return find(planted[0], KNOBS)


def partition(names):
    """The sets of positions that bear the same name."""
    return {frozenset(np.flatnonzero(np.array(names) == name).tolist()) for name in names}


def test_the_clusters_found_are_the_planted_ones(planted, confirmed):
    content, origins = planted
    assert partition(cluster(len(content), confirmed)) == partition(origins)
    assert sum(len(members) > 1 for members in partition(origins)) == 6


def test_pairs_are_sorted_and_say_what_the_second_look_says(planted, confirmed):
    content, _ = planted
    assert [(pair.first, pair.second) for pair in confirmed] == sorted(
        {(p.first, p.second) for p in confirmed}
    )
    for pair in confirmed[::9]:
        fit = register(view(content, pair.first), view(content, pair.second))
        assert pair.inliers == fit.inliers and pair.correlation == pytest.approx(fit.correlation, abs=1e-9)
        one, other = content.vectors[[pair.first, pair.second]].astype(np.float64)
        assert pair.similarity == pytest.approx(one @ other, abs=1e-4)


@pytest.fixture(scope="module")
def smooth(tmp_path_factory):
    """A ramp without any texture three times, another ramp, and a texture twice; all of one vector."""
    ramp = Image.fromarray(np.tile(np.linspace(90, 110, 64).astype(np.uint8), (64, 1))).convert("RGB")
    images = [ramp, texture(1, 96, 80), ramp, ramp.rotate(90), texture(1, 96, 80), ramp]
    return write_features(tmp_path_factory.mktemp("smooth"), images)


def test_images_of_the_same_pixels_are_copies_without_a_keypoint(smooth):
    assert (np.diff(smooth.offsets)[[0, 2, 5]] < KNOBS.inliers).all()
    found = find(smooth, params.Group(neighbours=1))
    assert cluster(len(smooth), found) == [0, 1, 0, 3, 1, 0]
    assert {(0, 2), (0, 5), (1, 4)} <= {(pair.first, pair.second) for pair in found}
    assert all((pair.similarity, pair.correlation) == (1, 1) for pair in found)
    assert [pair.inliers for pair in found if pair.first == 1] == [np.diff(smooth.offsets)[1]]


def test_the_same_pixels_are_not_looked_at(smooth, monkeypatch):
    monkeypatch.setattr(
        copies, "look", lambda features, pairs, least: asked.extend(map(tuple, pairs.tolist())) or []
    )
    asked = []
    rows = [1, 2, 3, 4, 5]
    assert [(pair.first, pair.second) for pair in find(smooth, KNOBS, rows)] == [(1, 4), (2, 5)]
    assert asked and not {(1, 4), (2, 5)} & set(asked)


def test_the_same_grey_image_of_other_vectors_is_looked_at(smooth):
    vectors = smooth.vectors.copy()
    vectors[2, 0] = 0
    other = dataclasses.replace(smooth, vectors=vectors)
    assert copies.same_pixels(other, np.arange(6)).tolist() == [0, 1, 2, 3, 1, 0]


def test_only_the_rows_asked_for_are_compared(planted, confirmed):
    content, _ = planted
    rows = range(1, len(content), 2)
    found = find(content, params.Group(neighbours=1000), rows)
    expected = {p for p in confirmed if p.first in rows and p.second in rows}
    assert expected and set(found) >= expected
    assert {row for pair in found for row in pair[:2]} <= set(rows)


def test_rows_of_none_and_of_one_have_no_pairs(planted):
    content, _ = planted
    assert find(content, KNOBS, []) == find(content, KNOBS, [3]) == []


def test_a_stricter_threshold_confirms_fewer(planted, confirmed):
    content, _ = planted
    middle = params.Group(correlation=float(np.median([pair.correlation for pair in confirmed])))
    many = params.Group(inliers=int(np.median([pair.inliers for pair in confirmed])))
    for knobs in (middle, many):
        fewer = find(content, knobs)
        assert 0 < len(fewer) < len(confirmed)
        assert fewer == [pair for pair in confirmed if is_copy(pair, knobs)]


def test_the_number_of_neighbours_bounds_what_is_looked_at(planted, capsys):
    content, _ = planted
    find(content, params.Group(neighbours=1))
    assert int(capsys.readouterr().out.split()[2]) <= len(content)


def test_looking_leaves_out_pairs_without_a_fit_and_keeps_the_order(planted, monkeypatch):
    content, _ = planted
    monkeypatch.setattr(copies, "CHUNK", 7)
    pairs = np.array([(i, j) for i in range(12) for j in range(i + 1, 12)])
    fits = {(i, j): register(view(content, i), view(content, j)) for i, j in pairs.tolist()}
    found = list(look(content, pairs))
    assert [(pair.first, pair.second) for pair in found] == [key for key, fit in fits.items() if fit]
    assert found


def test_asking_for_more_agreeing_keypoints_leaves_out_the_pairs_with_fewer_and_changes_no_other(planted):
    content, _ = planted
    pairs = np.array([(i, j) for i in range(12) for j in range(i + 1, 12)])
    found = list(look(content, pairs))
    enough = [pair for pair in found if pair.inliers >= KNOBS.inliers]
    assert list(look(content, pairs, KNOBS.inliers)) == enough
    assert 0 < len(enough) < len(found)


graphs = st.integers(1, 30).flatmap(
    lambda count: st.tuples(
        st.just(count), st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=40)
    )
)


@given(graphs)
def test_clusters_are_connected_components_named_by_their_first_row(graph):
    count, edges = graph
    network = networkx.Graph(edges)
    network.add_nodes_from(range(count))
    expected = {row: min(part) for part in networkx.connected_components(network) for row in part}
    pairs = [Pair(first, second, 1.0, 99, 1.0) for first, second in edges]
    assert cluster(count, pairs) == [expected[row] for row in range(count)]


def test_the_table_names_images(planted):
    pairs = [Pair(0, 2, 0.9, 20, 0.95)]
    assert list(copies.table(pairs, ["a.png", "b.png", "c.png"])) == [("a.png", "c.png", 0.9, 20, 0.95)]
    assert Pair._fields == copies.COLUMNS
