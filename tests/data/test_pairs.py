import tracemalloc

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from textures import COPIES, SETTINGS, encoded, seen, small, texture

from oncovec.data import duplicates
from oncovec.data.duplicates import Pair, cluster, find, keypoints, pairs, vectors
from oncovec.data.duplicates.keypoints import KeypointFile, Keypoints, gather
from oncovec.data.duplicates.registration import register

PLANTED = ("JPEG", "cropped", "flipped left to right", "turned by 30", "darker")


def settings(**changed):
    return SETTINGS.model_copy(update=changed)


@pytest.fixture(scope="module")
def planted():
    """6 originals, 5 copies of each, and 30 unrelated images, shuffled; and who comes from whom."""
    images = [(number, texture(number, 96, 80)) for number in range(36)]
    images += [(number, COPIES[name].make(image)) for number, image in images[:6] for name in PLANTED]
    order = np.random.default_rng(0).permutation(len(images)).tolist()
    return [images[place][1] for place in order], [images[place][0] for place in order]


@pytest.fixture(scope="module")
def copies(planted):
    return small(planted[0])


@pytest.fixture(scope="module")
def confirmed(copies):
    return find(*copies, SETTINGS)


def partition(names):
    """The sets of positions that bear the same name."""
    return {frozenset(np.flatnonzero(np.array(names) == name).tolist()) for name in names}


def ends(found):
    return [(pair.first, pair.second) for pair in found]


def test_the_clusters_found_are_the_planted_ones(planted, confirmed):
    images, origins = planted
    assert partition(cluster(len(images), confirmed)) == partition(origins)
    assert sum(len(members) > 1 for members in partition(origins)) == 6


def test_the_order_of_the_images_does_not_matter(copies, planted):
    pixels, shapes = copies
    order = np.random.default_rng(1).permutation(len(pixels))
    found = cluster(len(order), find(pixels[order], shapes[order], SETTINGS))
    assert partition(found) == partition(np.array(planted[1])[order])


def test_the_same_images_give_the_same_pairs(copies, confirmed):
    assert find(*copies, SETTINGS) == confirmed


def test_the_number_of_cores_does_not_matter(copies, confirmed, monkeypatch):
    monkeypatch.setattr("oncovec.core.parallel.cpu_count", lambda: 2)
    assert find(*copies, SETTINGS) == confirmed


def test_pairs_are_sorted_and_say_what_the_second_look_says(planted, confirmed):
    images, _ = planted
    assert ends(confirmed) == sorted(set(ends(confirmed)))
    for pair in confirmed[::9]:
        fit = register(seen(images[pair.first]), seen(images[pair.second]))
        assert pair.inliers == fit.inliers and pair.correlation == pytest.approx(fit.correlation, abs=1e-9)
        assert -1 <= pair.similarity <= 1.0001


@pytest.mark.parametrize("name", COPIES)
def test_every_kind_of_copy_is_found_among_unrelated_images(name):
    originals = [texture(seed, 150, 110) for seed in range(12)]
    found = find(*small([*originals, COPIES[name].make(originals[4])]), SETTINGS)
    assert ends(found) == [(4, 12)]


def test_copies_of_copies_end_up_in_one_cluster():
    chain = [texture(0, 160, 120)]
    for name in ("turned by 30", "darker", "flipped upside down", "cropped"):
        chain.append(encoded(COPIES[name].make(chain[-1])))
    images = [*chain, *(texture(seed, 160, 120) for seed in range(1, 6))]
    assert cluster(len(images), find(*small(images), SETTINGS)) == [0, 0, 0, 0, 0, 5, 6, 7, 8, 9]


@pytest.fixture(scope="module")
def smooth():
    """A ramp without any texture three times, another ramp, and a texture twice."""
    ramp = Image.fromarray(np.tile(np.linspace(90, 110, 64).astype(np.uint8), (64, 1))).convert("RGB")
    return small([ramp, texture(1, 96, 80), ramp, ramp.rotate(90), texture(1, 96, 80), ramp])


def test_images_of_the_same_pixels_are_duplicates_without_a_keypoint(smooth):
    found = find(*smooth, settings(neighbours=1))
    assert cluster(6, found) == [0, 1, 0, 3, 1, 0]
    assert ends(found) == [(0, 2), (0, 5), (1, 4)]
    assert all((pair.similarity, pair.correlation) == (1, 1) for pair in found)
    assert [pair.inliers for pair in found] == [0, 0, len(seen(texture(1, 96, 80)).points)]


def test_only_the_first_of_the_same_pixels_is_compared(smooth, monkeypatch):
    monkeypatch.setattr(pairs, "look", lambda *content: asked.extend(content[3].tolist()) or [])
    asked = []
    assert ends(find(*smooth, SETTINGS, [1, 2, 3, 4, 5])) == [(1, 4), (2, 5)]
    assert not {4, 5} & {row for pair in asked for row in pair}


