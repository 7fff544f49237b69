import re
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import read_json
from oncovec.core.params import Split
from oncovec.data import split, stratify
from oncovec.data.sides import SIDES, leaked, side_of
from oncovec.data.stratify import draw

SHARES = (0.7, 0.15, 0.15)

# (group, label) of each image: groups of all sizes, some of them with several labels.
images = st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.sampled_from("xyz")), max_size=60)
seeds = st.integers(0, 2**31 - 1)

REFUSED = (
    (0, [[5, 0], [1, 4], [5, 4], [7, 6]]),
    (0, [[7, 7], [5, 3], [7, 7]]),
    (0, [[7, 0, 1], [2, 5, 1], [4, 5, 0], [0, 0, 3], [4, 3, 0], [0, 3, 0], [2, 5, 0], [0, 0, 2]]),
    (0, [[0, 6], [0, 5], [0, 7], [3, 7], [6, 0], [0, 2], [1, 0], [7, 4]]),
    (
        400,
        [
            *([1, 0, 2, 11], [9, 6, 6, 9], [0, 0, 1, 0], [4, 0, 0, 10], [7, 0, 0, 4], [8, 2, 1, 0]),
            *([10, 10, 0, 10], [2, 6, 8, 3], [6, 3, 0, 0], [6, 0, 0, 2], [0, 6, 0, 0], [8, 2, 9, 5]),
        ],
    ),
)
"""A seed, and images a group and class: tables that the first draw leaves short, though they can be split."""


@st.composite
def with_singles(draw):
    """The same, beside three groups of one image for each class."""
    rows = draw(images)
    labels = {"x", "y", *(label for _, label in rows)}
    return rows + [(f"{label}{number}", label) for label in sorted(labels) for number in range(3)]


@st.composite
def share_lists(draw):
    """Shares of the three sides, none below 5 %."""
    train, val, test = (draw(st.integers(5, 90)) for _ in SIDES)
    total = train + val + test
    return (train / total, val / total, 1 - train / total - val / total)


def drawn(rows, seed=0, shares=SHARES, sides=SIDES):
    return draw([label for _, label in rows], [group for group, _ in rows], shares, seed, sides)


def strategy(name, seed=0, shares=SHARES, unseen=()):
    return Split(strategy=name, **dict(zip(SIDES, shares, strict=True)), seed=seed, unseen_classes=unseen)


def table_of(rows, published=()):
    """Rows of (group, label) as what can be split; images are numbered in their order."""
    names = [f"{number:03d}.png" for number in range(len(rows))]
    labels, groups = [label for _, label in rows], [group for group, _ in rows]
    return split.Labelled(names, labels, groups, list(published) or [""] * len(rows), 4, 5)


def singles(count, classes="xy"):
    """So many groups of one image, of each class in turn."""
    return [(f"g{number:05d}", classes[number % len(classes)]) for number in range(count)]


def least(rows, shares, label):
    """Images of a class that each side must have at the least, reckoned anew."""
    total = sum(other == label for _, other in rows)
    return [max(1, min(share * total / 2, total / len(shares)) - 1e-6) for share in shares]


@given(images, seeds, share_lists())
def test_no_group_is_on_two_sides_and_each_side_has_enough_of_each_class_or_a_line_says_why(
    rows, seed, shares
):
    try:
        sides = drawn(rows, seed, shares)
    except OncovecError as refused:
        assert str(refused).startswith(("only one class", "too small for", "class ")), refused
        assert "\n" not in str(refused)
        return
    assert len(sides) == len(rows) and set(sides) <= set(SIDES)
    sides_of = defaultdict(set)
    for (group, _), side in zip(rows, sides, strict=True):
        sides_of[group].add(side)
    assert all(len(found) == 1 for found in sides_of.values())
    found = Counter(zip(sides, (label for _, label in rows), strict=True))
    for label in {label for _, label in rows}:
        wanted = least(rows, shares, label)
        assert all(found[side, label] >= low for side, low in zip(SIDES, wanted, strict=True))


