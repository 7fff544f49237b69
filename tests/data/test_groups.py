import shutil
import subprocess
import sys

import networkx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from textures import COPIES, SETTINGS, texture

from oncovec.core import params, paths, tables
from oncovec.core.files import read_json
from oncovec.data import groups
from stages import group, preprocess, split

few = st.sampled_from(["", "p", "q", "r", "s"])
rows_drawn = st.lists(
    st.fixed_dictionaries({"group": few, "lesion": few, "sha256": st.sampled_from("abcdefghijkl")}),
    max_size=14,
).map(lambda rows: [{"image": f"{number:02d}.png", **row} for number, row in enumerate(rows)])


joined = rows_drawn.flatmap(
    lambda rows: (
        st.tuples(
            st.just(rows),
            st.lists(st.tuples(*[st.sampled_from([each["image"] for each in rows])] * 2), max_size=6),
        )
        if rows
        else st.just((rows, []))
    )
)
"""Tables, and pairs of their images that were found to be near-duplicates."""


def row(image, group="", sha256="", **more):
    return {"image": image, "group": group, "sha256": sha256, **more}


def join(rows, *arguments, **options):
    """Join rows of an index."""
    columns = dict.fromkeys(["image", *(key for each in rows for key in each)])
    return groups.join(pd.DataFrame(rows, columns=list(columns)).fillna(""), *arguments, **options)


def components(rows, pairs, keys=groups.KEYS):
    """Connected components of images by what joins two of them."""
    graph = networkx.Graph(pairs)
    graph.add_nodes_from(each["image"] for each in rows)
    for a in rows:
        for b in rows:
            if any(a[key] and a[key] == b[key] for key in keys):
                graph.add_edge(a["image"], b["image"])
    return {image: part for part in networkx.connected_components(graph) for image in part}


def test_joining_is_transitive_across_different_columns():
    rows = [row("1", group="p"), row("2", group="p", sha256="x"), row("3", sha256="x", lesion="l")]
    rows += [row("4", lesion="l"), row("5", group="q")]
    assert join(rows) == {"1": "1", "2": "1", "3": "1", "4": "1", "5": "5"}


def test_empty_values_join_nothing():
    rows = [row("1"), row("2"), row("3", lesion=""), row("4", lesion="")]
    assert join(rows) == {"1": "1", "2": "2", "3": "3", "4": "4"}


def test_equal_values_of_different_columns_join_nothing():
    assert join([row("1", group="x"), row("2", lesion="x")]) == {"1": "1", "2": "2"}


@given(joined)
def test_groups_are_the_connected_components_named_by_their_first_image(drawn):
    rows, pairs = drawn
    for keys in (groups.KEYS, groups.COPY_KEYS):
        expected = {image: min(part) for image, part in components(rows, pairs, keys).items()}
        assert join(rows, keys, pairs) == expected


