from hypothesis import assume, given
from hypothesis import strategies as st

from oncovec.core.errors import OncovecError
from oncovec.data import groups, split
from oncovec.data.audit import leaks
from oncovec.data.audit.leaks import Audited

COLUMNS = ("sides", "labels", "sha256", "copies")


def audited(*rows, **keys):
    """Of rows `side label sha copies` as one text each, `-` for nothing; images are 0.png, 1.png …"""
    cells = [["" if cell == "-" else cell for cell in row.split()] for row in rows]
    columns = dict(zip(COLUMNS, map(list, zip(*cells, strict=True)), strict=True))
    return Audited(images=[f"{number}.png" for number in range(len(rows))], **columns, keys=keys)


#        side  label  bytes  cluster
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
    assert found == {"byte_copy": [3, 5], "near_copy": [3, 4, 5], "patient": [6], "any": [3, 4, 5, 6]}


def test_two_labels_count_images_that_no_side_has():
    found = {kind: chosen(flags) for kind, flags in leaks.two_labels(SPLIT).items()}
    assert found == {"byte_copy": [2, 5, 6, 7, 8], "near_copy": [2, 5, 6, 7, 8]}


def test_near_copies_with_two_labels_are_told_from_byte_copies():
    found = leaks.two_labels(audited("train cat a A", "test dog b A", "test - b A", "test dog c C"))
    assert {kind: chosen(flags) for kind, flags in found.items()} == {"byte_copy": [], "near_copy": [0, 1]}


def test_copies_within_a_side_are_told():
    found = {kind: chosen(flags) for kind, flags in leaks.within_a_side(SPLIT).items()}
    assert found == {"byte_copy": [6, 7], "near_copy": [6, 7]}


def test_the_table_has_counts_and_shares_and_the_classes_of_test():
    def counted(images, of):
        return {"images": images, "share": images / of}

    assert leaks.table(SPLIT) == {
        "images": 9,
        "two_labels": {"byte_copy": counted(5, 9), "near_copy": counted(5, 9)},
        "within_a_side": {"byte_copy": counted(2, 9), "near_copy": counted(2, 9)},
        "train": {"images": 3},
        "val": {
            "images": 1,
            "byte_copy": counted(1, 1),
            "near_copy": counted(1, 1),
            "patient": counted(0, 1),
            "any": counted(1, 1),
        },
        "test": {
            "images": 4,
            "byte_copy": counted(1, 4),
            "near_copy": counted(2, 4),
            "patient": counted(1, 4),
            "any": counted(3, 4),
            "in_val": {kind: counted(0, 4) for kind in ("byte_copy", "near_copy", "patient", "any")},
            "any_by_class": {"cat": 1 / 2, "dog": 1.0},
        },
    }
    assert leaks.leak_count(leaks.table(SPLIT)) == 4


