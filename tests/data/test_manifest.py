import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.data.download import manifest

ONE, OTHER = "1" * 64, "2" * 64

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
folders = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    st.fixed_dictionaries({"files": st.integers(1, 10**6), "sha256": hashes}),
    max_size=3,
)
facts = st.fixed_dictionaries(
    {"bytes": st.integers(1, 2**50), "sha256": hashes, "folders": st.none() | folders}
)
manifests = st.dictionaries(st.sampled_from(["a.zip", "kaggle/b.zip", "isic/c.csv"]), facts)


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)


def file(size=10, sha256=ONE, folders=None):
    return {"bytes": size, "sha256": sha256, "folders": folders}


def zipped(size=10, sha256=ONE, **folders):
    return file(size, sha256, {name: {"files": count, "sha256": ONE} for name, count in folders.items()})


# --- the file ---


def test_a_manifest_is_read_as_it_was_written():
    written = {"kaggle/ü.zip": zipped(größe=3), "isic/a.csv": file()}
    manifest.write("any", written)
    assert manifest.read("any") == written


def test_any_manifest_is_read_as_it_was_written(tmp_path_factory):
    @given(manifests)
    def check(written):
        manifest.write("any", written)
        assert manifest.read("any") == written

    check()


def test_the_order_of_the_files_does_not_change_the_text():
    manifest.write("one", {"a": file(1), "b": file(2)})
    manifest.write("other", {"b": file(2), "a": file(1)})
    assert paths.manifest("one").read_bytes() == paths.manifest("other").read_bytes()


def test_a_missing_manifest_is_empty():
    assert manifest.read("none") == {}


def test_an_empty_manifest_is_one():
    manifest.write("any", {})
    assert manifest.read("any") == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"a.zip": 3}',
        b'{"a.zip": {}}',
        b'{"a.zip": {"bytes": 1, "sha256": "x"}}',
        b'{"a.zip": {"bytes": 1, "sha256": "x", "folders": null, "more": 1}}',
        b'{"a.zip": {"bytes": "many", "sha256": "x", "folders": null}}',
        b'{"a.zip": {"bytes": 1, "sha256": null, "folders": null}}',
        b'{"a.zip": {"bytes": 1, "sha256": "x", "folders": [1]}}',
        b'{"a.zip": {"bytes": 1, "sha256": "x", "folders": {"a": 3}}}',
        b'<<<<<<< HEAD\n{"a.zip": {"bytes": 1}}',
    ],
)
def test_what_is_no_manifest_is_one_line_that_says_how_to_write_one(content):
    paths.manifest("any").parent.mkdir()
    paths.manifest("any").write_bytes(content)
    with pytest.raises(OncovecError, match=r"^manifests/any\.json: not a manifest; `oncovec trust any`.*$"):
        manifest.read("any")


# --- what changed ---


@given(manifests)
def test_nothing_changed_is_no_line(same):
    assert list(manifest.changes(same, same)) == []


@given(manifests, manifests)
def test_each_file_that_differs_has_one_line_and_no_other_has(old, new):
    lines = [line for line in manifest.changes(old, new) if not line.startswith("    ")]
    differing = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    assert [line.split(" ")[1].removesuffix(":") for line in lines] == differing
    signs = {line.split(" ")[1].removesuffix(":"): line[0] for line in lines}
    assert signs == {name: "-" if name not in new else "+" if name not in old else "~" for name in differing}


@given(manifests, manifests)
def test_no_name_breaks_a_line(old, new):
    assert not any("\n" in line for line in manifest.changes(old, new))


def test_an_added_file_has_its_size_and_hash():
    assert list(manifest.changes({}, {"a.zip": zipped(1234567, x=3)})) == [
        f"+ a.zip: 1,234,567 bytes, sha256 {ONE}"
    ]


def test_a_removed_file_is_named():
    assert list(manifest.changes({"a.zip": zipped(x=3)}, {})) == ["- a.zip"]


def test_a_changed_table_has_both_sizes():
    assert list(manifest.changes({"a.csv": file(1000)}, {"a.csv": file(999, OTHER)})) == [
        f"~ a.csv: 1,000 -> 999 bytes, sha256 {OTHER}"
    ]


def test_an_archive_that_was_packed_anew_is_said_to_have_the_same_files():
    old, new = {"a.zip": zipped(10, ONE, x=3)}, {"a.zip": zipped(8, OTHER, x=3)}
    assert list(manifest.changes(old, new)) == [
        f"~ a.zip: 10 -> 8 bytes, sha256 {OTHER}",
        "    the same files, packed anew",
    ]


def test_a_changed_archive_names_the_folders_that_differ():
    old = {"a.zip": zipped(10, ONE, same=1, fewer=3000, gone=2)}
    new = {"a.zip": zipped(12, OTHER, same=1, fewer=2000, come=5)}
    assert list(manifest.changes(old, new))[1:] == [
        '    "come": 0 -> 5 files',
        '    "fewer": 3,000 -> 2,000 files',
        '    "gone": 2 -> 0 files',
    ]


def test_a_folder_with_as_many_files_but_others_is_named():
    old, new = {"a.zip": zipped(x=3)}, {"a.zip": zipped(10, OTHER, x=3)}
    new["a.zip"]["folders"]["x"]["sha256"] = OTHER
    assert list(manifest.changes(old, new))[1:] == ['    "x": 3 -> 3 files']
