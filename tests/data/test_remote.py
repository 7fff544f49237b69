"""Every fault that a network, a server or a publisher may have, against the real client and real bytes."""

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
from loopback import Server

from oncovec.core import params, paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import read_json, write_json
from oncovec.data import index, sources
from oncovec.data import layouts as datasets
from oncovec.data.download import kaggle, store, transfer
from oncovec.data.tree import Folder

TOKEN = "KGAT_not_to_be_seen_4711"
LUNGS = "adityamahimkar/iqothnccd-lung-cancer-dataset/2"
PATCHES = "histopathologic-cancer-detection"
ARCHIVE = f"kaggle/datasets/{LUNGS}/iqothnccd-lung-cancer-dataset.zip"
CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home, checkout and cache, and no credentials."""
    for variable in CREDENTIALS:
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ONCOVEC_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def waits(monkeypatch):
    """Seconds that would have been waited for between attempts."""
    found = []
    monkeypatch.setattr(transfer, "pause", found.append)
    return found


@pytest.fixture
def server(served, home, waits, monkeypatch):
    with Server(token=TOKEN, **served) as found:
        monkeypatch.setenv("ONCOVEC_KAGGLE_URL", found.url)
        monkeypatch.setenv("ONCOVEC_ISIC_URL", found.url)
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
        monkeypatch.setenv("ONCOVEC_TIMEOUT", "5")
        yield found


@pytest.fixture
def fetch(changed):
    """Open a row of params.yaml as a stage would, by default one with the lungs alone."""

    def fetch(name="multi_organ", changes=None, check=True):
        changes = {"data.source": "remote", "datasets.multi_organ.kaggle": [LUNGS]} | (changes or {})
        knobs = params.load(changed(changes))
        sources.write_pins(knobs)
        write_json(paths.source(name), read_json(paths.pin(name)))
        return sources.open_raw(knobs, name, check)

    def knobs(changes):
        found = params.load(changed(changes))
        sources.write_pins(found)
        return found

    fetch.knobs = knobs
    return fetch


def refused(fetch, *arguments, **more):
    with pytest.raises(OncovecError) as caught:
        fetch(*arguments, **more)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def content(raw):
    return {path: raw.tree.read(path) for path in raw.tree.paths()}


@pytest.fixture(scope="session")
def lungs(published):
    """Path and content of every file of the lung dataset."""
    tree = Folder(published / "multi_organ")
    return {path: tree.read(path) for path in tree.paths() if path.startswith("adityamahimkar/")}


def left(home):
    """Files in the cache, without locks and attributions."""
    cache = home / "cache"
    found = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith((".lock", "ATTRIBUTION.txt"))}


GOOD = {ARCHIVE, f"{ARCHIVE}.json"}
PART = {f"{ARCHIVE}.part", f"{ARCHIVE}.part.json"}


@pytest.mark.parametrize("name", sources.PUBLISHED)
def test_a_fetched_dataset_has_the_index_of_the_same_files_in_a_folder(server, fetch, published, name):
    knobs = params.load(Path(__file__).parents[2] / "params.yaml")
    raw = fetch(name, {"datasets.multi_organ.kaggle": list(knobs.datasets["multi_organ"].kaggle)})
    assert raw.source == "remote" and raw.caps == {}
    found = index.build(raw.tree, datasets.read(knobs.datasets[name].layout, raw.tree))
    local = Folder(published / name)
    assert found == index.build(local, datasets.read(knobs.datasets[name].layout, local))


def test_what_is_here_is_not_asked_for_again(server, fetch, home, lungs, capsys):
    fetch()
    seen = len(server.requests)
    assert content(fetch()) == content(fetch(check=False)) == lungs
    assert len(server.requests) == seen
    assert left(home) == GOOD


def test_a_log_has_a_line_a_file_and_no_bar(server, fetch, capfd):
    fetch()
    printed = capfd.readouterr()
    assert printed.err == "" and f"{ARCHIVE}: 0.0 MB fetched\n" in printed.out


def test_a_terminal_sees_name_bytes_rate_and_time_left(server, fetch, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    fetch()
    bar = r"iqothnccd-lung-cancer-dataset\.zip: .*%.*\d[kM]?/\d.*\[\d\d:\d\d<.*B/s\]"
    assert re.search(bar, terminal.getvalue())


def test_isic_needs_no_account_and_remembers_what_there_is_not(server, fetch, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    fetch("isic2020")
    assert not any(request.authorization for request in server.requests)
    seen = len(server.requests)
    fetch("isic2020")
    assert len(server.requests) == seen


def test_the_second_edition_of_isic_s_table_is_taken_where_there_is_one(served, server, fetch):
    better = "ISIC_2020_Training_GroundTruth_v2.csv"
    first = served["isic"].get(better) or served["isic"]["ISIC_2020_Training_GroundTruth.csv"]
    server.objects[loopback.ISIC + better] = loopback.Content(first)
    paths = fetch("isic2020").tree.paths()
    assert better in paths and "ISIC_2020_Training_GroundTruth.csv" not in paths


V1, V2 = "ISIC_2020_Training_GroundTruth.csv", "ISIC_2020_Training_GroundTruth_v2.csv"
COPIES = "ISIC_2020_Training_Duplicates.csv"


@pytest.fixture
def isic(server):
    """The server's ISIC files by name, with the first edition of the table alone."""
    files = {name: server.objects.get(loopback.ISIC + name) for name in (V1, V2, COPIES)}
    server.objects[loopback.ISIC + V1] = files[V1] or files[V2]
    for name in (V2, COPIES):
        server.objects.pop(loopback.ISIC + name, None)
    return server.objects


