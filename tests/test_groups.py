from hypothesis import given
from hypothesis import strategies as st

from oncovec import groups

few = st.sampled_from(["", "p", "q", "r", "s"])
tables = st.lists(
    st.fixed_dictionaries({"group": few, "lesion": few, "sha256": st.sampled_from("abcdefghijkl")}),
    max_size=14,
).map(lambda rows: [{"image": f"{number:02d}.png", **row} for number, row in enumerate(rows)])


def row(image, group="", sha256="", **more):
    return {"image": image, "group": group, "sha256": sha256, **more}


def components(rows):
    """Connected components by widening each image's set until nothing changes."""
    together = {each["image"]: {each["image"]} for each in rows}
    for _ in rows:
        for a in rows:
            for b in rows:
                if any(a[key] and a[key] == b[key] for key in groups.KEYS):
                    union = together[a["image"]] | together[b["image"]]
                    together.update(dict.fromkeys(union, union))
    return together


def test_joining_is_transitive_across_different_columns():
    rows = [row("1", group="p"), row("2", group="p", sha256="x"), row("3", sha256="x", lesion="l")]
    rows += [row("4", lesion="l"), row("5", group="q")]
    assert groups.join(rows) == {"1": "1", "2": "1", "3": "1", "4": "1", "5": "5"}


def test_empty_values_join_nothing():
    rows = [row("1"), row("2"), row("3", lesion=""), row("4", lesion="")]
    assert groups.join(rows) == {"1": "1", "2": "2", "3": "3", "4": "4"}


def test_equal_values_of_different_columns_join_nothing():
    assert groups.join([row("1", group="x"), row("2", lesion="x")]) == {"1": "1", "2": "2"}


@given(tables)
def test_groups_are_the_connected_components_named_by_their_first_image(rows):
    assert groups.join(rows) == {image: min(group) for image, group in components(rows).items()}


@given(tables, st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_the_rows(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert list(groups.join(shuffled).items()) == list(groups.join(rows).items())


def test_groups_are_read_as_they_were_written(tmp_path):
    found = groups.join([row("b, c.png", group="p"), row("a.png", group="p"), row("ü.png")])
    groups.write(found, tmp_path / "groups.csv")
    assert groups.read(tmp_path / "groups.csv") == found
    assert (tmp_path / "groups.csv").read_text().startswith("image,group\na.png,a.png\n")


def test_listed_duplicates_join_their_originals_and_each_other():
    rows = [
        {"image": "train/a.jpg", "sha256": "1", "duplicate_of": ""},
        {"image": "train/b.jpg", "sha256": "2", "duplicate_of": "a"},
        {"image": "train/c.jpg", "sha256": "3", "duplicate_of": "gone"},
        {"image": "train/d.jpg", "sha256": "4", "duplicate_of": "gone a"},
        {"image": "train/e.jpg", "sha256": "5", "duplicate_of": ""},
    ]
    found = groups.join(rows)
    assert {found[f"train/{name}.jpg"] for name in "abcd"} == {"train/a.jpg"}
    assert found["train/e.jpg"] == "train/e.jpg"