@given(st.integers(2, 4), st.integers(1, 40), seeds)
def test_as_many_groups_of_one_size_as_sides_are_parted_whatever_their_size(count, size, seed):
    rows = [(f"{label}{number}", label) for label in "xy" for number in range(count) for _ in range(size)]
    names = [*SIDES, "more"][:count]
    found = Counter(drawn(rows, seed, [0.7, *[0.3 / (count - 1)] * (count - 1)], names))
    assert found == dict.fromkeys(names, 2 * size)


@given(with_singles(), seeds)
def test_a_class_with_three_groups_of_one_image_misses_no_side(rows, seed):
    try:
        sides = drawn(rows, seed)
    except OncovecError as refused:
        assert " gets 0 of " not in str(refused)
        return
    on = {(side, label) for side, (_, label) in zip(sides, rows, strict=True)}
    assert on == {(side, label) for side in SIDES for _, label in rows}


@given(with_singles(), seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, seed, random):
    order = random.sample(range(len(rows)), len(rows))
    try:
        sides = drawn(rows, seed)
    except OncovecError as refused:
        with pytest.raises(OncovecError, match=re.escape(str(refused))):
            drawn([rows[number] for number in order], seed)
        return
    assert drawn([rows[number] for number in order], seed) == [sides[number] for number in order]


@pytest.mark.parametrize("count", [200, 1001])
@pytest.mark.parametrize("seed", range(5))
def test_many_groups_of_one_image_meet_the_shares_in_every_class(count, seed):
    rows = singles(count, "xxxy")
    found = Counter(zip(drawn(rows, seed), (label for _, label in rows), strict=True))
    for label, total in Counter(label for _, label in rows).items():
        for side, share in zip(SIDES, SHARES, strict=True):
            assert abs(found[side, label] - share * total) <= 2


def test_groups_of_many_sizes_come_near_the_shares():
    rows = [(f"g{number}", "xy"[number % 2]) for number in range(60) for _ in range(1 + number % 7)]
    sides = Counter(drawn(rows))
    for side, share in zip(SIDES, SHARES, strict=True):
        assert abs(sides[side] / len(rows) - share) < 0.02


def test_another_seed_gives_other_sides_and_the_same_one_the_same():
    rows = singles(60)
    assert drawn(rows, 0) == drawn(rows, 0)
    assert len({tuple(drawn(rows, seed)) for seed in range(5)}) == 5


def test_groups_of_sizes_that_all_differ_still_give_another_split_for_another_seed():
    rows = [(f"g{number}", "xy"[number % 2]) for number in range(2, 40) for _ in range(number)]
    assert len({tuple(drawn(rows, seed)) for seed in range(10)}) == 10


def spread(counts):
    """What a draw makes small, for images a side and class: the sum of (share - asked)² / asked."""
    got = counts / counts.sum(axis=0)
    return float(((got - np.array(SHARES)[:, None]) ** 2 / np.array(SHARES)[:, None]).sum())


@given(with_singles(), seeds)
def test_the_best_swap_or_move_left_brings_the_sides_no_nearer_or_one_below_its_least(rows, seed):
    try:
        sides = drawn(rows, seed)
    except OncovecError:
        return
    groups, labels = sorted({group for group, _ in rows}), sorted({label for _, label in rows})
    table = np.array([[rows.count((group, label)) for label in labels] for group in groups])
    side_of = dict(zip((group for group, _ in rows), (SIDES.index(side) for side in sides), strict=True))
    placed = np.array([side_of[group] for group in groups])
    wanted = np.array([least(rows, SHARES, label) for label in labels]).T

    def counted(where):
        return np.stack([table[where == side].sum(axis=0) for side in range(3)])

    found = []
    for one, other in product(range(len(groups)), repeat=2):
        for to in range(3) if one == other else [placed[other]]:
            after = placed.copy()
            after[one], after[other] = to, to if one == other else placed[one]
            found.append((spread(counted(after)), bool((counted(after) < wanted).any())))
    nearest = min(found)[0]
    below = any(low for value, low in found if value < nearest + 1e-8)
    assert below or nearest > spread(counted(placed)) - 1e-8