def test_black_beside_an_image_is_no_part_of_it(smooth):
    pixels, shapes = smooth
    wide = shapes.copy()
    wide[4, 0] += 10
    assert pairs.same_pixels(pixels, wide, np.arange(6)).tolist() == [0, 1, 0, 3, 4, 0]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_images_that_show_nothing_are_no_reason_to_fail(count):
    flat = [Image.new("RGB", (40 + seed, 30), (seed, seed, seed)) for seed in range(count)]
    if count == 0:
        assert find(np.zeros((0, 128, 128), np.uint8), np.zeros((0, 2), np.int32), SETTINGS) == []
        return
    assert find(*small(flat), SETTINGS) == []
    assert ends(find(*small([*flat, texture(0), encoded(texture(0))]), SETTINGS)) == [(count, count + 1)]


def test_only_the_rows_asked_for_are_compared(copies, confirmed):
    rows = range(1, len(copies[0]), 2)
    found = find(*copies, settings(neighbours=1000), rows)
    expected = {pair for pair in ends(confirmed) if set(pair) <= set(rows)}
    assert expected and set(ends(found)) >= expected
    assert {row for pair in ends(found) for row in pair} <= set(rows)


def test_rows_of_none_and_of_one_have_no_pairs(copies):
    assert find(*copies, SETTINGS, []) == find(*copies, SETTINGS, [3]) == []


def test_a_stricter_threshold_confirms_fewer(copies, confirmed):
    middle = float(np.median([pair.correlation for pair in confirmed]))
    strict = find(*copies, settings(correlation=middle))
    assert strict == [pair for pair in confirmed if pair.correlation >= middle]
    assert 0 < len(strict) < len(confirmed)


def test_asking_for_more_agreeing_keypoints_confirms_fewer(copies, confirmed):
    many = int(np.median([pair.inliers for pair in confirmed]))
    strict = find(*copies, settings(inliers=many))
    assert strict and {pair[:2] for pair in strict} <= set(ends(confirmed))
    assert all(pair.inliers >= many for pair in strict)


def test_the_number_of_neighbours_bounds_what_is_looked_at(copies, capsys):
    find(*copies, settings(neighbours=1))
    assert int(capsys.readouterr().out.split()[1]) <= len(copies[0])


def test_looking_leaves_out_unrelated_images_and_keeps_the_order(planted, copies, monkeypatch):
    monkeypatch.setattr(pairs, "CHUNK", 7)
    images, origins = planted
    asked = np.array([(i, j) for i in range(12) for j in range(i + 1, 12)])
    with KeypointFile(len(images)) as file:
        gather(file, *copies, np.arange(12), SETTINGS.keypoints)
        found = list(pairs.look(*copies, file, asked, SETTINGS))
    assert [pair[:2] for pair in found] == [(i, j) for i, j in asked.tolist() if origins[i] == origins[j]]
    assert found


def peak(images, path):
    """Bytes held at once, at most, in finding the near-duplicates among noise on disk."""
    copies = np.lib.format.open_memmap(path, "w+", np.uint8, (images, 128, 128))
    copies[:] = np.random.default_rng(0).integers(0, 256, (images, 1, 128), np.uint8)
    tracemalloc.start()
    assert find(copies, np.full((images, 2), 128, np.int32), settings(neighbours=2)) == []
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held


@pytest.mark.slow
def test_neither_copies_nor_keypoints_of_all_images_are_held_at_once(tmp_path, monkeypatch):
    def noise(grey, most):
        numbers = np.random.default_rng(int(grey[0, :4].view(np.uint32)[0])).integers(0, 256, (most, 128))
        return Keypoints(np.zeros((most, 2), np.float32), numbers.astype(np.uint8))

    monkeypatch.setattr(pairs, "register", lambda first, second, least: None)
    monkeypatch.setattr(pairs, "CHUNK", 8)
    monkeypatch.setattr(keypoints, "detect", noise)
    monkeypatch.setattr(vectors, "SAMPLE", 20)
    few, many = (peak(images, tmp_path / f"{images}.npy") for images in (100, 500))
    each = SETTINGS.keypoints * 136 + 128 * 128
    assert many - few < 400 * each / 20


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
    found = [Pair(first, second, 1.0, 99, 1.0) for first, second in edges]
    assert cluster(count, found) == [expected[row] for row in range(count)]


def test_the_table_names_images():
    found = [Pair(0, 2, 0.9, 20, 0.95)]
    assert list(duplicates.table(found, ["a.png", "b.png", "c.png"])) == [("a.png", "c.png", 0.9, 20, 0.95)]
    assert Pair._fields == duplicates.COLUMNS
