"""Every fault that a network, a server or a publisher may have, against real bytes on a real connection."""

import os
from pathlib import Path
from zipfile import ZipFile

import loopback
import pytest
from fetching import ARCHIVE, GOOD, LUNGS, PART, TOKEN, content, left, refused

from oncovec.core import paths
from oncovec.core.files import new_folder
from oncovec.data.download import archive, store
from oncovec.data.download.store import Wanted
from oncovec.data.download.transfer import Location
from oncovec.data.tree import Folder

OWNER, SLUG, VERSION = LUNGS.split("/")
BLOB = loopback.dataset_blob(OWNER, SLUG, int(VERSION))


@pytest.fixture
def bring(remote):
    """Fetch and unpack the lungs from the address that Kaggle would give, without its client; the files."""
    address = f"{remote.blobs_url}{BLOB}?X-Goog-Signature={remote.signature}"
    wanted = Wanted(ARCHIVE, lambda: Location(address, signed=True), credit="whose it is")

    def bring():
        store.bring(wanted, None)
        with new_folder(paths.raw("lungs")) as folder:
            archive.unpack(paths.ARCHIVES / ARCHIVE, folder / OWNER / SLUG)
        return Folder(paths.raw("lungs"))

    return bring


PASSING = {
    "cut": (loopback.cut(30_000), ".zip: cut at 30,000 of ", {}),
    "announced too long": (loopback.wrong_length(500), ".zip: cut at ", {}),
    "announced too short": (loopback.wrong_length(-500), "not the bytes that the server has", {}),
    "429 of a blob": (loopback.status(429, {"Retry-After": "7"}), "the server answers 429", {}),
    "500 of a blob": (loopback.status(500), "the server answers 500", {}),
    "503 of a blob": (loopback.status(503), "the server answers 503", {}),
    "an expired address": (loopback.status(403), "the signed address is refused with 403", {}),
    "slow first byte": (loopback.slow(), "no answer within 1 s", {"ONCOVEC_TIMEOUT": "1"}),
    "stalled body": (loopback.slow_body(30_000), "no answer within 1 s", {"ONCOVEC_TIMEOUT": "1"}),
    "corrupt": (loopback.corrupt(), "not the bytes that the server has (md5)", {}),
    "corrupt, no hash": (loopback.corrupt("absent"), "is damaged (", {}),
    "corrupt, hash of it": (loopback.corrupt("sent"), "is damaged (", {}),
    "a page for an archive": (loopback.page(), "text/html came in the place of the file", {}),
    "JSON for an archive": (
        loopback.Fault(status=200, body=b'{"code": 500}', type="application/json"),
        "application/json came in the place of the file",
        {},
    ),
    "no answer": (loopback.drop(), "no connection", {}),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_named_and_got_over(remote, bring, lungs, monkeypatch, capsys, name):
    fault, line, environment = PASSING[name]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    remote.fail("blob", fault)
    assert content(bring()) == lungs
    assert line in (out := capsys.readouterr().out) and TOKEN not in out and remote.signature not in out
    assert left() == GOOD


LASTING = {
    "cut at nothing": (loopback.cut(0), "cut at 0 of ", PART),
    "announced too long": (loopback.wrong_length(500), "tried 5 times", None),
    "announced too short": (loopback.wrong_length(-500), "3 copies fetched and thrown away", set()),
    "429": (loopback.status(429, {"Retry-After": "7"}), "the server answers 429; tried 5", set()),
    "429 for an hour": (loopback.status(429, {"Retry-After": "3600"}), "asks to wait 3600 s", set()),
    "500": (loopback.status(500), "the server answers 500; tried 5 times", set()),
    "corrupt": (loopback.corrupt(), "(md5); 3 copies fetched and thrown away", set()),
    "corrupt, no hash": (loopback.corrupt("absent"), "; 3 copies fetched and thrown away", set()),
    "a page": (loopback.page(), "text/html came in the place of the file; tried 5", set()),
    "no connection": (loopback.drop(), "no connection; tried 5 times", set()),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_lasts_ends_in_a_line_and_the_next_run_gets_over_it(remote, bring, lungs, name):
    fault, line, kept = LASTING[name]
    remote.fail("blob", fault, times=None)
    assert line in refused(bring)
    assert not left() & GOOD and (kept is None or left() == kept)
    remote.heal()
    assert content(bring()) == lungs
    assert left() == GOOD


def test_a_header_that_is_no_number_is_no_traceback(remote, bring, waits):
    remote.fail("blob", loopback.status(429, {"Retry-After": "\u00b2"}))
    bring()
    assert waits == [0.5]


def test_waits_grow_and_a_server_that_names_one_is_obeyed(remote, bring, waits):
    remote.fail("blob", loopback.status(503), times=2)
    remote.fail("blob", loopback.status(429, {"Retry-After": "7"}))
    remote.fail("blob", loopback.drop())
    bring()
    assert waits == [0.5, 1, 7, 4]


def test_a_cut_download_goes_on_where_it_stopped(remote, bring, lungs):
    for after in (4_000, 5_000, 6_000):
        remote.fail("blob", loopback.cut(after))
    assert content(bring()) == lungs
    blobs = [request for request in remote.requests if request.kind == "blob"]
    assert [request.range for request in blobs] == [None, "bytes=4000-", "bytes=9000-", "bytes=15000-"]
    assert remote.sent_bytes() == blobs[0].sent + sum(request.sent for request in blobs[1:])
    assert remote.sent_bytes() == Path(remote.objects[blobs[0].path].source).stat().st_size


def test_a_part_goes_on_by_its_date_where_a_later_answer_has_no_etag(remote, bring, lungs, monkeypatch):
    whole = loopback.Handler.head

    def head(handler, code, headers):
        whole(handler, code, {k: v for k, v in headers.items() if code != 206 or k != "ETag"})

    monkeypatch.setattr(loopback.Handler, "head", head)
    remote.fail("blob", loopback.cut(4_000))
    assert content(bring()) == lungs
    assert [request.range for request in remote.requests if request.kind == "blob"] == [None, "bytes=4000-"]


@pytest.mark.parametrize("fault", [loopback.ignore_range(), loopback.wrong_range(), loopback.wrong_range(-1)])
def test_a_range_that_is_not_what_was_asked_for_is_not_appended(remote, bring, lungs, fault):
    remote.fail("blob", loopback.cut(20_000))
    remote.fail("blob", fault)
    assert content(bring()) == lungs


def test_a_file_that_changes_in_mid_download_is_fetched_from_its_beginning(remote, served, bring, tmp_path):
    other = tmp_path / "other.zip"
    with ZipFile(other, "w") as packed:
        packed.writestr("Normal cases/new.txt", b"new" * 50_000)
    remote.fail("blob", loopback.changed(other, after=20_000))
    found = content(bring())
    assert set(found.values()) == {b"new" * 50_000}


def test_an_archive_that_was_damaged_is_thrown_away_and_fetched_again(remote, bring, lungs, capsys):
    bring()
    path = paths.ARCHIVES / ARCHIVE
    status, whole = path.stat(), path.read_bytes()
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert content(bring()) == lungs
    assert "damaged since it was fetched; thrown away" in capsys.readouterr().out


def test_a_file_that_was_fetched_and_not_checked_is_checked(remote, bring, lungs):
    bring()
    (paths.ARCHIVES / f"{ARCHIVE}.json").unlink()
    seen = len(remote.requests)
    assert content(bring()) == lungs
    assert len(remote.requests) == seen and left() == GOOD


def test_a_receipt_does_not_vouch_for_a_later_file(remote, bring, lungs, monkeypatch):
    bring()
    (paths.ARCHIVES / ARCHIVE).unlink()
    remote.fail("blob", loopback.corrupt("absent"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store.archive, "inspect", interrupt)
        bring()
    assert f"{ARCHIVE}.json" not in left()
    assert content(bring()) == lungs


def interrupt(path):
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", loopback.HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(remote, bring, home, kind):
    evil = loopback.hostile(home / "evil" / f"{kind}.zip", kind)
    remote.objects[BLOB] = loopback.Content(evil)
    line = refused(bring)
    assert "refused" in line or "thrown away" in line
    assert left() == set() and not paths.raw("lungs").exists()
    assert [path for path in home.iterdir() if path.is_file()] == []


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(remote, bring):
    remote.fail("blob", loopback.wrong_length(10**15))
    line = refused(bring)
    assert "1,000,000.0 GB to fetch" in line
    assert remote.sent_bytes() < 10**7 and not left() & GOOD
