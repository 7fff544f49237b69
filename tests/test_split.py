from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncovec import split
from oncovec.errors import OncovecError
from oncovec.files import read_json

SHARES = (0.7, 0.15, 0.15)

# (group, label) of each image: groups of all sizes, some of them with several labels.
images = st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.sampled_from("xyz")), max_size=60)
seeds = st.integers(0, 2**31 - 1)


@st.composite
def with_singles(draw):
    """The same, beside three groups of one image for each class."""
    rows = draw(images)
    labels = {"x", "y", *(label for _, label in rows)}
    return rows + [(f"{label}{number}", label) for label in sorted(labels) for number in range(3)]


def drawn(rows, seed=0):
    return split.draw([label for _, label in rows], [group for group, _ in rows], SHARES, seed)


def singles(count, classes="xy"):
    """So many groups of one image, of each class in turn."""
    return [(f"g{number:05d}", classes[number % len(classes)]) for number in range(count)]


@given(images, seeds)
def test_no_group_is_on_two_sides(rows, seed):
    try:
        sides = drawn(rows, seed)
    except OncovecError:
        return  # too few groups for three sides
    sides_of = defaultdict(set)
    for (group, _), side in zip(rows, sides, strict=True):
        sides_of[group].add(side)
    assert all(len(found) == 1 for found in sides_of.values())
    assert {(side, label) for side, (_, label) in zip(sides, rows, strict=True)} == {
        (side, label) for side in split.SIDES for _, label in rows
    }


@given(with_singles(), seeds)
def test_a_class_with_three_groups_of_one_image_is_on_every_side(rows, seed):
    labels = {label for _, label in rows}
    on = {(side, label) for side, (_, label) in zip(drawn(rows, seed), rows, strict=True)}
    assert on == {(side, label) for side in split.SIDES for label in labels}


@given(with_singles(), seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, seed, random):
    numbered = list(enumerate(rows))
    shuffled = random.sample(numbered, len(numbered))
    found = dict(
        zip((number for number, _ in shuffled), drawn([row for _, row in shuffled], seed), strict=True)
    )
    assert [found[number] for number, _ in numbered] == drawn(rows, seed)


@pytest.mark.parametrize("count", [200, 1001])
@pytest.mark.parametrize("seed", range(5))
def test_many_groups_of_one_image_meet_the_shares_in_every_class(count, seed):
    rows = singles(count, "xxxy")
    found = Counter(zip(drawn(rows, seed), (label for _, label in rows), strict=True))
    for label, total in Counter(label for _, label in rows).items():
        for side, share in zip(split.SIDES, SHARES, strict=True):
            assert abs(found[side, label] - share * total) <= 2


def test_groups_of_many_sizes_come_near_the_shares():
    rows = [(f"g{number}", "xy"[number % 2]) for number in range(60) for _ in range(1 + number % 7)]
    sides = Counter(drawn(rows))
    for side, share in zip(split.SIDES, SHARES, strict=True):
        assert abs(sides[side] / len(rows) - share) < 0.02


def test_another_seed_gives_other_sides_and_the_same_one_the_same():
    rows = singles(60)
    assert drawn(rows, 0) == drawn(rows, 0)
    assert len({tuple(drawn(rows, seed)) for seed in range(5)}) == 5


def test_a_class_in_fewer_than_three_groups_is_refused_by_name():
    rows = [*singles(12), *[("one", "rare")] * 9, ("two", "rare"), ("three", "single")]
    with pytest.raises(OncovecError) as caught:
        drawn(rows)
    assert "'rare' has 10 images in 2 groups; class 'single' has 1 image in 1 group;" in str(caught.value)


def test_one_class_is_refused():
    with pytest.raises(OncovecError, match="only one class, 'x': a split needs at least two"):
        drawn(singles(12, "x"))


def test_groups_of_several_classes_are_placed_where_they_are_needed_most():
    rows = [
        (group, label)
        for group, labels in zip("abcdef", ("xy", "xz", "yz", *"xyz"), strict=True)
        for label in labels
    ]
    for seed in range(20):
        assert len({(side, label) for side, (_, label) in zip(drawn(rows, seed), rows, strict=True)}) == 9


def indexed(*rows):
    return [dict(zip(("image", "label", "sha256"), row, strict=True)) for row in rows]


def test_copies_with_two_labels_and_images_without_one_are_left_out_and_counted():
    table = indexed(
        ("e", "x", "5"), ("a", "x", "1"), ("b", "y", "1"), ("c", "", "2"), ("d", "y", "3"), ("f", "", "3")
    )
    found = split.labelled(table, {image: f"of {image}" for image in "abcdef"}, "label")
    assert (found.images, found.labels, found.groups) == (["d", "e"], ["y", "x"], ["of d", "of e"])
    assert (found.two_labels, found.unlabelled) == (2, 2)


def test_copies_with_one_label_all_stay():
    found = split.labelled(indexed(("a", "x", "1"), ("b", "x", "1")), {"a": "a", "b": "a"}, "label")
    assert (found.images, found.two_labels) == (["a", "b"], 0)


def test_an_unknown_label_column_is_refused_with_those_that_there_are():
    with pytest.raises(
        OncovecError, match="no label column 'organ' in the index; there are image, label, sha256"
    ):
        split.labelled(indexed(("a", "x", "1")), {"a": "a"}, "organ")


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Draw and write a task: `written(classes, positive)`."""
    monkeypatch.chdir(tmp_path)

    def write(classes="xy", positive=None):
        rows = singles(30, classes)
        names = [f"{number:02d}.png" for number in range(len(rows))]
        data = split.Labelled(names, [label for _, label in rows], [group for group, _ in rows], 4, 5)
        split.write(data, drawn(rows), "task", positive)
        return data

    return write


def test_the_table_is_sorted_by_image_and_read_as_it_was_written(written):
    data = written()
    rows = split.read(split.paths.split("task"))
    assert [row["image"] for row in rows] == sorted(data.images)
    assert [row["side"] for row in rows] == drawn(list(zip(data.groups, data.labels, strict=True)))
    assert list(rows[0]) == ["image", "label", "group", "side"]


def test_the_counts_add_up(written):
    written()
    counts = read_json(split.paths.split_metrics("task"))
    assert counts["left_out"] == {"two_labels": 4, "unlabelled": 5}
    sides = [counts[side] for side in split.SIDES]
    assert counts["images"] == sum(side["images"] for side in sides) == 30
    assert counts["groups"] == sum(side["groups"] for side in sides) == 30
    for side in sides:
        assert side["images"] == sum(each["images"] for each in side["classes"].values())


def test_classes_and_the_positive_one_stand_beside_the_split(written):
    written("yx", "y")
    assert read_json(split.paths.split_facts("task")) == {"classes": ["x", "y"], "positive": "y"}


@pytest.mark.parametrize(("classes", "positive"), [("xy", "z"), ("xyz", "x")])
def test_a_positive_class_needs_to_be_one_of_two(written, classes, positive):
    with pytest.raises(OncovecError, match=f"tasks.task.positive = '{positive}'.*there are x, y"):
        written(classes, positive)
    assert not split.paths.split("task").exists()