def test_an_absent_file_is_said_every_time_and_asked_for_again_by_trust(isic, fetch, changed, capsys):
    for _ in range(2):
        fetch("isic2020")
        assert f"isic/2020/{COPIES}: the publisher ha" in capsys.readouterr().out
    isic[loopback.ISIC + COPIES] = loopback.Content(b"image_name_1,image_name_2\n")
    assert f"+ isic/2020/{COPIES}: " in trust(changed, "isic2020")
    assert COPIES in fetch("isic2020").tree.paths()


def test_a_manifest_holds_for_what_came_later_too(isic, fetch, changed, home):
    trust(changed, "isic2020")
    isic[loopback.ISIC + V2] = isic[loopback.ISIC + V1]
    isic[loopback.ISIC + COPIES] = loopback.Content(b"image_name_1,image_name_2\n")
    for path in (home / "cache" / "isic" / "2020").iterdir():
        path.unlink()
    paths = fetch("isic2020").tree.paths()
    assert V1 in paths and V2 not in paths and COPIES not in paths


def test_a_refusal_by_something_on_the_way_is_no_absence(isic, server, fetch):
    server.fail("blob", loopback.page(403), path=COPIES)
    assert "answers 403" in refused(fetch, "isic2020")
    isic[loopback.ISIC + COPIES] = loopback.Content(b"image_name_1,image_name_2\n")
    assert COPIES in fetch("isic2020").tree.paths()


def test_nothing_is_absent_where_what_must_be_there_is_not(isic, server, fetch):
    isic[loopback.ISIC + V2] = isic[loopback.ISIC + V1]
    server.fail("blob", loopback.status(404), times=2)
    assert "answers 404" in refused(fetch, "isic2020")
    assert V2 in fetch("isic2020").tree.paths()


def test_a_bucket_that_does_not_list_its_files_refuses_those_that_are_not_there(isic, server, fetch):
    denied = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
    server.fail("blob", loopback.status(403, body=denied), path=COPIES)
    assert COPIES not in fetch("isic2020").tree.paths()


