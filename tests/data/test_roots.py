"""Roots of datasets: which can work, and where their files come from."""

import pytest

from oncovec.core import params
from oncovec.core.errors import OncovecError
from oncovec.data import roots


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """An empty folder to stand in."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def copy(checkout, monkeypatch):
    """A copy of the checkout, as queued runs work in, to stand in."""
    folder = checkout / ".dvc" / "tmp" / "exps" / "tmpcopy"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a.png").touch()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def settings(changed):
    return lambda changes: params.load(changed(changes))


def refused(settings):
    with pytest.raises(OncovecError) as caught:
        roots.check_roots(settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_phantoms_need_no_folder(settings):
    roots.check_roots(settings({}))


def test_fetching_asks_for_no_folder(settings):
    roots.check_roots(settings({"data.source": "remote"}))


def test_a_root_may_be_relative_or_absolute_or_a_link(settings, checkout):
    (checkout / "images" / "cat").mkdir(parents=True)
    (checkout / "link").symlink_to(checkout / "images")
    for root in ("images", str(checkout / "images"), "link"):
        roots.check_roots(settings({"datasets.pcam.root": root}))


def test_a_missing_root_is_refused_by_key_and_value(settings):
    line = refused(settings({"datasets.pcam.root": "/nowhere/at/all"}))
    assert line == "datasets.pcam.root = '/nowhere/at/all': no such folder"


def test_an_empty_root_is_refused(settings, checkout):
    (checkout / "images").mkdir()
    assert (
        refused(settings({"datasets.pcam.root": "images"}))
        == "datasets.pcam.root = 'images': the folder is empty"
    )


def test_a_root_that_is_no_path_is_one_line(settings, checkout):
    (checkout / "loop").symlink_to("loop")
    for root in ("loop", "null\0byte"):
        assert "no path of a folder" in refused(settings({"datasets.pcam.root": root}))


@pytest.mark.parametrize("output", ["models", "data/prepared/pcam", "data/results", "data/raw", "data", "."])
def test_a_root_among_or_around_the_outputs_is_refused(settings, output):
    assert "lies among the outputs" in refused(settings({"datasets.pcam.root": output}))


def test_a_root_that_no_download_makes_is_refused(settings):
    line = refused(settings({"datasets.pcam.root": "data/raw/pacm"}))
    assert "no row 'pacm' in downloads: makes it" in line and "pcam" in line


def test_a_download_that_nobody_reads_is_refused_where_it_would_be_fetched(settings, checkout):
    (checkout / "images" / "cat").mkdir(parents=True)
    moved = {"datasets.pcam.root": "images"}
    roots.check_roots(settings(moved))
    assert "downloads.pcam would be fetched" in refused(settings(moved | {"data.source": "remote"}))


def test_names_that_dvc_cannot_read_are_refused_by_name(settings, checkout):
    (checkout / "images" / "cat").mkdir(parents=True)
    (checkout / "images" / "cat" / "line\nbreak.png").touch()
    moved = {"datasets.pcam.root": "images"}
    roots.check_roots(settings(moved))
    (checkout / "images" / "cat" / "caf\udce9.png").touch()
    line = refused(settings(moved))
    assert "1 files have names that are not UTF-8" in line and "cat/caf\\udce9.png; rename" in line


def test_a_relative_root_is_refused_in_a_queued_run(settings, copy):
    line = refused(settings({"datasets.pcam.root": "images"}))
    assert line.startswith("datasets.pcam.root = 'images'") and line.endswith("give an absolute path")
    roots.check_roots(settings({"datasets.pcam.root": str(copy / "images")}))


def test_fetching_is_refused_in_a_queued_run(settings, copy):
    assert "that a queued run works in" in refused(settings({"data.source": "remote"}))


@pytest.mark.parametrize(
    ("root", "drawn", "source"),
    [
        ("data/raw/pcam", True, "phantom"),
        ("data/raw/pcam", False, "remote"),
        ("images", False, "local"),
        ("images", True, "phantom"),
    ],
)
def test_a_dataset_comes_from_where_its_root_says_and_drawn_images_are_phantoms_anywhere(
    settings, checkout, root, drawn, source
):
    (checkout / root).mkdir(parents=True)
    if drawn:
        (checkout / root / roots.CAPS).write_text('{"image_size": 40, "epochs": 3, "batch_size": 16}')
    assert roots.source_of(settings({"datasets.pcam.root": root}).datasets["pcam"]) == source


@pytest.mark.parametrize("root", ["./data/raw/pcam/", "{checkout}/data/raw/pcam", "data/x/../raw/pcam"])
def test_a_root_in_raw_is_known_however_it_is_written(settings, checkout, root):
    roots.check_roots(settings({"datasets.pcam.root": root.format(checkout=checkout)}))


def test_a_manifest_that_is_none_is_refused_before_anything_is_fetched(settings, checkout):
    (checkout / "manifests").mkdir()
    (checkout / "manifests" / "pcam.json").write_text("<<<<<<< HEAD")
    roots.check_roots(settings({}))
    assert refused(settings({"data.source": "remote"})).startswith("manifests/pcam.json: not a manifest")


@pytest.mark.parametrize("name", ["a/b", "a/b/0", "a/b/latest", "a/../b/1", "https://kaggle.com/a/b/1"])
def test_a_kaggle_dataset_is_owner_slug_and_version(changed, name):
    with pytest.raises(OncovecError, match="owner/slug/version, as in"):
        params.load(changed({"downloads.multi_organ.kaggle": [name]}))


def test_limits_travel_with_drawn_images_only(checkout):
    assert roots.caps(checkout) == {}
    (checkout / roots.CAPS).write_text('{"image_size": 40, "epochs": 2, "batch_size": 16}')
    assert roots.caps(checkout) == {"image_size": 40, "epochs": 2, "batch_size": 16}


def test_an_unknown_row_is_refused_before_anything_is_drawn_or_deleted(settings, tmp_path):
    from stages import download

    (tmp_path / "keepme").mkdir()
    (tmp_path / "keepme" / "thesis.txt").write_text("years")
    with pytest.raises(OncovecError, match=r"no row .* in downloads"):
        download.main("../../keepme", settings({}))
    assert (tmp_path / "keepme" / "thesis.txt").read_text() == "years"


def test_of_a_link_in_the_place_of_raw_files_only_the_link_goes(settings, tmp_path, checkout):
    from stages import download

    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "thesis.txt").write_text("years")
    (checkout / "data" / "raw").mkdir(parents=True)
    (checkout / "data" / "raw" / "pcam").symlink_to(tmp_path / "disk")
    download.main("pcam", settings({"data.phantom.size": 16}))
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["thesis.txt"]
    assert (checkout / "data" / "raw" / "pcam" / roots.CAPS).is_file()


@pytest.mark.parametrize("linked", ["data", "data/raw"])
def test_outputs_that_a_link_leads_out_of_the_checkout_are_refused_and_nothing_is_deleted(
    settings, tmp_path, checkout, linked
):
    from stages import download

    (tmp_path / "disk" / "raw" / "pcam").mkdir(parents=True)
    (tmp_path / "disk" / "raw" / "pcam" / "thesis.txt").write_text("years")
    (checkout / linked).parent.mkdir(exist_ok=True)
    (checkout / linked).symlink_to(tmp_path / "disk" / ("raw" if linked == "data/raw" else ""))
    assert "data/raw: a link leads out of the checkout" in refused(settings({}))
    with pytest.raises(OncovecError, match="data/raw: a link leads out of the checkout"):
        download.main("pcam", settings({}))
    assert (tmp_path / "disk" / "raw" / "pcam" / "thesis.txt").read_text() == "years"
