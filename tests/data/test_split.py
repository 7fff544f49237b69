import hashlib
import random
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_stratify import SHARES, drawn, images, seeds, share_lists, singles, with_singles

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.params import Split
from oncovec.data import splitting, stratify, val_parts
from oncovec.data.split_names import SPLITS, leaked, split_of


def strategy(name, seed=0, shares=SHARES):
    return Split(strategy=name, **dict(zip(SPLITS, shares, strict=True)), seed=seed)


def table_of(rows, published=()):
    """Rows of (group, label) as what can be split; images are numbered in their order."""
    names = [f"{number:03d}.png" for number in range(len(rows))]
    labels, groups = [label for _, label in rows], [group for group, _ in rows]
    published = list(published) or [""] * len(rows)
    return splitting.Labelled(names, groups, {"label": labels}, ("label",), published, 4, 5)


@given(with_singles(), seeds, share_lists())
def test_at_random_every_image_is_a_group_of_its_own_and_keeps_its_true_group(rows, seed, shares):
    data = table_of(rows)
    splits = splitting.assign(data, strategy("random", seed, shares), "zoo")
    alone = [(image, label) for image, (_, label) in zip(data.images, rows, strict=True)]
    assert splits == drawn(alone, seed, shares)
    found = Counter(zip(splits, data.labels["label"], strict=True))
    for label, total in Counter(data.labels["label"]).items():
        for split, share in zip(SPLITS, shares, strict=True):
            assert found[split, label] and abs(found[split, label] - share * total) <= 2


published = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xy"), st.sampled_from(SPLITS)), max_size=60
)


@given(published, st.booleans(), seeds)
def test_published_splits_are_taken_and_val_is_drawn_by_group_where_there_is_none(rows, with_val, seed):
    rows = [row for row in rows if with_val or row[2] != "val"]
    given_splits = [split for _, _, split in rows]
    data = table_of([row[:2] for row in rows], given_splits)
    try:
        splits = splitting.assign(data, strategy("published", seed), "zoo")
    except OncovecError as refused:
        assert "\n" not in str(refused)
        return
    if "val" in given_splits:
        assert splits == given_splits
        return
    for before, after in zip(given_splits, splits, strict=True):
        assert after == before == "test" or (before == "train" and after != "test")
    pairs = {(group, split) for group, split in zip(data.groups, splits, strict=True) if split != "test"}
    assert len(pairs) == len({group for group, _ in pairs})


def test_val_has_its_share_of_what_is_not_test():
    rows = singles(300)
    data = table_of(rows, ["test" if number % 3 == 0 else "train" for number in range(300)])
    found = Counter(splitting.assign(data, strategy("published", shares=(0.6, 0.2, 0.2)), "zoo"))
    assert found == {"train": 150, "val": 50, "test": 100}


def test_published_is_refused_where_images_have_no_split():
    data = table_of(singles(8), [*["train", "test"] * 3, "", "fold 3"])
    with pytest.raises(OncovecError) as caught:
        splitting.assign(data, strategy("published"), "zoo")
    assert str(caught.value) == (
        "split.strategy = 'published': dataset 'zoo' brings no split for 2 of 8 images, 006.png for one; "
        "take grouped or random"
    )


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        (["train"] * 8, "brings no image of label x, y for test"),
        ([*["train"] * 6, "test", "val"], "brings no image of label x for val"),
        ([*["test"] * 6, "train", "test"], "brings no image of label y for train"),
    ],
)
def test_published_is_refused_where_a_class_is_not_in_every_split(splits, says):
    with pytest.raises(OncovecError, match=says):
        splitting.assign(table_of(singles(8), splits), strategy("published"), "zoo")


def test_a_published_class_in_one_group_leaves_nothing_for_val():
    rows = [*singles(9), *[("one", "z")] * 9, ("two", "z")]
    data = table_of(rows, [*["train", "train", "test"] * 3, *["train"] * 9, "test"])
    with pytest.raises(OncovecError, match="too small for train, val: class 'z' has 9 images in 1 group"):
        splitting.assign(data, strategy("published"), "zoo")


def test_published_splits_have_many_names():
    names = ("Training", " TRAIN", "valid", "Validation", "dev", "val", "Testing", "test")
    assert [split_of(name) for name in names] == ["train"] * 2 + ["val"] * 4 + ["test"] * 2
    assert [split_of(name) for name in ("", "fold 1", "tests", "train/a")] == [None] * 4