def test_what_test_has_in_val_is_counted_by_itself():
    split = audited(
        "train cat a A", "val cat b B", "test cat c B", "test cat d D", patient=["", "p", "", "p"]
    )
    found = leaks.table(split)
    assert {kind: block["images"] for kind, block in found["test"]["in_val"].items()} == {
        "byte_copy": 0,
        "near_copy": 1,
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
    assert found["two_labels"]["near_copy"]["images"] == 0


def test_without_sides_there_is_nothing_to_leak():
    found = leaks.table(audited("- cat a A", "- dog a A"))
    assert set(found) == {"images", "two_labels", "within_a_side"}
    assert found["two_labels"]["byte_copy"]["images"] == 2
    assert leaks.leak_count(found) == 0


def test_of_folds_each_is_asked_about_all_others():
    folds = audited("1 cat a A", "1 cat b B", "2 cat c C", "3 cat d A", "3 cat c C", "3 cat e E", "3 cat f E")
    assert chosen(leaks.leaks(folds)["any"]) == [0, 2, 3, 4]
    assert leaks.sides_of(folds.sides) == ["1", "2", "3"]


def test_sides_come_in_the_usual_order():
    assert leaks.sides_of(["test", "extra", "", "val", "train", "test"]) == ["train", "val", "test", "extra"]


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
    sides, labels, sha256, copies, patients = map(list, zip(*rows, strict=True))
    images = [str(number) for number in range(len(rows))]
    return Audited(images, sides, labels, sha256, copies, {"patient": patients})


@given(tables)
def test_an_image_leaks_where_one_of_train_shares_something(rows):
    """Against every pair of rows, one by one."""
    found = leaks.leaks(of_rows(rows))
    trained = "train" in {row[0] for row in rows}
    for i, (side, _, sha, cluster, patient) in enumerate(rows):
        against = [r for r in rows if r[0] and r[0] != side and (r[0] == "train" or not trained)]
        if not side or side == "train":
            against = []
        byte = any(r[2] == sha for r in against)
        near = byte or any(r[3] == cluster for r in against)
        same = any(r[4] == patient != "" for r in against)
        assert [found[kind][i] for kind in ("byte_copy", "near_copy", "patient")] == [byte, near, same]
        assert found["any"][i] == (near or same)


@given(tables)
def test_a_copy_with_another_label_is_found(rows):
    found = leaks.two_labels(of_rows(rows))
    for i, (_, label, sha, cluster, _) in enumerate(rows):
        others = [r for r in rows if r[1] and label and r[1] != label]
        byte = any(r[2] == sha for r in others)
        assert found["byte_copy"][i] == byte
        assert found["near_copy"][i] == (byte or any(r[3] == cluster for r in others))


@given(tables)
def test_counts_are_nested_and_never_more_than_the_side_has(rows):
    found = leaks.table(of_rows(rows))
    for side in leaks.sides_of([row[0] for row in rows]):
        if side != "train":
            counts = [found[side][kind]["images"] for kind in ("byte_copy", "near_copy", "any")]
            assert counts == sorted(counts) and counts[-1] <= found[side]["images"]


some = st.integers(-20, 59).map(lambda number: str(number) if number >= 0 else "")
indexed = st.lists(
    st.fixed_dictionaries(
        {"group": some, "lesion": some, "sha256": st.integers(0, 99).map(str), "label": st.sampled_from("xy")}
    ),
    min_size=16,
    max_size=40,
).map(lambda rows: [{"image": f"{number:02d}.png", **row} for number, row in enumerate(rows)])


@given(indexed, st.integers(0, 5))
def test_nothing_leaks_through_any_key_that_made_the_groups_of_a_split(rows, seed):
    group_of = groups.join(rows)
    data = split.labelled(rows, group_of, "label")
    try:
        sides = split.draw(data.labels, data.groups, (0.5, 0.25, 0.25), seed)
    except OncovecError:
        assume(False)
    drawn = [{"image": image, "side": side} for image, side in zip(data.images, sides, strict=True)]
    found = leaks.leaks(leaks.of_split(rows, drawn, group_of, "label", "patient"))
    assert set(found) >= {"byte_copy", "near_copy", "any"}
    assert not any(found["any"])
    assert not any(leaks.leaks(leaks.of_split(rows, drawn, group_of, "label", "patient"), "val")["any"])


def test_a_split_that_ignores_groups_leaks_through_them():
    rows = [
        {"image": f"{n}.png", "group": f"p{n // 2}", "sha256": str(n), "label": "xy"[n % 2]} for n in range(8)
    ]
    drawn = [{"image": row["image"], "side": ("train", "test")[n % 2]} for n, row in enumerate(rows)]
    found = leaks.table(leaks.of_split(rows, drawn, groups.join(rows, ("sha256",)), "label", "slide"))
    assert found["test"]["slide"] == found["test"]["any"] == {"images": 4, "share": 1.0}
    assert found["test"]["near_copy"]["images"] == 0
    assert "lesion" not in found["test"]


def test_images_that_the_split_left_out_stay_in_the_table_without_a_side():
    rows = [{"image": name, "group": "", "sha256": "a", "label": label} for name, label in ("ax", "by")]
    found = leaks.of_split(rows, [], {"a": "a", "b": "a"}, "label", "group")
    assert (found.sides, found.keys) == (["", ""], {})
    assert leaks.table(found)["two_labels"]["byte_copy"] == {"images": 2, "share": 1.0}