def test_a_class_in_fewer_than_three_groups_is_refused_by_name():
    rows = [*singles(12), *[("one", "rare")] * 9, ("two", "rare"), ("three", "single")]
    with pytest.raises(OncovecError) as caught:
        drawn(rows)
    assert "'rare' has 10 images in 2 groups; class 'single' has 1 image in 1 group;" in str(caught.value)


def test_a_class_in_one_huge_group_is_refused_with_the_group_and_what_to_do():
    rows = [*singles(60), *[("slide 7", "z")] * 190, *[(f"h{number}", "z") for number in range(10)]]
    with pytest.raises(OncovecError) as caught:
        drawn(rows)
    assert str(caught.value) == (
        "class 'z' cannot be split without leaks: val gets 5 of its 200 images, asked were 30 "
        "(and 1 more such); its largest group, 'slide 7', holds 190; add images of other origin, "
        "leave the class out, or change the shares or the seed of split"
    )


def test_groups_that_one_order_cannot_place_are_placed_by_another():
    """Of these tables each was refused, though the sides named keep half of what was asked and more."""
    for seed, counts in REFUSED:
        rows = [
            (f"g{group}", f"c{label}")
            for group, row in enumerate(counts)
            for label, images in enumerate(row)
            for _ in range(images)
        ]
        found = Counter(zip(drawn(rows, seed), (label for _, label in rows), strict=True))
        totals = Counter(label for _, label in rows)
        assert all(
            found[side, label] >= max(1, min(share * total / 2, total / 3) - 1e-6)
            for label, total in totals.items()
            for side, share in zip(SIDES, SHARES, strict=True)
        )


@given(
    st.integers(2, 3).flatmap(
        lambda classes: st.lists(
            st.lists(st.sampled_from([0, 0, 1, 2, 3, 5, 7]), min_size=classes, max_size=classes),
            min_size=3,
            max_size=6,
        )
    )
)
def test_of_few_groups_none_is_refused_that_can_be_split(counts):
    table = np.array([row for row in counts if sum(row)])
    assume(len(table) and ((table > 0).sum(axis=0) >= 3).all())
    total = table.sum(axis=0)
    least = [[max(1, min(share * each / 2, each / 3) - 1e-6) for each in total] for share in SHARES]
    possible = any(
        all((table[np.array(sides) == side].sum(axis=0) >= least[side]).all() for side in range(3))
        for sides in product(range(3), repeat=len(table))
    )
    rows = [
        (f"g{group}", f"c{label}") for (group, label), images in np.ndenumerate(table) for _ in range(images)
    ]
    try:
        drawn(rows)
    except OncovecError as refused:
        assert not possible and "cannot be split without leaks" in str(refused)
    else:
        assert possible


def test_a_refusal_that_is_not_proven_says_that_nothing_was_found(monkeypatch):
    monkeypatch.setattr(stratify, "TRIES", 0)
    monkeypatch.setattr(stratify, "ALL", 0)
    _, counts = REFUSED[0]
    rows = [(f"g{g}", f"c{c}") for g, row in enumerate(counts) for c, n in enumerate(row) for _ in range(n)]
    with pytest.raises(OncovecError, match="class 'c0': no split without leaks was found: test gets 1"):
        drawn(rows)


def test_a_group_of_half_a_class_goes_to_train_and_is_no_reason_to_refuse():
    rows = [*singles(60), *[("slide 7", "z")] * 100, *[(f"h{number}", "z") for number in range(100)]]
    found = Counter(zip(drawn(rows), (label for _, label in rows), strict=True))
    assert [found[side, "z"] for side in SIDES] == [140, 30, 30]