@given(images, seeds)
def test_an_image_leaks_if_its_group_is_in_train(rows, seed):
    groups = [group for group, _ in rows]
    splits = [SPLITS[(number * 7 + seed) % 3] for number in range(len(rows))]
    for asked in ("val", "test"):
        pairs = [
            any(split == "train" and other == group for split, other in zip(splits, groups, strict=True))
            for group, mine in zip(groups, splits, strict=True)
            if mine == asked
        ]
        assert leaked(groups, splits, asked) == sum(pairs)


def test_a_leaky_strategy_says_what_leaks_and_a_clean_one_nothing():
    rows = [(f"g{number // 4}", "xy"[number // 4 % 2]) for number in range(80)]
    for name in ("grouped", "random"):
        data = table_of(rows)
        splits = splitting.assign(data, strategy(name), "zoo")
        found, lines = leaked(data.groups, splits, "test"), splitting.warnings(data, splits, "zoo", name)
        if name == "grouped":
            assert (found, lines) == (0, [])
        else:
            assert found > 6
            assert lines == [
                f"strategy random: {found} of 12 test images have their group in train; "
                "metrics will be too high"
            ]
    clean = table_of(singles(40))
    splits = splitting.assign(clean, strategy("random"), "zoo")
    (line,) = splitting.warnings(clean, splits, "zoo", "random")
    assert line.endswith("0 of 6 test images have their group in train")


def indexed(*rows, columns=("label",)):
    """Rows of an index, of texts `image sha256 label …`; - is no label."""
    header = ("image", *columns, "group", "width", "height", "mode", "sha256")
    found = []
    for row in rows:
        image, sha256, *labels = ("" if cell == "-" else cell for cell in row.split())
        found.append(dict(zip(header, (image, *labels, "", "8", "8", "RGB", sha256), strict=True)))
    return found


def labelled(rows, stratify=None, groups=None):
    groups = groups or {row["image"]: f"of {row['image']}" for row in rows}
    return splitting.labelled(pd.DataFrame(rows), groups, "zoo", stratify)


ORGANS = ("organ", "kind")


def test_duplicates_with_two_labels_and_images_without_one_are_left_out_and_counted():
    found = labelled(indexed("e 5 x", "a 1 x", "b 1 y", "c 2 -", "d 3 y", "f 3 -"))
    assert (found.images, found.groups) == (["d", "e"], ["of d", "of e"])
    assert (found.labels, found.stratify) == ({"label": ["y", "x"]}, ("label",))
    assert (found.two_labels, found.unlabelled) == (2, 2)
    assert found.published == ["", ""]


def test_duplicates_that_disagree_in_any_label_column_are_left_out():
    rows = indexed("a 1 lung x", "b 1 lung y", "c 2 lung x", "d 2 skin x", "e 3 lung x", columns=ORGANS)
    found = labelled(rows, ["organ"])
    assert (found.images, found.two_labels) == (["e"], 4)


def test_an_image_with_a_label_in_one_column_stays_and_one_with_none_goes():
    rows = indexed("a 1 lung -", "b 2 - y", "c 3 - -", "d 3 lung -", columns=ORGANS)
    found = labelled(rows)
    assert (found.images, found.two_labels, found.unlabelled) == (["a", "b", "d"], 0, 1)
    assert found.labels == {"organ": ["lung", "", "lung"], "kind": ["", "y", ""]}


def test_a_published_split_comes_from_the_index():
    rows = [row | {"published_split": "test" * (row["image"] == "a")} for row in indexed("a 1 x", "b 2 y")]
    assert labelled(rows).published == ["test", ""]


def test_duplicates_with_one_label_all_stay():
    found = labelled(indexed("a 1 x", "b 1 x"))
    assert (found.images, found.two_labels) == (["a", "b"], 0)


def test_the_draw_looks_after_the_columns_named_else_after_all():
    rows = indexed("a 1 lung x", "b 2 lung y", columns=ORGANS)
    assert labelled(rows).stratify == ORGANS
    assert labelled(rows, ["kind"]).stratify == ("kind",)


@pytest.mark.parametrize("column", ["tissue", "sha256", "group"])
def test_a_column_to_stratify_that_is_no_label_column_is_refused_with_those_that_there_are(column):
    rows = indexed("a 1 lung x", columns=ORGANS)
    with pytest.raises(OncovecError) as caught:
        labelled(rows, ["organ", column])
    assert str(caught.value) == (
        f"datasets.zoo.stratify = ['organ', '{column}']: no label column '{column}' in the index; "
        "there are organ, kind"
    )


def test_groups_of_other_images_are_refused():
    rows = indexed("a 1 x", "b 2 y")
    for groups in ({"a": "a"}, {"a": "a", "b": "b", "c": "a"}):
        with pytest.raises(OncovecError, match=r"groups.csv does not belong to .*: 1 images .*group@zoo"):
            labelled(rows, groups=groups)


def organs(counts):
    """What can be split, of so many images of each pair of organ and kind, every one a group."""
    pairs = [pair for pair, count in counts.items() for _ in range(count)]
    rows = indexed(*(f"{n:03d} {n} {organ} {kind}" for n, (organ, kind) in enumerate(pairs)), columns=ORGANS)
    return labelled(rows)


def test_a_class_of_any_column_that_cannot_be_in_every_split_is_refused():
    data = organs({("lung", "x"): 20, ("lung", "y"): 20, ("skin", "x"): 20, ("skin", "z"): 2})
    with pytest.raises(
        OncovecError, match="too small for train, val, test: class 'z' has 2 images in 2 groups"
    ):
        splitting.assign(data, strategy("grouped"), "zoo")


def test_every_column_keeps_its_shares_and_their_joint_values_do():
    counts = {("lung", "x"): 20, ("lung", "y"): 40, ("skin", "x"): 60, ("skin", "y"): 20}
    data = organs(counts)
    splits = splitting.assign(data, strategy("grouped"), "zoo")
    found = Counter(zip(splits, data.labels["organ"], data.labels["kind"], strict=True))
    for pair, count in counts.items():
        assert [found[split, *pair] for split in SPLITS] == [count * 0.7, count * 0.15, count * 0.15]


def test_a_class_of_another_column_that_a_split_lacks_gets_a_line():
    rows = [f"{n:02d} {n} {'lung' if n % 2 else 'skin'} {'z' if n == 7 else 'xy'[n % 2]}" for n in range(40)]
    data = labelled(indexed(*rows, columns=ORGANS), ["organ"])
    splits = splitting.assign(data, strategy("grouped"), "zoo")
    without = [split for split in SPLITS if split != splits[7]]
    assert splitting.warnings(data, splits, "zoo", "grouped") == [
        f"no image in {split} of kind z; datasets.zoo.stratify looks after organ alone" for split in without
    ]


DRAWN = {
    "grouped": "144ad475c6c4e2028df1d5ab5b1926da0ea658d16b85b8c93c522918b388ec92",
    "random": "3d45012ed061326b79f391e2fbb57b970441a882bcf726168f01414b423a52a2",
    "published": "3fb8117dd861519a0f03e0eac2b12179210dca727c85c57ee1901d0e36614513",
}
"""SHA-256 of the lines `image,group,split` that af4d713 drew for a task of the rows of `seen_before`."""


def seen_before():
    """An index and groups of a dataset with one label column, as a split before this one saw them."""
    draws = random.Random(0)
    rows, groups = [], {}
    for number in range(400):
        image = f"folder/{draws.randrange(10**6):06d}_{number}.png"
        (row,) = indexed(f"{image} {draws.randrange(3000)} {draws.choice('xyyz-')}")
        rows.append(row | {"published_split": draws.choice(["train", "train", "test"])})
        groups[image] = f"g{draws.randrange(120)}"
    return rows, groups


@pytest.mark.parametrize("name", DRAWN)
def test_a_dataset_with_one_label_column_is_drawn_as_its_task_was(name):
    rows, groups = seen_before()
    data = labelled(rows, groups=groups)
    splits = splitting.assign(data, strategy(name, 7), "zoo")
    text = "\n".join(map(",".join, zip(data.images, data.groups, splits, strict=True)))
    assert (data.two_labels, data.unlabelled) == (13, 73)
    assert hashlib.sha256(text.encode()).hexdigest() == DRAWN[name]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Draw and write the dataset `zoo`: `written(classes, name)`."""
    monkeypatch.chdir(tmp_path)

    def write(classes="xy", name="grouped", size=1):
        rows = [(f"g{number // size:02d}", classes[number // size % len(classes)]) for number in range(30)]
        data = table_of(rows, ["test" if number % 3 == 0 else "train" for number in range(30)])
        splits = splitting.assign(data, strategy(name), "zoo")
        splitting.write(data, splits, val_parts.halves(data, splits, name, 0), "zoo")
        return data, splits

    return write


def test_the_table_is_sorted_by_image_and_read_as_it_was_written(written):
    data, splits = written()
    rows = splitting.read(paths.split("zoo")).to_dict("records")
    assert [row["image"] for row in rows] == sorted(data.images)
    assert [row["split"] for row in rows] == splits
    assert [row["group"] for row in rows] == data.groups
    assert list(rows[0]) == ["image", "group", "split", "val_part"]
    assert {(row["split"], row["val_part"] != "") for row in rows} == {
        *(("train", False), ("val", True), ("test", False))
    }


@pytest.mark.parametrize("name", ["grouped", "random"])
def test_val_is_cut_in_two_halves_by_group_and_each_class_evenly(name):
    rows = [(f"g{number // 4:03d}", "xyz"[number // 4 % 3]) for number in range(1200)]
    data = table_of(rows, [""] * len(rows))
    splits = splitting.assign(data, strategy(name), "zoo")
    parts = val_parts.halves(data, splits, name, 0)
    assert parts == val_parts.halves(data, splits, name, 0)
    found = pd.DataFrame(
        {"split": splits, "part": parts, "group": data.groups, "label": data.labels["label"]}
    )
    assert set(found.loc[found["split"] != "val", "part"]) == {""}
    val = found[found["split"] == "val"]
    counts = val.groupby(["label", "part"]).size().unstack()
    assert (counts["choose"] - counts["calibrate"]).abs().max() <= 4
    if name == "grouped":
        assert (val.groupby("group")["part"].nunique() == 1).all()


def test_val_is_not_cut_where_a_class_has_one_group_there():
    rows = [(f"g{number:03d}", "xy"[number % 2]) for number in range(60)] + [("z", "z")] * 3
    data = table_of(rows, [""] * len(rows))
    splits = ["val" if number < 30 or group == "z" else "train" for number, (group, _) in enumerate(rows)]
    assert set(val_parts.halves(data, splits, "grouped", 0)) == {""}
    lines = val_parts.warnings(data, splits, "grouped")
    assert any("val is not cut in two, as z has one group there" in line for line in lines)


def test_halves_have_no_minimum():
    assert stratify.halve([["x", "y", "y"]], ["a", "b", "b"], 0, ("one", "two")) in (
        ["one", "two", "two"],
        ["two", "one", "one"],
    )
    assert stratify.halve([["x", "x"]], ["a", "a"], 0, ("one", "two")) == ["one", "one"]
    assert stratify.halve([[]], [], 0, ("one", "two")) == []


def test_a_table_takes_the_place_of_its_whole_folder(written):
    paths.split("zoo").parent.mkdir(parents=True)
    (paths.split("zoo").parent / "left.csv").touch()
    written()
    assert [path.name for path in paths.split("zoo").parent.iterdir()] == ["splits.csv"]
    assert [path.name for path in paths.split("zoo").parent.parent.iterdir()] == ["zoo"]


@pytest.mark.parametrize(
    ("row", "says"), [("000.png,g,test,", "1 images are there twice"), ("x.png,g,far,", "'far' is no split")]
)
def test_a_table_with_an_image_twice_or_an_unknown_split_is_refused(written, row, says):
    written()
    with paths.split("zoo").open("a") as stream:
        stream.write(f"{row}\n")
    with pytest.raises(OncovecError, match=f"splits.csv: {says}; run `dvc repro --force split@zoo`"):
        splitting.read(paths.split("zoo"))


def test_the_counts_add_up():
    data = organs({("lung", "x"): 20, ("lung", "y"): 20, ("skin", "x"): 20, ("skin", "-"): 20})
    counts = splitting.table(data, splitting.assign(data, strategy("grouped"), "zoo"), strategy("grouped"))
    assert counts["left_out"] == {"two_labels": 0, "unlabelled": 0}
    splits = [counts[split] for split in SPLITS]
    assert counts["images"] == sum(split["images"] for split in splits) == 80
    assert counts["groups"] == sum(split["groups"] for split in splits) == 80
    for split in splits:
        assert list(split["classes"]) == ["organ", "kind"]
        assert split["images"] == sum(each["images"] for each in split["classes"]["organ"].values())
        assert list(split["classes"]["kind"]) == ["x", "y"]
    assert counts["test"]["classes"]["kind"] == {
        "x": {"images": 6, "groups": 6},
        "y": {"images": 3, "groups": 3},
    }
    assert {column: list(found) for column, found in counts["deviation"].items()} == {
        "organ": ["lung", "skin"],
        "kind": ["x", "y"],
    }


@pytest.mark.parametrize("name", ["grouped", "random", "published"])
def test_the_counts_say_what_leaks_and_how_well_classes_are_spread(written, name):
    data, splits = written(name=name, size=2)
    counts = splitting.table(data, splits, strategy(name))
    assert (counts["strategy"], counts["largest_group"]) == (name, 2)
    for split in ("val", "test"):
        found = leaked(data.groups, splits, split)
        assert counts[split]["leaked"] == {"images": found, "share": found / counts[split]["images"]}
    assert (counts["test"]["leaked"]["images"] == 0) == (name == "grouped")
    if name == "published":
        assert "deviation" not in counts
    for label, deviation in counts.get("deviation", {}).get("label", {}).items():
        asked = [splits[row] for row, other in enumerate(data.labels["label"]) if other == label]
        parts = [
            abs(asked.count(split) / len(asked) - share) for split, share in zip(SPLITS, SHARES, strict=True)
        ]
        assert deviation == pytest.approx(max(parts))


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A dataset of two label columns, split by the stage's functions; returns its index."""
    monkeypatch.chdir(tmp_path)
    kinds = ("x", "y", "-", "x")
    rows = indexed(
        *(f"{n:02d}.png {n} {'lung' if n % 2 else 'skin'} {kinds[n // 2 % 4]}" for n in range(40)),
        *("a.png twice lung x", "b.png twice lung y", "c.png 40 - -"),
        columns=ORGANS,
    )
    write_index(rows)
    data = labelled(rows)
    splits = splitting.assign(data, strategy("grouped"), "zoo")
    splitting.write(data, splits, val_parts.halves(data, splits, "grouped", 0), "zoo")
    return rows


def write_index(rows):
    tables.write(paths.index("zoo"), pd.DataFrame(rows))


def test_a_tasks_rows_are_those_of_the_draw_that_have_its_label(zoo):
    drawn = {row["image"]: row for row in splitting.read(paths.split("zoo")).to_dict("records")}
    for column, count in (("organ", 40), ("kind", 30)):
        rows = splitting.of_task("zoo", column).to_dict("records")
        assert len(rows) == count
        assert [row["image"] for row in rows] == sorted(
            row["image"] for row in zoo if row["image"] in drawn and row[column]
        )
        for row in rows:
            (source,) = (each for each in zoo if each["image"] == row["image"])
            assert list(row) == ["image", "label", "group", "split", "val_part"]
            assert row["label"] == source[column]
            assert row == drawn[row["image"]] | {"label": source[column]}


def test_no_image_is_in_two_splits_for_two_tasks(zoo):
    organ, kind = (
        {row["image"]: row["split"] for row in splitting.of_task("zoo", column).to_dict("records")}
        for column in ORGANS
    )
    assert kind.items() <= organ.items()


@pytest.mark.parametrize("column", ["tissue", "sha256", "width"])
def test_a_label_that_is_no_label_column_is_refused_with_those_that_there_are(zoo, column):
    with pytest.raises(OncovecError) as caught:
        splitting.of_task("zoo", column)
    assert str(caught.value) == (
        f"a task's label = '{column}': dataset 'zoo' has no such label column; there are organ, kind"
    )


@pytest.mark.parametrize("change", ["gone", "more", "relabelled"])
def test_an_index_of_other_images_than_the_split_is_refused(zoo, change):
    if change == "gone":
        zoo = zoo[1:]
    elif change == "more":
        zoo += indexed("more.png 99 lung x", columns=ORGANS)
    else:
        zoo[-1]["kind"] = "x"
    write_index(zoo)
    with pytest.raises(OncovecError, match=r"splits.csv does not belong to .*: 1 images .*repro split@zoo`"):
        splitting.of_task("zoo", "organ")
