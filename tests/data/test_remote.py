"""Rows of downloads, fetched as their stage does: the real client, real bytes, manifests."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import loopback
import pytest
from fetching import ARCHIVE, GOOD, LUNGS, PATCHES, TOKEN, archives, content, left, refused

from oncovec.core import params, paths
from oncovec.data import download
from oncovec.data.download import client, kaggle
from oncovec.data.roots import DRAWN
from oncovec.data.tree import Folder

pytestmark = pytest.mark.slow  # each starts the real client


@pytest.mark.parametrize("name", DRAWN)
def test_a_fetched_dataset_has_the_files_of_the_published_layout(remote, fetch, published, name):
    settings = params.load(Path(__file__).parents[2] / "params.yaml")
    found = fetch(name, {"downloads.multi_organ.kaggle": list(settings.downloads["multi_organ"].kaggle)})
    assert content(found) == content(Folder(published / name))


def test_what_is_here_is_not_asked_for_again(remote, fetch, lungs):
    fetch()
    seen = len(remote.requests)
    assert content(fetch()) == content(fetch()) == lungs
    assert len(remote.requests) == seen
    assert left() == GOOD


def test_a_log_has_a_line_a_file_and_no_bar(remote, fetch, capfd):
    fetch()
    printed = capfd.readouterr()
    assert printed.err == "" and f"{ARCHIVE}: 0.0 MB fetched\n" in printed.out


def test_a_terminal_sees_name_bytes_rate_and_time_left(remote, fetch, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    fetch()
    bar = r"iqothnccd-lung-cancer-dataset\.zip: .*%.*\d[kM]?/\d.*\[\d\d:\d\d<.*B/s\]"
    assert re.search(bar, terminal.getvalue())


def test_isic_needs_no_account_and_remembers_what_there_is_not(remote, fetch, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    fetch("isic2020")
    assert not any(request.authorization for request in remote.requests)
    seen = len(remote.requests)
    fetch("isic2020")
    assert len(remote.requests) == seen


def test_the_second_edition_of_isic_s_table_is_taken_where_there_is_one(served, remote, fetch):
    better = "ISIC_2020_Training_GroundTruth_v2.csv"
    first = served["isic"].get(better) or served["isic"]["ISIC_2020_Training_GroundTruth.csv"]
    remote.objects[loopback.ISIC + better] = loopback.Content(first)
    paths = fetch("isic2020").paths()
    assert better in paths and "ISIC_2020_Training_GroundTruth.csv" not in paths


V1, V2 = "ISIC_2020_Training_GroundTruth.csv", "ISIC_2020_Training_GroundTruth_v2.csv"
COPIES = "ISIC_2020_Training_Duplicates.csv"


@pytest.fixture
def isic(remote):
    """The server's ISIC files by name, with the first edition of the table alone."""
    files = {name: remote.objects.get(loopback.ISIC + name) for name in (V1, V2, COPIES)}
    remote.objects[loopback.ISIC + V1] = files[V1] or files[V2]
    for name in (V2, COPIES):
        remote.objects.pop(loopback.ISIC + name, None)
    return remote.objects


def test_an_absent_file_is_said_every_time_and_asked_for_again_by_trust(isic, fetch, changed, capsys):
    for _ in range(2):
        fetch("isic2020")
        assert f"isic/2020/{COPIES}: the publisher ha" in capsys.readouterr().out
    isic[loopback.ISIC + COPIES] = loopback.Content(b"image_name_1,image_name_2\n")
    assert f"+ isic/2020/{COPIES}: " in trust(changed, "isic2020")
    assert COPIES in fetch("isic2020").paths()


def test_a_manifest_holds_for_what_came_later_too(isic, fetch, changed):
    trust(changed, "isic2020")
    isic[loopback.ISIC + V2] = isic[loopback.ISIC + V1]
    isic[loopback.ISIC + COPIES] = loopback.Content(b"image_name_1,image_name_2\n")
    for path in (paths.ARCHIVES / "isic" / "2020").iterdir():
        path.unlink()
    assert {V1, V2, COPIES}.intersection(fetch("isic2020").paths()) == {V1}


def test_a_refusal_by_something_on_the_way_is_no_absence(isic, remote, fetch):
    remote.fail("blob", loopback.page(403), path=COPIES)
    assert "answers 403" in refused(fetch, "isic2020")
    isic[loopback.ISIC + COPIES] = loopback.Content(b"image_name_1,image_name_2\n")
    assert COPIES in fetch("isic2020").paths()


def test_nothing_is_absent_where_what_must_be_there_is_not(isic, remote, fetch):
    isic[loopback.ISIC + V2] = isic[loopback.ISIC + V1]
    remote.fail("blob", loopback.status(404), times=2)
    assert "answers 404" in refused(fetch, "isic2020")
    assert V2 in fetch("isic2020").paths()


