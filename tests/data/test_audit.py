import pandas as pd
from hypothesis import assume, given
from hypothesis import strategies as st

from oncovec.core.errors import OncovecError
from oncovec.data import groups, splitting, stratify
from oncovec.data.audit import leaks
from oncovec.data.audit.leaks import Audited

COLUMNS = ("splits", "label", "sha256", "duplicates")


def audited(*rows, **keys):
    """Of rows `split label sha copies` as one text each, `-` for nothing; images are 0.png, 1.png …"""
    cells = [["" if cell == "-" else cell for cell in row.split()] for row in rows]
    columns = dict(zip(COLUMNS, map(list, zip(*cells, strict=True)), strict=True))
    columns["labels"] = {"label": columns.pop("label")}
    return Audited(images=[f"{number}.png" for number in range(len(rows))], **columns, keys=keys)


#        split  label  bytes  cluster
SPLIT = audited(
    "train cat    a     A",
    "train cat    b     B",
    "train dog    c     C",
    "val   cat    a     A",
    "test  cat    d     B",
    "test  dog    c     C",
    "test  dog    e     E",
    "test  cat    e     E",
    "-     cat    c     C",
    patient=["p", "", "q", "", "", "", "q", "", "q"],
)


def chosen(flags):
    return [row for row, flag in enumerate(flags) if flag]


def test_what_leaks_is_told_by_kind():
    found = {kind: chosen(flags) for kind, flags in leaks.leaks(SPLIT).items()}
    assert found == {
        "exact_duplicate": [3, 5],
        "near_duplicate": [3, 4, 5],
        "patient": [6],
        "any": [3, 4, 5, 6],
    }


def test_two_labels_count_images_that_no_split_has():
    found = {kind: chosen(flags) for kind, flags in leaks.two_labels(SPLIT)["label"].items()}
    assert found == {"exact_duplicate": [2, 5, 6, 7, 8], "near_duplicate": [2, 5, 6, 7, 8]}


def test_near_duplicates_with_two_labels_are_told_from_exact_ones():
    found = leaks.two_labels(audited("train cat a A", "test dog b A", "test - b A", "test dog c C"))
    assert {kind: chosen(flags) for kind, flags in found["label"].items()} == {
        "exact_duplicate": [],
        "near_duplicate": [0, 1],
    }


def test_copies_within_a_split_are_told():
    found = {kind: chosen(flags) for kind, flags in leaks.within_a_split(SPLIT).items()}
    assert found == {"exact_duplicate": [6, 7], "near_duplicate": [6, 7]}


def test_images_in_no_split_repeat_nothing_in_a_split_unless_there_are_no_splits():
    left_out = leaks.within_a_split(audited("train cat a A", "- cat b B", "- dog b B"))
    assert {kind: chosen(flags) for kind, flags in left_out.items()} == {
        "exact_duplicate": [],
        "near_duplicate": [],
    }
    without = leaks.within_a_split(audited("- cat a A", "- cat b B", "- dog b B"))
    assert chosen(without["exact_duplicate"]) == [1, 2]


def test_the_table_has_counts_and_shares_and_the_classes_of_test():
    def counted(images, of):
        return {"images": images, "share": images / of}

    assert leaks.table(SPLIT) == {
        "images": 9,
        "two_labels": {"label": {"exact_duplicate": counted(5, 9), "near_duplicate": counted(5, 9)}},
        "within_a_split": {"exact_duplicate": counted(2, 9), "near_duplicate": counted(2, 9)},
        "train": {"images": 3},
        "val": {
            "images": 1,
            "exact_duplicate": counted(1, 1),
            "near_duplicate": counted(1, 1),
            "patient": counted(0, 1),
            "any": counted(1, 1),
        },
        "test": {
            "images": 4,
            "exact_duplicate": counted(1, 4),
            "near_duplicate": counted(2, 4),
            "patient": counted(1, 4),
            "any": counted(3, 4),
            "in_val": {
                kind: counted(0, 4) for kind in ("exact_duplicate", "near_duplicate", "patient", "any")
            },
            "any_by_class": {"label": {"cat": 1 / 2, "dog": 1.0}},
        },
    }
    assert leaks.leak_count(leaks.table(SPLIT)) == 4