@given(joined, st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_the_rows_and_pairs(drawn, random):
    rows, pairs = drawn
    shuffled = [tuple(random.sample(pair, 2)) for pair in random.sample(pairs, len(pairs))]
    found = join(random.sample(rows, len(rows)), pairs=shuffled)
    assert list(found.items()) == list(join(rows, pairs=pairs).items())


@given(joined)
def test_duplicates_are_in_one_group(drawn):
    rows, pairs = drawn
    group, duplicates = join(rows, pairs=pairs), join(rows, groups.COPY_KEYS, pairs)
    assert all(group[image] == group[name] for image, name in duplicates.items())


def test_duplicates_of_two_patients_images_join_the_patients():
    rows = [row(name, group=patient, sha256=name) for name, patient in zip("abcd", "ppqq", strict=True)]
    rows += [row("e", sha256="d"), row("f", sha256="f"), row("g", group="r", sha256="g")]
    pairs = [("b", "c"), ("e", "f")]
    assert join(rows, pairs=pairs) == dict.fromkeys("abcdef", "a") | {"g": "g"}
    duplicates = {"a": "a", "b": "b", "c": "b", "d": "d", "e": "d", "f": "d", "g": "g"}
    assert join(rows, groups.COPY_KEYS, pairs) == duplicates


def test_the_counts_are_of_groups_and_of_clusters_of_more_than_one():
    group = {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e"}
    duplicates = {"a": "a", "b": "a", "c": "c", "d": "d", "e": "e"}
    found = groups.table(group, duplicates, 3)
    assert (found["images"], found["groups"], found["largest_group"]) == (5, 3, 3)
    assert found["near_duplicates"] == {"pairs": 3, "clusters": 1, "images": 2, "largest_cluster": 2}
    assert groups.table({}, {}, 0)["largest_group"] == 0


def test_groups_are_read_as_they_were_written(tmp_path):
    rows = [row("b, c.png", group="p", sha256="x"), row("a.png", group="p"), row("ü.png", sha256="x")]
    found, duplicates = join(rows), join(rows, groups.COPY_KEYS)
    path = tmp_path / "groups.csv"
    groups.write(found, duplicates, path)
    table = groups.read(path).set_index("image")
    assert table["group"].to_dict() == found
    assert table["duplicates"].to_dict() == duplicates
    assert path.read_text(encoding="utf-8").startswith("image,group,duplicates\na.png,a.png,a.png\n")


def test_listed_duplicates_join_their_originals_and_each_other():
    rows = [
        {"image": "train/a.jpg", "sha256": "1", "duplicate_of": ""},
        {"image": "train/b.jpg", "sha256": "2", "duplicate_of": "a"},
        {"image": "train/c.jpg", "sha256": "3", "duplicate_of": "gone"},
        {"image": "train/d.jpg", "sha256": "4", "duplicate_of": "gone a"},
        {"image": "train/e.jpg", "sha256": "5", "duplicate_of": ""},
    ]
    found = join(rows)
    assert {found[f"train/{name}.jpg"] for name in "abcd"} == {"train/a.jpg"}
    assert found["train/e.jpg"] == "train/e.jpg"


@pytest.fixture
def grouped(changed, tmp_path, monkeypatch):
    """Group images that were prepared and are gone: `grouped(correlation=1.0)` gives both columns."""
    monkeypatch.chdir(tmp_path)
    raw = tmp_path / "mine"
    images = {f"a/{seed}.png": texture(seed, 96, 80) for seed in range(4)}
    images |= {"b/4.png": texture(4, 96, 80), "b/0 again.png": COPIES["turned by 30"].make(images["a/0.png"])}
    for name, image in images.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(raw / name)
    shutil.copy(raw / "a/1.png", raw / "b/1 again.png")
    row = {"layout": "folders", "root": str(raw), "image_size": 32}
    preprocess.main("mine", params.load(changed({"datasets.mine": row})))
    shutil.rmtree(raw)

    def run(**thresholds):
        settings = {f"near_duplicates.{parameter}": value for parameter, value in thresholds.items()}
        group.main("mine", params.load(changed({"datasets.mine": row} | settings)))
        path = paths.group_table("mine")
        table = groups.read(path).set_index("image")
        return table["group"].to_dict(), table["duplicates"].to_dict()

    return run


def prepared():
    return {path: path.stat().st_mtime_ns for path in paths.prepared("mine").iterdir()}


def test_images_are_grouped_by_their_small_copies_alone(grouped):
    alone = {name: name for name in ("a/0.png", "a/1.png", "a/2.png", "a/3.png", "b/4.png")}
    near = {"b/0 again.png": "a/0.png", "b/1 again.png": "a/1.png"}
    written = prepared()
    assert grouped() == (alone | near, alone | near)
    counts = read_json(paths.group_metrics("mine"))
    assert counts["near_duplicates"] == {"pairs": 1, "clusters": 2, "images": 4, "largest_cluster": 2}
    (pair,) = tables.read(paths.pair_table("mine"), ("first", "second")).to_dict("records")
    assert (pair["first"], pair["second"]) == ("a/0.png", "b/0 again.png")
    assert int(pair["inliers"]) >= SETTINGS.inliers and SETTINGS.correlation <= float(pair["correlation"]) < 1
    assert sorted(path.name for path in paths.groups("mine").iterdir()) == ["groups.csv", "pairs.csv"]

    strict = near | {"b/0 again.png": "b/0 again.png"}
    assert grouped(correlation=1.0) == (alone | strict, alone | strict)
    assert tables.read(paths.pair_table("mine"), ("first", "second")).to_dict("records") == []
    assert prepared() == written


def test_what_finds_near_duplicates_imports_no_network():
    code = "import sys; import stages.group; print(sorted({'torch', 'timm', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_images_that_show_nothing_join_no_other_and_are_counted(tmp_path, changed, monkeypatch, capsys):
    for number in range(6):
        folder = tmp_path / "own" / f"{'ab'[number % 2]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 40), 7).save(folder / f"{number}_blank.png")
        texture(number).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    row = {"layout": "folders", "root": str(tmp_path / "own"), "image_size": 32}
    content = params.load(changed({"datasets.mine": row}))
    preprocess.main("mine", content)
    group.main("mine", content)
    found = groups.read(paths.group_table("mine"))
    assert found["group"].nunique() == 12
    blank = found["image"].str.endswith("_blank.png")
    assert (found.loc[blank, "duplicates"] == "").all() and found["duplicates"].nunique() == 7
    assert read_json(paths.group_metrics("mine"))["near_duplicates"]["images"] == 0
    split.main("mine", content)
    audit = read_json(paths.split_metrics("mine"))["audit"]
    assert audit["within_a_split"]["exact_duplicate"]["images"] == 0
    assert "6 blank images join no other image" in capsys.readouterr().out


def test_a_pair_of_two_patients_is_told():
    table = pd.DataFrame(
        {"image": ["a", "b", "c", "d"], "group": ["p", "q", "p", ""], "sha256": list("1234")}
    )
    assert groups.bridges(table, [("a", "b"), ("a", "c"), ("b", "d")]) == [("a", "b")]