def test_a_bucket_that_does_not_list_its_files_refuses_those_that_are_not_there(isic, remote, fetch):
    denied = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
    remote.fail("blob", loopback.status(403, body=denied), path=COPIES)
    assert COPIES not in fetch("isic2020").paths()


@pytest.mark.parametrize(
    "fault",
    [
        loopback.Fault(status=200, body=b'{"error": "try later"}', type="application/json"),
        loopback.Fault(status=200, body=b"", type="text/csv"),
        loopback.Fault(status=200, body=b"<html/>", type="application/xhtml+xml"),
        loopback.Fault(status=200, body=b"\x1f\x8b\0", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_what_is_no_table_is_not_taken_for_one(isic, remote, fetch, fault):
    remote.fail("blob", fault, path=V1)
    raw = fetch("isic2020")
    assert raw.read(V1) == b"".join(isic[loopback.ISIC + V1].chunks(0, 10**9, 10**9))


def test_an_attribution_that_is_gone_is_written_again(remote, fetch):
    fetch()
    (paths.ARCHIVES / ARCHIVE).with_name("ATTRIBUTION.txt").unlink()
    fetch()
    assert (paths.ARCHIVES / ARCHIVE).with_name("ATTRIBUTION.txt").is_file()


def test_whose_the_images_are_lies_beside_them(remote, fetch):
    fetch()
    text = (paths.ARCHIVES / ARCHIVE).with_name("ATTRIBUTION.txt").read_text(encoding="utf-8")
    owner, slug, version = LUNGS.split("/")
    assert f"kaggle.com/datasets/{owner}/{slug}/versions/{version}" in text and "Licence: " in text


API = {
    "429": (loopback.status(429, {"Retry-After": "7"}), "Kaggle answers 429", {}),
    "500": (loopback.status(500), "Kaggle answers 500", {}),
    "silence": (loopback.slow(), "Kaggle: no answer within 6 s", {"ONCOVEC_TIMEOUT": "1"}),
    "a page": (loopback.page(), "an answer that leads to no archive", {}),
    "no answer": (loopback.drop(), "Kaggle: no connection", {}),
}


@pytest.mark.parametrize("name", API)
def test_a_fault_of_the_api_that_passes_is_named_and_got_over(
    remote, fetch, lungs, monkeypatch, capsys, name
):
    fault, line, environment = API[name]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    remote.fail("resolve", fault)
    assert content(fetch()) == lungs
    assert line in (out := capsys.readouterr().out) and TOKEN not in out and remote.signature not in out


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (loopback.status(503), "Kaggle answers 503; tried 5 times"),
        (loopback.status(404), "404: there is no such dataset, or not this version of it"),
        (loopback.status(403), "this account may not fetch it; see https"),
    ],
)
def test_a_fault_of_the_api_that_lasts_ends_in_a_line(remote, fetch, fault, line):
    remote.fail("resolve", fault, times=None)
    assert line in refused(fetch)
    assert left() == set()


def test_the_client_ends_by_itself_where_nobody_waits_for_it_any_more(remote):
    remote.fail("resolve", loopback.slow())
    command = [sys.executable, "-P", client.__file__, "dataset", LUNGS, remote.url, "4"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 1


def test_an_older_copy_of_the_same_name_is_not_taken_for_another_version(remote, served, fetch):
    owner, slug, _ = LUNGS.split("/")
    busi = next(path for (_, name, _), path in served["kaggle"].items() if "ultrasound" in name)
    remote.objects[loopback.dataset_blob(owner, slug, 1)] = loopback.Content(busi)
    remote.names[f"{owner}/{slug}/1"] = loopback.dataset_blob(owner, slug, 1)
    older = content(fetch(changes={"downloads.multi_organ.kaggle": [f"{owner}/{slug}/1"]}))
    assert older.values() != content(fetch()).values()


def own(remote, home, fetch, **files):
    """Fetch a row of the user's own, of archives with these members."""
    for slug, names in files.items():
        with ZipFile(home / f"{slug}.zip", "w") as archive:
            for name in names:
                archive.writestr(name, slug)
        remote.objects[loopback.dataset_blob("a", slug, 1)] = loopback.Content(home / f"{slug}.zip")
        remote.names[f"a/{slug}/1"] = loopback.dataset_blob("a", slug, 1)
    return fetch("mine", {"downloads.mine": {"kaggle": [f"a/{slug}/1" for slug in files]}})


def test_archives_of_a_row_of_one_s_own_lie_split_by_split(remote, home, fetch):
    found = own(remote, home, fetch, one=["train/a/1.png", ".hidden/2.png"], two=["train/b/1.png"])
    assert content(found) == {"a/one/train/a/1.png": b"one", "a/two/train/b/1.png": b"two"}


def test_two_names_that_many_disks_hold_for_one_are_refused(remote, home, fetch):
    line = refused(own, remote, home, fetch, one=["a/Ä.png", "a/a\u0308.png"])
    assert "would be one on many disks" in line
    assert not paths.raw("mine").exists()


def test_an_archive_with_a_folder_of_its_own_name_lies_where_it_should(remote, home, fetch, lungs):
    owner, slug, version = LUNGS.split("/")
    with ZipFile(home / "top.zip", "w") as archive:
        for path in lungs:
            archive.writestr(path.removeprefix(f"{owner}/"), lungs[path])
    remote.objects[loopback.dataset_blob(owner, slug, int(version))] = loopback.Content(home / "top.zip")
    assert content(fetch()) == lungs


def test_a_competition_whose_rules_are_not_accepted_names_their_page(remote, fetch):
    remote.unaccepted = (PATCHES,)
    assert refused(fetch, "pcam").endswith(f"https://www.kaggle.com/competitions/{PATCHES}/rules")


def test_without_credentials_a_line_says_how_to_get_them(remote, fetch, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert refused(fetch) == kaggle.NO_CREDENTIALS
    assert remote.requests == []


def in_a_file(home):
    (home / "token").write_text(TOKEN)
    return {"KAGGLE_API_TOKEN": str(home / "token")}


def access_token(home):
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "access_token").write_text(TOKEN + "\n")
    return {}


def legacy(home, folder=".kaggle"):
    (home / folder).mkdir()
    key = home / folder / "kaggle.json"
    key.write_text(json.dumps({"username": "tester", "key": TOKEN}))
    key.chmod(0o600)
    return {}


def legacy_elsewhere(home):
    legacy(home, "configuration")
    return {"KAGGLE_CONFIG_DIR": str(home / "configuration")}


def legacy_beside_a_refused_token(home):
    return legacy(home) | {"KAGGLE_API_TOKEN": "expired"}


def oauth(home):
    (home / ".kaggle").mkdir()
    later = {"access_token_expiration": "2099-01-01T00:00:00+00:00", "username": "tester"}
    found = {"refresh_token": "unused", "access_token": TOKEN} | later
    (home / ".kaggle" / "credentials.json").write_text(json.dumps(found))
    return {}


WAYS = {
    "a variable that names a file": in_a_file,
    "access_token": access_token,
    "kaggle.json": legacy,
    "kaggle.json elsewhere": legacy_elsewhere,
    "name and key in variables": lambda home: {"KAGGLE_USERNAME": "tester", "KAGGLE_KEY": TOKEN},
    "kaggle.json beside a refused token": legacy_beside_a_refused_token,
    "OAuth": oauth,
    "a variable, and the client told to be verbose": lambda home: {
        "KAGGLE_API_TOKEN": TOKEN,
        "VERBOSE": "true",
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_credentials_are_found_in_every_way_that_the_client_knows(
    remote, fetch, home, lungs, monkeypatch, capfd, way
):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    for variable, value in WAYS[way](home).items():
        monkeypatch.setenv(variable, value)
    assert content(fetch()) == lungs
    assert TOKEN not in "".join(capfd.readouterr())
    blobs = [request for request in remote.requests if request.kind == "blob"]
    assert not any(request.authorization for request in blobs)
    assert not any(TOKEN.encode() in path.read_bytes() for path in archives())


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("KAGGLE_API_TOKEN", "expired", "the Kaggle token in KAGGLE_API_TOKEN is not accepted"),
        ("KAGGLE_API_TOKEN", "expired\r", "the Kaggle token in KAGGLE_API_TOKEN is not accepted"),
        ("KAGGLE_API_TOKEN", "x" * 5000, "the Kaggle token in KAGGLE_API_TOKEN is not accepted"),
        ("KAGGLE_KEY", "expired", "the token in KAGGLE_USERNAME and KAGGLE_KEY is not accepted"),
    ],
)
def test_a_refused_token_is_said_by_its_place(remote, fetch, monkeypatch, variable, value, line):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    monkeypatch.setenv("KAGGLE_USERNAME", "tester")
    monkeypatch.setenv(variable, value)
    if variable == "KAGGLE_API_TOKEN":
        monkeypatch.delenv("KAGGLE_USERNAME")
    assert line in refused(fetch)


@pytest.mark.parametrize("name", ["isic2020", "multi_organ"])
@pytest.mark.parametrize("url", ["http://example.com", "https://127.0.0.1", "http://127.0.0.1.example.com"])
def test_another_address_is_a_loopback_one(remote, fetch, monkeypatch, name, url):
    variable = "ONCOVEC_ISIC_URL" if name == "isic2020" else "ONCOVEC_KAGGLE_URL"
    monkeypatch.setenv(variable, url)
    assert refused(fetch, name).startswith(f"{variable} is for tests")


def test_a_timeout_that_is_no_number_is_a_line(remote, fetch, monkeypatch):
    monkeypatch.setenv("ONCOVEC_TIMEOUT", "soon")
    assert refused(fetch, "isic2020") == "ONCOVEC_TIMEOUT = 'soon': seconds, above 0"


# --- manifests, on files for which no client need be started ---

IMAGES = "ISIC_2020_Training_JPEG.zip"
PINNED = f"isic/2020/{IMAGES}"


def trust(changed, name="isic2020"):
    settings = params.load(changed({"downloads.multi_organ.kaggle": [LUNGS]}))
    return "\n".join(download.trust(settings, name))


@pytest.fixture
def replaced(remote):
    """Let the publisher change the images under the same name, and forget those that are here."""

    def replace(files):
        with ZipFile("other.zip", "w") as packed:
            for name, content in files.items():
                packed.writestr(name, content)
        remote.objects[loopback.ISIC + IMAGES] = loopback.Content(Path("other.zip").resolve())
        for file in (paths.ARCHIVES / PINNED).parent.iterdir():
            file.unlink()

    return replace


def test_without_a_manifest_a_run_says_so_and_goes_on(remote, fetch, capsys):
    fetch("isic2020")
    assert "no manifests/isic2020.json: nothing says" in capsys.readouterr().out


def test_trust_pins_what_is_fetched_and_says_what_changed(remote, fetch, changed, capsys):
    assert f"+ {ARCHIVE}: " in trust(changed, "multi_organ")
    assert trust(changed, "multi_organ").endswith("as before")
    fetch()
    assert "nothing says" not in capsys.readouterr().out


def test_another_archive_than_the_pinned_one_is_refused_until_it_is_trusted(remote, fetch, changed, replaced):
    trust(changed)
    replaced({"train/new.jpg": b"new"})
    line = refused(fetch, "isic2020")
    assert "not the pinned file" in line and "oncovec trust" in line
    assert not {PINNED, f"{PINNED}.json"} & left() and not paths.raw("isic2020").exists()
    assert f"~ {PINNED}: " in (said := trust(changed)) and "-> 1 files" in said
    assert fetch("isic2020").read("train/new.jpg") == b"new"


def test_the_pinned_files_packed_anew_are_named_as_such(remote, fetch, changed, replaced):
    trust(changed)
    before = content(fetch("isic2020"))
    replaced({name: before[name] for name in reversed(before) if name.startswith("train/")})
    assert "): the pinned files, packed anew; 2 copies fetched" in refused(fetch, "isic2020")
    assert "the same files, packed anew" in trust(changed)
    assert content(fetch("isic2020")) == before


@pytest.mark.parametrize("key", ["sha256", "bytes", "files", "sha256 of a folder"])
def test_a_manifest_that_was_tampered_with_is_refused_and_nothing_is_lost(remote, fetch, changed, key):
    trust(changed)
    good = paths.manifest("isic2020").read_text()
    found = json.loads(good)
    folder = next(iter(found[PINNED]["folders"].values()))
    where = folder if key in ("files", "sha256 of a folder") else found[PINNED]
    where[key.partition(" ")[0]] = "0" * 64 if key.startswith("sha256") else 7
    paths.manifest("isic2020").write_text(json.dumps(found))
    seen = len(remote.requests)
    assert "pinned" in refused(fetch, "isic2020")
    paths.manifest("isic2020").write_text(good)
    fetch("isic2020")
    assert len(remote.requests) == seen


@pytest.mark.parametrize("damage", ["", "[]", '{"a.zip": {"bytes": 1, "sha256": "", "folders": null}}'])
def test_what_is_no_manifest_is_refused(remote, fetch, damage):
    paths.manifest("isic2020").parent.mkdir()
    paths.manifest("isic2020").write_text(damage)
    assert "manifests/isic2020.json: not a manifest; `oncovec trust isic2020`" in refused(fetch, "isic2020")


def test_a_version_that_is_not_pinned_is_refused_beside_a_manifest(remote, fetch, changed):
    trust(changed)
    paths.manifest("isic2020").rename(paths.manifest("multi_organ"))
    line = refused(fetch)
    assert f"manifests/multi_organ.json does not have {ARCHIVE}; `oncovec trust multi_organ`" in line


def test_two_runs_at_once_fetch_a_file_once(remote, published):
    remote.fail("blob", loopback.throttle(200_000), path=IMAGES)
    code = (
        "from oncovec.data import download; from oncovec.core.datasets import Download;"
        "print(len(download.bring(Download(isic=2020), {})))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    runs = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = {run.communicate()[0].split()[-1] for run in runs}
    assert len(found) == 1
    assert sum(request.path.endswith(IMAGES) for request in remote.requests) == 1