@pytest.mark.parametrize(
    "fault",
    [
        loopback.Fault(status=200, body=b'{"error": "try later"}', type="application/json"),
        loopback.Fault(status=200, body=b"", type="text/csv"),
        loopback.Fault(status=200, body=b"<html/>", type="application/xhtml+xml"),
        loopback.Fault(status=200, body=b"\x1f\x8b\0", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_what_is_no_table_is_not_taken_for_one(isic, server, fetch, fault):
    server.fail("blob", fault, path=V1)
    raw = fetch("isic2020")
    assert raw.tree.read(V1) == b"".join(isic[loopback.ISIC + V1].chunks(0, 10**9, 10**9))


def test_an_attribution_that_is_gone_is_written_again(server, fetch, home):
    fetch()
    (home / "cache" / ARCHIVE).with_name("ATTRIBUTION.txt").unlink()
    fetch()
    assert (home / "cache" / ARCHIVE).with_name("ATTRIBUTION.txt").is_file()


def test_whose_the_images_are_lies_beside_them(server, fetch, home):
    fetch()
    text = (home / "cache" / ARCHIVE).with_name("ATTRIBUTION.txt").read_text(encoding="utf-8")
    owner, slug, version = LUNGS.split("/")
    assert f"kaggle.com/datasets/{owner}/{slug}/versions/{version}" in text and "Licence: " in text


OTHER = b"PK\x05\x06" + bytes(18)
"""An empty zip."""

PASSING = {
    "cut": ("blob", loopback.cut(30_000), ".zip: cut at 30,000 of ", {}),
    "announced too long": ("blob", loopback.wrong_length(500), ".zip: cut at ", {}),
    "announced too short": ("blob", loopback.wrong_length(-500), "not the bytes that the server has", {}),
    "429 of a blob": ("blob", loopback.status(429, {"Retry-After": "7"}), "the server answers 429", {}),
    "429 of the API": ("resolve", loopback.status(429, {"Retry-After": "7"}), "Kaggle answers 429", {}),
    "500 of a blob": ("blob", loopback.status(500), "the server answers 500", {}),
    "500 of the API": ("resolve", loopback.status(500), "Kaggle answers 500", {}),
    "503 of a blob": ("blob", loopback.status(503), "the server answers 503", {}),
    "503 of the API": ("resolve", loopback.status(503), "Kaggle answers 503", {}),
    "an expired address": ("blob", loopback.status(403), "the signed address is refused with 403", {}),
    "slow first byte": ("blob", loopback.slow(), "no answer within 1 s", {"ONCOVEC_TIMEOUT": "1"}),
    "slow API": ("resolve", loopback.slow(), "Kaggle: no answer within 6 s", {"ONCOVEC_TIMEOUT": "1"}),
    "stalled body": ("blob", loopback.slow_body(30_000), "no answer within 1 s", {"ONCOVEC_TIMEOUT": "1"}),
    "corrupt": ("blob", loopback.corrupt(), "not the bytes that the server has (md5)", {}),
    "corrupt, no hash": ("blob", loopback.corrupt("absent"), "is damaged (Bad CRC-32", {}),
    "corrupt, hash of it": ("blob", loopback.corrupt("sent"), "is damaged (Bad CRC-32", {}),
    "a page for an archive": ("blob", loopback.page(), "text/html came in the place of the file", {}),
    "JSON for an archive": (
        "blob",
        loopback.Fault(status=200, body=b'{"code": 500}', type="application/json"),
        "application/json came in the place of the file",
        {},
    ),
    "a page for an answer": ("resolve", loopback.page(), "an answer that leads to no archive", {}),
    "no answer": ("blob", loopback.drop(), "no connection", {}),
    "no answer of the API": ("resolve", loopback.drop(), "Kaggle: no connection", {}),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_named_and_got_over(server, fetch, home, lungs, monkeypatch, capsys, name):
    kind, fault, line, environment = PASSING[name]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    server.fail(kind, fault)
    assert content(fetch()) == lungs
    assert line in (out := capsys.readouterr().out) and TOKEN not in out and server.signature not in out
    assert left(home) == GOOD


LASTING = {
    "cut at nothing": ("blob", loopback.cut(0), "cut at 0 of ", PART),
    "announced too long": ("blob", loopback.wrong_length(500), "tried 5 times", None),
    "announced too short": ("blob", loopback.wrong_length(-500), "3 copies fetched and thrown away", set()),
    "429": ("blob", loopback.status(429, {"Retry-After": "7"}), "the server answers 429; tried 5", set()),
    "429 for an hour": ("blob", loopback.status(429, {"Retry-After": "3600"}), "asks to wait 3600 s", set()),
    "500": ("blob", loopback.status(500), "the server answers 500; tried 5 times", set()),
    "503 of the API": ("resolve", loopback.status(503), "Kaggle answers 503; tried 5 times", set()),
    "corrupt": ("blob", loopback.corrupt(), "(md5); 3 copies fetched and thrown away", set()),
    "corrupt, no hash": ("blob", loopback.corrupt("absent"), "; 3 copies fetched and thrown away", set()),
    "a page": ("blob", loopback.page(), "text/html came in the place of the file; tried 5", set()),
    "404 of the API": ("resolve", loopback.status(404), "404: there is no such dataset, or not this", set()),
    "403 of the API": ("resolve", loopback.status(403), "this account may not fetch it; see https", set()),
    "no connection": ("blob", loopback.drop(), "no connection; tried 5 times", set()),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_lasts_ends_in_a_line_and_the_next_run_gets_over_it(server, fetch, home, lungs, name):
    kind, fault, line, kept = LASTING[name]
    server.fail(kind, fault, times=None)
    assert line in refused(fetch)
    assert not left(home) & GOOD and (kept is None or left(home) == kept)
    server.heal()
    assert content(fetch()) == lungs
    assert left(home) == GOOD


def test_a_header_that_is_no_number_is_no_traceback(server, fetch, waits):
    server.fail("blob", loopback.status(429, {"Retry-After": "\u00b2"}))
    fetch()
    assert waits == [0.5]


def test_waits_grow_and_a_server_that_names_one_is_obeyed(server, fetch, waits):
    server.fail("blob", loopback.status(503), times=2)
    server.fail("blob", loopback.status(429, {"Retry-After": "7"}))
    server.fail("blob", loopback.drop())
    fetch()
    assert waits == [0.5, 1, 7, 4]


def test_a_cut_download_goes_on_where_it_stopped(server, fetch, lungs):
    for after in (4_000, 5_000, 6_000):
        server.fail("blob", loopback.cut(after))
    assert content(fetch()) == lungs
    blobs = [request for request in server.requests if request.kind == "blob"]
    assert [request.range for request in blobs] == [None, "bytes=4000-", "bytes=9000-", "bytes=15000-"]
    assert server.sent_bytes() == blobs[0].sent + sum(request.sent for request in blobs[1:])
    assert server.sent_bytes() == Path(server.objects[blobs[0].path].source).stat().st_size


def test_a_part_goes_on_by_its_date_where_a_later_answer_has_no_etag(server, fetch, lungs, monkeypatch):
    whole = loopback.Handler.head

    def head(handler, code, headers):
        whole(handler, code, {k: v for k, v in headers.items() if code != 206 or k != "ETag"})

    monkeypatch.setattr(loopback.Handler, "head", head)
    server.fail("blob", loopback.cut(4_000))
    assert content(fetch()) == lungs
    assert [request.range for request in server.requests if request.kind == "blob"] == [None, "bytes=4000-"]


@pytest.mark.parametrize("fault", [loopback.ignore_range(), loopback.wrong_range(), loopback.wrong_range(-1)])
def test_a_range_that_is_not_what_was_asked_for_is_not_appended(server, fetch, lungs, fault):
    server.fail("blob", loopback.cut(20_000))
    server.fail("blob", fault)
    assert content(fetch()) == lungs


def test_a_file_that_changes_in_mid_download_is_fetched_from_its_beginning(server, served, fetch, tmp_path):
    other = tmp_path / "other.zip"
    with ZipFile(other, "w") as archive:
        archive.writestr("Normal cases/new.txt", b"new" * 50_000)
    server.fail("blob", loopback.changed(other, after=20_000))
    found = content(fetch())
    assert set(found.values()) == {b"new" * 50_000}


def test_an_older_copy_of_the_same_name_is_not_taken_for_another_version(server, served, fetch, home):
    owner, slug, _ = LUNGS.split("/")
    busi = next(path for (_, name, _), path in served["kaggle"].items() if "ultrasound" in name)
    server.objects[loopback.dataset_blob(owner, slug, 1)] = loopback.Content(busi)
    server.names[f"{owner}/{slug}/1"] = loopback.dataset_blob(owner, slug, 1)
    older = content(fetch(changes={"datasets.multi_organ.kaggle": [f"{owner}/{slug}/1"]}))
    assert older.values() != content(fetch()).values()


def test_what_was_damaged_in_the_cache_is_thrown_away_and_fetched_again(server, fetch, home, lungs, capsys):
    fetch()
    path = home / "cache" / ARCHIVE
    status, whole = path.stat(), path.read_bytes()
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert content(fetch()) == lungs
    assert "damaged since it was fetched; thrown away" in capsys.readouterr().out


def test_a_file_that_was_fetched_and_not_checked_is_checked(server, fetch, home, lungs):
    fetch()
    (home / "cache" / f"{ARCHIVE}.json").unlink()
    seen = len(server.requests)
    assert content(fetch()) == lungs
    assert len(server.requests) == seen and left(home) == GOOD


def test_a_receipt_does_not_vouch_for_a_later_file(server, fetch, home, lungs, monkeypatch):
    fetch()
    (home / "cache" / ARCHIVE).unlink()
    server.fail("blob", loopback.corrupt("absent"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store.archive, "inspect", interrupt)
        fetch()
    assert f"{ARCHIVE}.json" not in left(home)
    assert content(fetch(check=False)) == lungs


def interrupt(path):
    raise KeyboardInterrupt


OWN = {"layout": "folders", "image_size": 96, "root": "data/pins/mine.json", "kaggle": ["a/one/1", "a/two/1"]}


def own(server, home, fetch, **files):
    """Fetch a row of the user's own, of archives with these members."""
    for slug, names in files.items():
        with ZipFile(home / f"{slug}.zip", "w") as archive:
            for name in names:
                archive.writestr(name, slug)
        server.objects[loopback.dataset_blob("a", slug, 1)] = loopback.Content(home / f"{slug}.zip")
        server.names[f"a/{slug}/1"] = loopback.dataset_blob("a", slug, 1)
    knobs = fetch.knobs({"datasets.mine": OWN | {"folder": "train"}})
    return sources.open_raw(knobs, "mine")


def test_archives_of_a_row_of_one_s_own_lie_over_each_other(server, home, fetch):
    found = own(server, home, fetch, one=["train/a/1.png", "test/a/2.png"], two=["train/b/1.png"])
    assert content(found) == {"a/1.png": b"one", "b/1.png": b"two"}


def test_an_archive_with_a_folder_of_its_own_name_lies_where_it_should(server, home, fetch, lungs):
    owner, slug, version = LUNGS.split("/")
    with ZipFile(home / "top.zip", "w") as archive:
        for path in lungs:
            archive.writestr(path.removeprefix(f"{owner}/"), lungs[path])
    server.objects[loopback.dataset_blob(owner, slug, int(version))] = loopback.Content(home / "top.zip")
    assert content(fetch()) == lungs


def test_two_archives_do_not_hide_each_other_s_files(server, home, fetch):
    with pytest.raises(OncovecError, match=r"a/1\.png is in two archives, .*one\.zip and .*two\.zip"):
        own(server, home, fetch, one=["train/a/1.png"], two=["train/a/1.png"])


def test_a_folder_that_an_archive_does_not_have_is_refused(server, home, fetch):
    with pytest.raises(OncovecError, match=r"folder = 'train': not there; at the top there is other, train"):
        own(server, home, fetch, one=["train/a/1.png"], two=["other/a/1.png"])


@pytest.mark.parametrize("kind", loopback.HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(server, fetch, home, kind):
    owner, slug, version = LUNGS.split("/")
    evil = loopback.hostile(home / "evil" / f"{kind}.zip", kind)
    server.objects[loopback.dataset_blob(owner, slug, int(version))] = loopback.Content(evil)
    before = {path for path in home.rglob("*") if "cache" not in path.parts}
    line = refused(fetch)
    assert "refused" in line or "thrown away" in line
    assert left(home) == set()
    after = {path for path in home.rglob("*") if "cache" not in path.parts}
    assert not {path for path in after - before if path.is_file() and path.suffix != ".json"}


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(server, fetch, home):
    server.fail("blob", loopback.wrong_length(10**15))
    line = refused(fetch)
    assert "1,000,000.0 GB to fetch" in line and "ONCOVEC_CACHE" in line
    assert server.sent_bytes() < 10**7 and not left(home) & GOOD


def test_a_competition_whose_rules_are_not_accepted_names_their_page(server, fetch):
    server.unaccepted = (PATCHES,)
    assert refused(fetch, "pcam").endswith(f"https://www.kaggle.com/competitions/{PATCHES}/rules")


def test_without_credentials_a_line_says_how_to_get_them(server, fetch, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert refused(fetch) == kaggle.NO_CREDENTIALS
    assert server.requests == []


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
    "a variable": lambda home: {"KAGGLE_API_TOKEN": TOKEN},
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
    server, fetch, home, lungs, monkeypatch, capfd, way
):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    for variable, value in WAYS[way](home).items():
        monkeypatch.setenv(variable, value)
    assert content(fetch()) == lungs
    assert TOKEN not in "".join(capfd.readouterr())
    blobs = [request for request in server.requests if request.kind == "blob"]
    assert not any(request.authorization for request in blobs)
    written = [path for path in (home / "cache").rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in path.read_bytes() for path in written)


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("KAGGLE_API_TOKEN", "expired", "the Kaggle token in KAGGLE_API_TOKEN is not accepted"),
        ("KAGGLE_API_TOKEN", "expired\r", "the Kaggle token in KAGGLE_API_TOKEN is not accepted"),
        ("KAGGLE_API_TOKEN", "x" * 5000, "the Kaggle token in KAGGLE_API_TOKEN is not accepted"),
        ("KAGGLE_KEY", "expired", "the token in KAGGLE_USERNAME and KAGGLE_KEY is not accepted"),
    ],
)
def test_a_refused_token_is_said_by_its_place(server, fetch, monkeypatch, variable, value, line):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    monkeypatch.setenv("KAGGLE_USERNAME", "tester")
    monkeypatch.setenv(variable, value)
    if variable == "KAGGLE_API_TOKEN":
        monkeypatch.delenv("KAGGLE_USERNAME")
    assert line in refused(fetch)


@pytest.mark.parametrize("variable", ["ONCOVEC_KAGGLE_URL", "ONCOVEC_ISIC_URL"])
@pytest.mark.parametrize("url", ["http://example.com", "https://127.0.0.1", "http://127.0.0.1.example.com"])
def test_another_address_is_a_loopback_one(server, fetch, monkeypatch, variable, url):
    monkeypatch.setenv(variable, url)
    line = refused(fetch, "isic2020" if "ISIC" in variable else "multi_organ")
    assert line.startswith(f"{variable} is for tests")


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("ONCOVEC_TIMEOUT", "soon", "ONCOVEC_TIMEOUT = 'soon': seconds, above 0"),
        ("ONCOVEC_CACHE", "cache", "ONCOVEC_CACHE = 'cache': give an absolute path"),
        ("ONCOVEC_CACHE", "/proc/nowhere", "ONCOVEC_CACHE may name another folder"),
    ],
)
def test_a_variable_of_ours_that_makes_no_sense_is_a_line(server, fetch, monkeypatch, variable, value, line):
    monkeypatch.setenv(variable, value)
    assert line in refused(fetch)


def trust(changed, name="multi_organ"):
    knobs = params.load(changed({"datasets.multi_organ.kaggle": [LUNGS]}))
    return "\n".join(sources.trust(knobs, name))


def test_without_a_manifest_a_run_says_so_and_goes_on(server, fetch, capsys):
    fetch()
    assert "no manifests/multi_organ.json: nothing says" in capsys.readouterr().out


def test_trust_pins_what_is_fetched_and_says_what_changed(server, fetch, changed, capsys, served, tmp_path):
    assert f"+ {ARCHIVE}: " in trust(changed)
    assert trust(changed).endswith("as before")
    fetch()
    assert "nothing says" not in capsys.readouterr().out


@pytest.fixture
def replaced(server, home):
    """Let the publisher change the lungs' archive under the same version."""

    def replace(path):
        owner, slug, version = LUNGS.split("/")
        server.objects[loopback.dataset_blob(owner, slug, int(version))] = loopback.Content(path)
        for file in (home / "cache" / ARCHIVE).parent.iterdir():
            file.unlink()

    return replace


def test_another_archive_than_the_pinned_one_is_refused_until_it_is_trusted(
    server, fetch, home, changed, served, replaced
):
    trust(changed)
    replaced(next(path for (_, name, _), path in served["kaggle"].items() if "ultrasound" in name))
    line = refused(fetch)
    assert "not the pinned file" in line and "oncovec trust" in line
    assert left(home) == set()
    assert f"~ {ARCHIVE}: " in (said := trust(changed)) and "-> 0 files" in said
    fetch()


def test_the_pinned_files_packed_anew_are_named_as_such(server, fetch, lungs, changed, replaced, tmp_path):
    trust(changed)
    owner, slug, _ = LUNGS.split("/")
    with ZipFile(tmp_path / "anew.zip", "w") as archive:
        for path in sorted(lungs, reverse=True):
            archive.writestr(path.removeprefix(f"{owner}/{slug}/"), lungs[path])
    replaced(tmp_path / "anew.zip")
    assert "): the pinned files, packed anew; 2 copies fetched" in refused(fetch)
    assert "the same files, packed anew" in trust(changed)
    assert content(fetch()) == lungs


@pytest.mark.parametrize("key", ["sha256", "bytes", "files", "sha256 of a folder"])
def test_a_manifest_that_was_tampered_with_is_refused(server, fetch, changed, home, lungs, key):
    trust(changed)
    good = paths.manifest("multi_organ").read_text()
    found = json.loads(good)
    folder = next(iter(found[ARCHIVE]["folders"].values()))
    where = folder if key in ("files", "sha256 of a folder") else found[ARCHIVE]
    where[key.partition(" ")[0]] = "0" * 64 if key.startswith("sha256") else 7
    paths.manifest("multi_organ").write_text(json.dumps(found))
    assert "pinned" in refused(fetch)
    paths.manifest("multi_organ").write_text(good)
    seen = len(server.requests)
    assert content(fetch()) == lungs
    assert len(server.requests) == seen  # what is whole is set aside, not thrown away


@pytest.mark.parametrize("damage", ["", "[]", '{"a.zip": {"bytes": 1, "sha256": "", "folders": null}}'])
def test_what_is_no_manifest_is_refused(server, fetch, changed, damage):
    trust(changed)
    paths.manifest("multi_organ").write_text(damage)
    assert "manifests/multi_organ.json: not a manifest; `oncovec trust multi_organ`" in refused(fetch)


def test_a_copy_of_the_manifest_that_another_source_left_is_refused(server, fetch):
    knobs = fetch.knobs({"data.source": "remote"})
    write_json(paths.source("pcam"), {"files": 3, "sha256": "0" * 64})
    with pytest.raises(OncovecError, match=r"pcam\.json: not a manifest; run `dvc repro download@"):
        sources.open_raw(knobs, "pcam")


def test_a_version_that_is_not_pinned_is_refused_beside_a_manifest(server, fetch, changed):
    trust(changed)
    other = "aryashah2k/breast-ultrasound-images-dataset/1"
    line = refused(fetch, changes={"datasets.multi_organ.kaggle": [LUNGS, other]})
    assert f"manifests/multi_organ.json does not have kaggle/datasets/{other}/" in line


def test_two_runs_at_once_fetch_a_file_once(server, home, lungs):
    server.fail("blob", loopback.throttle(200_000))
    code = (
        "from oncovec import remote; from oncovec.core.params import Dataset;"
        f"row = Dataset(layout='folders', root='x', image_size=96, kaggle=['{LUNGS}']);"
        "print(len(remote.tree('x', row, remote.bring(row, {})).paths()))"
    )
    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source}
    runs = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [run.communicate()[0].split()[-1] for run in runs] == [str(len(lungs))] * 2
    assert sum(request.kind == "blob" for request in server.requests) == 1
