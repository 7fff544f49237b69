import os

import pytest

from oncovec.core import params
from oncovec.core.errors import OncovecError
from oncovec.data import sources


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """An empty folder to stand in."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def knobs(changed):
    return lambda changes: params.load(changed(changes))


def refused(knobs):
    with pytest.raises(OncovecError) as caught:
        sources.check_roots(knobs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_phantoms_need_no_folder(knobs):
    sources.check_roots(knobs({}))


def test_phantoms_lie_nowhere_else(knobs, tmp_path):
    assert "add -S data.source=local" in refused(knobs({"data.root": str(tmp_path)}))


def test_remote_asks_for_no_folder(knobs):
    sources.check_roots(knobs({"data.source": "remote"}))


def test_remote_after_local_goes_on_as_long_as_the_folders_are_there(knobs, tmp_path):
    remote = knobs({"data.source": "remote", "data.root": str(tmp_path / "images")})
    assert "add -S data.root=data/phantom" in refused(remote)
    for name in sources.PUBLISHED:
        (tmp_path / "images" / name).mkdir(parents=True)
    sources.check_roots(remote)


FETCHED = {"layout": "folders", "image_size": 96, "root": "data/pins/mine.json"}


def test_a_remote_row_needs_something_to_fetch(knobs):
    assert "datasets.mine: nothing to fetch" in refused(knobs({"datasets.mine": FETCHED}))
    sources.check_roots(knobs({"datasets.mine": FETCHED | {"kaggle": ["an-owner/a_slug/12"]}}))


def test_a_remote_row_is_pinned_by_its_own_name(knobs):
    row = FETCHED | {"kaggle": ["a/b/1"], "root": "data/pins/other.json"}
    assert "data/pins/mine.json for a dataset that is fetched" in refused(knobs({"datasets.mine": row}))


@pytest.mark.parametrize(
    ("source", "root", "line"),
    [
        ("remote", "data/source/pcam.json", "give data/pins/pcam.json as its root"),
        ("local", "data/source/pcam.json", "give its folder as its root"),
        ("local", "data/pins/pcam.json", "give its folder as its root"),
    ],
)
def test_a_row_s_source_and_root_agree(knobs, source, root, line):
    assert line in refused(knobs({"datasets.pcam.source": source, "datasets.pcam.root": root}))


@pytest.mark.parametrize("name", ["a/b", "a/b/0", "a/b/latest", "a/../b/1", "https://kaggle.com/a/b/1"])
def test_a_kaggle_dataset_is_owner_slug_and_version(changed, name):
    with pytest.raises(OncovecError, match="owner/slug/version, as in"):
        params.load(changed({"datasets.pcam.kaggle": [name]}))


@pytest.mark.parametrize("root", ["data/phantom", "data/phantom/", "./data/phantom"])
def test_local_images_do_not_lie_where_phantoms_are_drawn(knobs, root):
    assert "-S data.root=FOLDER" in refused(knobs({"data.source": "local", "data.root": root}))


def test_a_local_root_may_be_relative_to_the_checkout(knobs, checkout):
    (checkout / "images").mkdir()
    sources.check_roots(knobs({"data.source": "local", "data.root": "images"}))


def test_a_missing_root_is_refused_by_key_and_value(knobs):
    changes = {"data.source": "local", "data.root": "/nowhere/at/all"}
    assert refused(knobs(changes)) == "data.root = '/nowhere/at/all': no such folder"


def test_a_missing_folder_of_a_dataset_s_own_is_refused_by_key_and_value(knobs):
    line = refused(knobs({"datasets.pcam.root": "/nowhere/at/all"}))
    assert line == "datasets.pcam.root = '/nowhere/at/all': no such folder"


@pytest.mark.parametrize("key", ["data.root", "datasets.pcam.root"])
def test_a_relative_folder_is_refused_in_a_copy_of_the_checkout(knobs, key, checkout, monkeypatch):
    copy = checkout / ".dvc" / "tmp" / "exps" / "tmpcopy"
    (copy / "images").mkdir(parents=True)
    monkeypatch.chdir(copy)
    source = {"data.source": "local"} if key == "data.root" else {}
    line = refused(knobs({key: "images", **source}))
    assert line.startswith(f"{key} = 'images'") and line.endswith("give an absolute path")
    sources.check_roots(knobs({key: str(copy / "images"), **source}))


def test_a_published_dataset_lies_below_the_root_by_its_published_name(knobs):
    renamed = {"layout": "pcam", "root": "data/source/pcam.json", "image_size": 96}
    here = sources.open_raw(knobs({"datasets.mine": renamed}), "mine")
    assert (here.source, str(here.tree)) == ("phantom", "data/phantom/pcam")
    local = sources.open_raw(knobs({"data.source": "local", "data.root": "/images"}), "isic2020")
    assert (local.source, str(local.tree)) == ("local", "/images/isic2020")


def test_a_dataset_with_a_folder_of_its_own_is_local_beside_phantoms(knobs, tmp_path):
    found = sources.open_raw(knobs({"datasets.pcam.root": str(tmp_path)}), "pcam")
    assert (found.source, str(found.tree)) == ("local", str(tmp_path))


def test_an_unknown_dataset_is_refused_with_those_that_there_are(knobs):
    with pytest.raises(OncovecError, match=r"no row 'nosuch' in datasets: .* isic2020"):
        sources.open_raw(knobs({}), "nosuch")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "a.txt").write_text("one")
    (root / "b" / "c.txt").write_text("two")
    return root


def test_the_fingerprint_counts_files_at_any_depth(folder):
    assert sources.fingerprint(folder)["files"] == 2


def test_the_fingerprint_ignores_times_and_the_folder_s_own_name(folder):
    before = sources.fingerprint(folder)
    os.utime(folder / "a.txt", (1, 1))
    assert sources.fingerprint(folder.rename(folder.with_name("elsewhere"))) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a.txt").write_text("eno"),
        lambda root: (root / "a.txt").rename(root / "d.txt"),
        lambda root: (root / "a.txt").rename(root / "b" / "a.txt"),
        lambda root: (root / "a.txt").unlink(),
        lambda root: (root / "d.txt").write_text(""),
    ],
    ids=["content", "name", "folder", "one less", "one more"],
)
def test_the_fingerprint_follows_names_and_contents(folder, change):
    before = sources.fingerprint(folder)
    change(folder)
    assert sources.fingerprint(folder)["sha256"] != before["sha256"]


def test_the_fingerprint_of_what_is_not_there_is_one_line(folder):
    with pytest.raises(OncovecError, match="no such folder"):
        sources.fingerprint(folder / "nowhere")
    (folder / "link").symlink_to("nowhere")
    with pytest.raises(OncovecError, match="link: cannot be read"):
        sources.fingerprint(folder)


def test_limits_travel_with_drawn_images_only(folder):
    assert sources.caps(folder) == {}
    (folder / sources.CAPS).write_text('{"epochs": 2}')
    assert sources.caps(folder) == {"epochs": 2}