def test_what_is_left_of_a_class_is_kept_for_the_sides_that_lack_it():
    sizes = {"a": 39, "b": 28, "c": 8, "d": 8}
    rows = [*singles(60), *[(group, "z") for group, size in sizes.items() for _ in range(size)]]
    found = Counter(zip(drawn(rows), (label for _, label in rows), strict=True))
    assert [found[side, "z"] for side in SIDES] == [67, 8, 8]


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


@given(with_singles(), seeds, share_lists())
def test_at_random_every_image_is_a_group_of_its_own_and_keeps_its_true_group(rows, seed, shares):
    data = table_of(rows)
    sides = split.assign(data, strategy("random", seed, shares), "zoo")
    alone = [(image, label) for image, (_, label) in zip(data.images, rows, strict=True)]
    assert sides == drawn(alone, seed, shares)
    found = Counter(zip(sides, data.labels, strict=True))
    for label, total in Counter(data.labels).items():
        for side, share in zip(SIDES, shares, strict=True):
            assert found[side, label] and abs(found[side, label] - share * total) <= 2


published = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xy"), st.sampled_from(SIDES)), max_size=60
)


@given(published, st.booleans(), seeds)
def test_published_sides_are_taken_and_val_is_drawn_by_group_where_there_is_none(rows, with_val, seed):
    rows = [row for row in rows if with_val or row[2] != "val"]
    given_sides = [side for _, _, side in rows]
    data = table_of([row[:2] for row in rows], given_sides)
    try:
        sides = split.assign(data, strategy("published", seed), "zoo")
    except OncovecError as refused:
        assert "\n" not in str(refused)
        return
    if "val" in given_sides:
        assert sides == given_sides
        return
    for before, after in zip(given_sides, sides, strict=True):
        assert after == before == "test" or (before == "train" and after != "test")
    pairs = {(group, side) for group, side in zip(data.groups, sides, strict=True) if side != "test"}
    assert len(pairs) == len({group for group, _ in pairs})


def test_val_has_its_share_of_what_is_not_test():
    rows = singles(300)
    data = table_of(rows, ["test" if number % 3 == 0 else "train" for number in range(300)])
    found = Counter(split.assign(data, strategy("published", shares=(0.6, 0.2, 0.2)), "zoo"))
    assert found == {"train": 150, "val": 50, "test": 100}


def test_published_is_refused_where_images_have_no_side():
    data = table_of(singles(8), [*["train", "test"] * 3, "", "fold 3"])
    with pytest.raises(OncovecError) as caught:
        split.assign(data, strategy("published"), "zoo")
    assert str(caught.value) == (
        "split.strategy = 'published': dataset 'zoo' brings no side for 2 of 8 images, 006.png for one; "
        "take grouped or random"
    )


@pytest.mark.parametrize(
    ("sides", "says"),
    [
        (["train"] * 8, "brings no image of x, y for test"),
        ([*["train"] * 6, "test", "val"], "brings no image of x for val"),
        ([*["test"] * 6, "train", "test"], "brings no image of y for train"),
    ],
)
def test_published_is_refused_where_a_class_is_not_on_every_side(sides, says):
    with pytest.raises(OncovecError, match=says):
        split.assign(table_of(singles(8), sides), strategy("published"), "zoo")


def test_a_published_class_in_one_group_leaves_nothing_for_val():
    rows = [*singles(9), *[("one", "z")] * 9, ("two", "z")]
    data = table_of(rows, [*["train", "train", "test"] * 3, *["train"] * 9, "test"])
    with pytest.raises(OncovecError, match="too small for train, val: class 'z' has 9 images in 1 group"):
        split.assign(data, strategy("published"), "zoo")


def test_published_sides_have_many_names():
    names = ("Training", " TRAIN", "valid", "Validation", "dev", "val", "Testing", "test")
    assert [side_of(name) for name in names] == ["train"] * 2 + ["val"] * 4 + ["test"] * 2
    assert [side_of(name) for name in ("", "fold 1", "tests", "train/a")] == [None] * 4