def test_what_test_has_in_val_is_counted_by_itself():
    split = audited(
        "train cat a A", "val cat b B", "test cat c B", "test cat d D", patient=["", "p", "", "p"]
    )
    found = leaks.table(split)
    assert {kind: block["images"] for kind, block in found["test"]["in_val"].items()} == {
        "exact_duplicate": 0,
        "near_duplicate": 1,
        "patient": 1,
        "any": 2,
    }
    assert (leaks.leak_count(found), leaks.in_val_count(found), leaks.is_leaking(found)) == (0, 2, True)


def test_without_train_what_is_in_val_is_counted_once():
    found = leaks.table(audited("val cat a A", "test cat a A"))
    assert "in_val" not in found["test"]
    assert leaks.leak_count(found) == 2


def test_without_labels_nothing_is_said_by_class():
    found = leaks.table(audited("train - a A", "test - a A"))
    assert "any_by_class" not in found["test"]
    assert found["two_labels"]["label"]["near_duplicate"]["images"] == 0


def test_without_splits_there_is_nothing_to_leak():
    found = leaks.table(audited("- cat a A", "- dog a A"))
    assert set(found) == {"images", "two_labels", "within_a_split"}
    assert found["two_labels"]["label"]["exact_duplicate"]["images"] == 2
    assert leaks.leak_count(found) == 0


def test_of_folds_each_is_asked_about_all_others():
    folds = audited("1 cat a A", "1 cat b B", "2 cat c C", "3 cat d A", "3 cat c C", "3 cat e E", "3 cat f E")
    assert chosen(leaks.leaks(folds)["any"]) == [0, 2, 3, 4]
    assert leaks.splits_of(folds.splits) == ["1", "2", "3"]


def test_splits_come_in_the_usual_order():
    assert leaks.splits_of(["test", "extra", "", "val", "train", "test"]) == ["train", "val", "test", "extra"]


def test_a_column_is_named_by_what_it_is():
    names = {name: leaks.key_of(name) for name in ("patient_id", "Patient ID", "lesion-id", "wsi", "zip", "")}
    assert list(names.values()) == ["patient", "patient", "lesion", "slide", "group", "group"]


few = st.sampled_from(["", "p", "q", "r"])
tables = st.lists(
    st.tuples(
        st.sampled_from(["", "train", "val", "test"]),
        st.sampled_from(["", "cat", "dog"]),
        st.sampled_from("abcdefgh"),
        st.sampled_from("ABCDEF"),
        few,
    ),
    min_size=1,
    max_size=12,
)


def of_rows(rows):
    splits, labels, sha256, duplicates, patients = map(list, zip(*rows, strict=True))
    images = [str(number) for number in range(len(rows))]
    return Audited(images, splits, {"label": labels}, sha256, duplicates, {"patient": patients})


@given(tables)
def test_an_image_leaks_where_one_of_train_shares_something(rows):
    """Against every pair of rows, one by one."""
    found = leaks.leaks(of_rows(rows))
    trained = "train" in {row[0] for row in rows}
    for i, (split, _, sha, cluster, patient) in enumerate(rows):
        against = [r for r in rows if r[0] and r[0] != split and (r[0] == "train" or not trained)]
        if not split or split == "train":
            against = []
        byte = any(r[2] == sha for r in against)
        near = byte or any(r[3] == cluster for r in against)
        same = any(r[4] == patient != "" for r in against)
        assert [found[kind][i] for kind in ("exact_duplicate", "near_duplicate", "patient")] == [
            byte,
            near,
            same,
        ]
        assert found["any"][i] == (near or same)


@given(tables)
def test_a_duplicate_with_another_label_is_found(rows):
    found = leaks.two_labels(of_rows(rows))["label"]
    for i, (_, label, sha, cluster, _) in enumerate(rows):
        others = [r for r in rows if r[1] and label and r[1] != label]
        byte = any(r[2] == sha for r in others)
        assert found["exact_duplicate"][i] == byte
        assert found["near_duplicate"][i] == (byte or any(r[3] == cluster for r in others))


@given(tables)
def test_counts_are_nested_and_never_more_than_the_split_has(rows):
    found = leaks.table(of_rows(rows))
    for split in leaks.splits_of([row[0] for row in rows]):
        if split != "train":
            counts = [found[split][kind]["images"] for kind in ("exact_duplicate", "near_duplicate", "any")]
            assert counts == sorted(counts) and counts[-1] <= found[split]["images"]


some = st.integers(-20, 59).map(lambda number: str(number) if number >= 0 else "")
indexed = st.lists(
    st.fixed_dictionaries(
        {"group": some, "lesion": some, "sha256": st.integers(0, 99).map(str), "label": st.sampled_from("xy")}
    ),
    min_size=16,
    max_size=40,
).map(lambda rows: [{"image": f"{n:02d}.png", "label": row["label"], **row} for n, row in enumerate(rows)])


@given(indexed, st.integers(0, 5))
def test_nothing_leaks_through_any_key_that_made_the_groups_of_a_split(rows, seed):
    table = pd.DataFrame(rows)
    group_of = groups.join(table)
    data = splitting.labelled(table, group_of, "zoo")
    try:
        splits = stratify.draw([data.labels["label"]], data.groups, (0.5, 0.25, 0.25), seed)
    except OncovecError:
        assume(False)
    drawn = dict(zip(data.images, splits, strict=True))
    audited = leaks.of_split(table, drawn, group_of, ["label"], "patient")
    found = leaks.leaks(audited)
    assert set(found) >= {"exact_duplicate", "near_duplicate", "any"}
    assert not any(found["any"])
    assert not any(leaks.leaks(audited, "val")["any"])


def test_a_split_that_ignores_groups_leaks_through_them():
    rows = [
        {"image": f"{n}.png", "group": f"p{n // 2}", "sha256": str(n), "label": "xy"[n % 2]} for n in range(8)
    ]
    table = pd.DataFrame(rows)
    drawn = {row["image"]: ("train", "test")[n % 2] for n, row in enumerate(rows)}
    found = leaks.table(leaks.of_split(table, drawn, groups.join(table, ("sha256",)), ["label"], "slide"))
    assert found["test"]["slide"] == found["test"]["any"] == {"images": 4, "share": 1.0}
    assert found["test"]["near_duplicate"]["images"] == 0
    assert "lesion" not in found["test"]


def test_images_that_the_split_left_out_stay_in_the_table_without_a_split():
    rows = [{"image": name, "group": "", "sha256": "a", "label": label} for name, label in ("ax", "by")]
    found = leaks.of_split(pd.DataFrame(rows), {}, {"a": "a", "b": "a"}, ["label"], "group")
    assert (found.splits, found.keys) == (["", ""], {})
    assert leaks.table(found)["two_labels"]["label"]["exact_duplicate"] == {"images": 2, "share": 1.0}


def test_two_labels_and_what_leaks_by_class_are_told_by_label_column():
    rows = [
        {"image": f"{n}.png", "organ": organ, "kind": kind, "group": "", "sha256": sha}
        for n, (organ, kind, sha) in enumerate((("lung", "x", "a"), ("lung", "y", "a"), ("skin", "", "b")))
    ]
    table = pd.DataFrame(rows)
    audited = leaks.of_split(
        table,
        {"0.png": "train", "1.png": "test", "2.png": "test"},
        groups.join(table),
        ["organ", "kind"],
        "group",
    )
    found = leaks.table(audited)
    assert {column: block["exact_duplicate"]["images"] for column, block in found["two_labels"].items()} == {
        "organ": 0,
        "kind": 2,
    }
    assert found["test"]["any_by_class"] == {"organ": {"lung": 1.0, "skin": 0.0}, "kind": {"y": 1.0}}
    assert [audited.label(row) for row in range(3)] == ["lung / x", "lung / y", "skin"]
    assert audited.disagree(0, 1) and not audited.disagree(1, 1)