@given(images, seeds)
def test_an_image_leaks_if_its_group_is_in_train(rows, seed):
    groups = [group for group, _ in rows]
    sides = [SIDES[(number * 7 + seed) % 3] for number in range(len(rows))]
    for asked in ("val", "test"):
        pairs = [
            any(side == "train" and other == group for side, other in zip(sides, groups, strict=True))
            for group, mine in zip(groups, sides, strict=True)
            if mine == asked
        ]
        assert leaked(groups, sides, asked) == sum(pairs)


def test_a_leaky_strategy_says_what_leaks_and_a_clean_one_nothing():
    rows = [(f"g{number // 4}", "xy"[number // 4 % 2]) for number in range(80)]
    for name in ("grouped", "random"):
        data = table_of(rows)
        sides = split.assign(data, strategy(name), "zoo")
        found, line = leaked(data.groups, sides, "test"), split.warning(data, sides, "task", name)
        if name == "grouped":
            assert (found, line) == (0, "")
        else:
            assert found > 6
            assert line == (
                f"split: task: strategy random: {found} of 12 test images have their group in train; "
                "figures will be too high"
            )
    clean = table_of(singles(40))
    sides = split.assign(clean, strategy("random"), "zoo")
    assert split.warning(clean, sides, "task", "random").endswith(
        "0 of 6 test images have their group in train"
    )


def indexed(*rows):
    return [dict(zip(("image", "label", "sha256"), row, strict=True)) for row in rows]


def test_copies_with_two_labels_and_images_without_one_are_left_out_and_counted():
    table = indexed(
        ("e", "x", "5"), ("a", "x", "1"), ("b", "y", "1"), ("c", "", "2"), ("d", "y", "3"), ("f", "", "3")
    )
    found = split.labelled(table, {image: f"of {image}" for image in "abcdef"}, "label")
    assert (found.images, found.labels, found.groups) == (["d", "e"], ["y", "x"], ["of d", "of e"])
    assert (found.two_labels, found.unlabelled) == (2, 2)
    assert found.published == ["", ""]


def test_published_sides_come_from_the_index():
    table = [
        row | {"side": "test" * (row["image"] == "a")} for row in indexed(("a", "x", "1"), ("b", "y", "2"))
    ]
    assert split.labelled(table, {"a": "a", "b": "b"}, "label").published == ["test", ""]


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
    """Draw and write a task: `written(classes, positive, unseen=…)`."""
    monkeypatch.chdir(tmp_path)

    def write(classes="xy", positive=None, name="grouped", size=1, unseen=()):
        rows = [(f"g{number // size:02d}", classes[number // size % len(classes)]) for number in range(30)]
        data = table_of(rows, ["test" if number % 3 == 0 else "train" for number in range(30)])
        settings = strategy(name, unseen=unseen)
        sides = split.assign(data, settings, "zoo")
        split.write(data, sides, "task", positive, settings)
        return data, sides

    return write


def test_the_table_is_sorted_by_image_and_read_as_it_was_written(written):
    data, sides = written()
    rows = split.read(paths.split("task"))
    assert [row["image"] for row in rows] == sorted(data.images)
    assert [row["side"] for row in rows] == sides
    assert [row["group"] for row in rows] == data.groups
    assert list(rows[0]) == ["image", "label", "group", "side"]


def test_the_counts_add_up(written):
    written()
    counts = read_json(paths.split_metrics("task"))
    assert counts["left_out"] == {"two_labels": 4, "unlabelled": 5}
    sides = [counts[side] for side in SIDES]
    assert counts["images"] == sum(side["images"] for side in sides) == 30
    assert counts["groups"] == sum(side["groups"] for side in sides) == 30
    for side in sides:
        assert side["images"] == sum(each["images"] for each in side["classes"].values())


@pytest.mark.parametrize("name", ["grouped", "random", "published"])
def test_the_counts_say_what_leaks_and_how_well_classes_are_spread(written, name):
    data, sides = written(name=name, size=2)
    counts = read_json(paths.split_metrics("task"))
    assert (counts["strategy"], counts["largest_group"]) == (name, 2)
    for side in ("val", "test"):
        found = leaked(data.groups, sides, side)
        share = round(found / counts[side]["images"], 6)
        assert counts[side]["leaked"] == {"images": found, "share": share}
    assert (counts["test"]["leaked"]["images"] == 0) == (name == "grouped")
    if name == "published":
        assert "deviation" not in counts
    for label, deviation in counts.get("deviation", {}).items():
        asked = [sides[row] for row, other in enumerate(data.labels) if other == label]
        parts = [
            abs(asked.count(side) / len(asked) - share) for side, share in zip(SIDES, SHARES, strict=True)
        ]
        assert deviation == pytest.approx(max(parts), abs=1e-6)


def test_classes_and_the_positive_one_stand_beside_the_split(written):
    written("yx", "y")
    assert read_json(paths.split_facts("task")) == {"classes": ["x", "y"], "unseen": [], "positive": "y"}


@pytest.mark.parametrize(("classes", "positive"), [("xy", "z"), ("xyz", "x")])
def test_a_positive_class_needs_to_be_one_of_two(written, classes, positive):
    with pytest.raises(OncovecError, match=f"tasks.task.positive = '{positive}'.*there are x, y"):
        written(classes, positive)
    assert not paths.split("task").exists()


@pytest.mark.parametrize("name", ["grouped", "random", "published"])
def test_unseen_classes_change_no_side_and_stand_apart_from_those_to_learn(written, name):
    written("zyxw", name=name)
    table, counts = paths.split("task").read_bytes(), read_json(paths.split_metrics("task"))
    written("zyxw", name=name, unseen=["y", "v"])
    assert paths.split("task").read_bytes() == table
    facts = read_json(paths.split_facts("task"))
    assert facts == {"classes": ["w", "x", "z"], "unseen": ["y"], "positive": None}
    assert read_json(paths.split_metrics("task")) == counts | {"unseen_classes": ["y"]}


@pytest.mark.parametrize(
    ("classes", "positive", "unseen", "says"),
    [
        ("xy", "y", ["y"], "y is the positive class of task, which it must be trained on"),
        ("xy", "y", ["x"], "without x task task has only y to train on; it needs at least two classes"),
        (
            "xyz",
            None,
            ["z", "x"],
            "without x, z task task has only y to train on; it needs at least two classes",
        ),
        (
            "xy",
            None,
            ["x", "y"],
            "without x, y task task has nothing to train on; it needs at least two classes",
        ),
    ],
)
def test_a_task_needs_two_classes_to_train_on_and_its_positive_one(written, classes, positive, unseen, says):
    with pytest.raises(OncovecError) as caught:
        written(classes, positive, unseen=unseen)
    assert str(caught.value) == f"split.unseen_classes: {says}"
    assert not paths.split("task").exists()


def test_names_that_are_no_class_of_a_task_are_said_and_change_nothing(written):
    data, _ = written("xy", "y", unseen=["a"])
    assert read_json(paths.split_facts("task")) == {"classes": ["x", "y"], "unseen": [], "positive": "y"}
    for unseen, line in (
        ((), ""),
        (["x"], ""),
        (["a", "b"], "split@task: none of split.unseen_classes is a class of task"),
        (["x", "b"], "split@task: split.unseen_classes: b is no class of task"),
        (["b", "x", "a"], "split@task: split.unseen_classes: b, a are no class of task"),
    ):
        assert split.no_classes(data, strategy("grouped", unseen=unseen), "task") == line


def test_one_name_needs_no_list():
    assert strategy("grouped", unseen="x").unseen_classes == ("x",)
