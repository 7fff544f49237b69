"""The loopback server: the real client downloads from it, and its faults and zips are what they say."""

import base64
import hashlib
import importlib.util
import os
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from urllib.parse import urlsplit
from zipfile import BadZipFile, ZipFile

import loopback
import pytest
import requests

CONTENT = bytes(range(256)) * 8000
"""About 2 MB, since the real client keeps whole MiB only of a body that is cut."""

CLIENT = """
import sys
from kagglesdk import kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = sys.argv[1]
from kaggle.api.kaggle_api_extended import KaggleApi
api = KaggleApi()
api.authenticate()
for version in sys.argv[3:]:
    api.dataset_download_files(f"owner/slug/{version}", sys.argv[2])
if not sys.argv[3:]:
    api.dataset_download_files("owner/slug/1", sys.argv[2])
    api.competition_download_files("contest", sys.argv[2])
"""


@pytest.fixture
def server():
    """A server with one object of each kind."""
    with loopback.Server(
        "secret",
        kaggle={("owner", "slug", 1): CONTENT, ("owner", "slug", 2): b"newer"},
        competitions={"contest": CONTENT[:99_999], "closed": b""},
        isic={"FILE.csv": b"a,b\n"},
        unaccepted=["closed"],
    ) as running:
        yield running


def resolve(server, owner="owner", slug="slug", version=1, token="secret", **options):
    """Ask for a dataset as the client does."""
    asked = {"ownerSlug": owner, "datasetSlug": slug, "datasetVersionNumber": version}
    headers = {"Authorization": f"Bearer {token}"}
    return requests.post(server.url + loopback.DATASET, json=asked, headers=headers, timeout=5, **options)


def blob(server):
    """Address of the dataset's zip."""
    return resolve(server, allow_redirects=False).headers["Location"]


def get(url, start=None, **headers):
    """An object, or its bytes from `start`."""
    if start is not None:
        headers["Range"] = f"bytes={start}-"
    return requests.get(url, headers=headers, timeout=5)


def received(url, **headers):
    """Bytes that arrive before the connection ends too early."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=5)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        with pytest.raises(IncompleteRead) as caught:
            connection.getresponse().read()
    return caught.value.partial


def download(server, folder, *versions, code=0, patience=None):
    """Run the real client in a home of its own; True unless it ran past its patience."""
    if importlib.util.find_spec("kaggle") is None:
        pytest.skip("kaggle is not installed")
    folder.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "KAGGLE_API_TOKEN": "secret",
        "NO_PROXY": "*",
    }
    command = [sys.executable, "-c", CLIENT, server.url, str(folder), *map(str, versions)]
    options = {"env": environment, "cwd": folder, "capture_output": True, "text": True, "timeout": patience}
    try:
        done = subprocess.run(command, check=False, **options)
    except subprocess.TimeoutExpired:
        return False
    assert done.returncode == code, done.stderr
    return True


def test_the_real_client_downloads_the_same_bytes(server, tmp_path):
    server.fail("blob", loopback.cut(1_500_000), path="owner/slug")
    download(server, tmp_path / "home")
    assert (tmp_path / "home" / "slug.zip").read_bytes() == CONTENT
    assert (tmp_path / "home" / "contest.zip").read_bytes() == CONTENT[:99_999]
    resolved = [each for each in server.requests if each.kind == "resolve"]
    assert [each.name for each in resolved] == ["owner/slug/1", "contest"]
    assert all(each.authorization and each.status == 302 for each in resolved)
    first, second, third = (each for each in server.requests if each.kind == "blob")
    assert (first.range, second.range, third.range) == (None, "bytes=1048576-", None)
    assert (first.sent, second.sent, third.sent) == (1_500_000, len(CONTENT) - (1 << 20), 99_999)
    assert not (first.authorization or second.authorization or third.authorization)


# What the client lacks, and `oncovec.data.download` therefore does itself. If one of these tests fails, the
# client has learned it, and code of ours can go.


@pytest.mark.slow
def test_the_real_client_takes_a_damaged_archive_for_a_good_one(server, tmp_path):
    server.fail("blob", loopback.corrupt(), path="owner/slug")
    download(server, tmp_path, 1)
    damaged = (tmp_path / "slug.zip").read_bytes()
    assert len(damaged) == len(CONTENT) and damaged != CONTENT
    download(server, tmp_path, 1)
    assert (tmp_path / "slug.zip").read_bytes() == damaged


@pytest.mark.slow
def test_the_real_client_keeps_another_version_of_the_same_size(tmp_path):
    versions = {("owner", "slug", 1): CONTENT, ("owner", "slug", 2): CONTENT[::-1]}
    with loopback.Server("secret", kaggle=versions) as server:
        download(server, tmp_path, 2, 1)
    assert (tmp_path / "slug.zip").read_bytes() == CONTENT[::-1]


@pytest.mark.slow
def test_the_real_client_gives_up_at_the_first_refusal_of_a_busy_server(server, tmp_path):
    server.fail("resolve", loopback.status(503, {"Retry-After": "0"}))
    download(server, tmp_path, 1, code=1)
    assert [each.status for each in server.requests if each.kind == "resolve"] == [503]


@pytest.mark.slow
def test_the_real_client_waits_without_limit_for_a_server_that_is_silent(server, tmp_path):
    server.fail("blob", loopback.slow_body(1000), path="owner/slug")
    assert not download(server, tmp_path, 1, patience=40)


def test_a_token_is_looked_up(server):
    def ask(token):
        return requests.post(server.url + loopback.INTROSPECT, json={"token": token}, timeout=5).json()

    assert ask("secret") == {"active": True, "username": "tester"}
    assert ask("other") == {"active": False}


def test_a_download_without_the_token_is_refused(server):
    assert resolve(server, token="other").json()["code"] == 401
    url = blob(server)
    assert get(url.partition("?")[0]).status_code == 403
    basic = requests.post(
        server.url + loopback.COMPETITION,
        json={"competitionName": "contest"},
        auth=("tester", "secret"),
        timeout=5,
    )
    assert basic.content == CONTENT[:99_999]


def test_what_is_not_there_is_refused(server):
    assert resolve(server, version=3).json()["code"] == 404
    assert resolve(server, owner="nobody").status_code == 404
    assert resolve(server, version=None).content == b"newer"
    closed = requests.post(
        server.url + loopback.COMPETITION,
        json={"competitionName": "closed"},
        auth=("tester", "secret"),
        timeout=5,
    )
    assert closed.status_code == closed.json()["code"] == 403
    missing = get(server.isic_url + "/OTHER.csv")
    assert (missing.status_code, missing.headers["Content-Type"]) == (404, "application/xml")


def test_a_blob_says_what_it_is(server):
    answer = get(blob(server))
    assert answer.content == CONTENT
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    md5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
    assert f"md5={md5}" in answer.headers["x-goog-hash"].split(",")
    file = get(server.isic_url + "/FILE.csv")
    assert file.content == b"a,b\n"
    assert file.headers["ETag"]
    assert "x-goog-hash" not in file.headers
    assert requests.head(server.isic_url + "/FILE.csv", timeout=5).headers["Content-Length"] == "4"
    assert server.sent_bytes() == len(CONTENT) + 4


def test_ranges(server):
    url = blob(server)
    tag = get(url).headers["ETag"]
    part = get(url, 1000)
    assert (part.status_code, part.content) == (206, CONTENT[1000:])
    assert part.headers["Content-Range"] == f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert get(url, Range="bytes=5-9").content == CONTENT[5:10]
    assert get(url, Range="bytes=-9").content == CONTENT[-9:]
    assert get(url, 1000, **{"If-Range": tag}).status_code == 206
    assert get(url, 1000, **{"If-Range": '"other"'}).content == CONTENT
    past = get(url, len(CONTENT))
    assert (past.status_code, past.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


def test_errors_come_in_the_order_they_were_asked_for(server):
    server.fail("resolve", loopback.status(429, {"Retry-After": "1"}), path="owner/slug")
    server.fail("any", loopback.status(503))
    server.fail("resolve", loopback.page())
    limited = resolve(server)
    assert (limited.status_code, limited.headers["Retry-After"], limited.json()["code"]) == (429, "1", 429)
    assert resolve(server).status_code == 503
    assert resolve(server).content == loopback.PAGE
    assert resolve(server).content == CONTENT


def test_a_fault_lasts_as_long_as_asked(server):
    server.fail("blob", loopback.status(500), times=None)
    url = blob(server)
    assert [get(url).status_code for _ in range(3)] == [500, 500, 500]
    server.heal()
    assert get(url).status_code == 200


def test_a_cut_body_ends_early(server):
    url = blob(server)
    server.fail("blob", loopback.cut(70_000))
    assert received(url) == CONTENT[:70_000]
    server.fail("blob", loopback.cut(10))
    assert received(url, Range="bytes=5-") == CONTENT[5:15]
    assert server.sent_bytes() == 70_010


def test_a_wrong_length(server):
    url = blob(server)
    server.fail("blob", loopback.wrong_length(7))
    assert received(url) == CONTENT
    server.fail("blob", loopback.wrong_length(-7))
    assert get(url).content == CONTENT[:-7]


def test_a_changed_object_has_another_tag(server):
    url = blob(server)
    tag = get(url, 0).headers["ETag"]
    server.fail("blob", loopback.changed(b"changed content", after=1000))
    assert received(url) == CONTENT[:1000]
    resumed = get(url, 1000, **{"If-Range": tag})
    assert (resumed.status_code, resumed.content) == (200, b"changed content")
    assert resumed.headers["ETag"] != tag
    assert get(url, 1000).status_code == 416


def test_a_corrupt_object_has_the_right_size(server):
    url = blob(server)
    true = get(url)
    for told, same in (("true", True), ("sent", False), ("absent", False)):
        server.fail("blob", loopback.corrupt(told))
        answer = get(url)
        wrong = [at for at, pair in enumerate(zip(answer.content, CONTENT, strict=True)) if len({*pair}) > 1]
        assert wrong == list(range(len(CONTENT) // 2, len(CONTENT) // 2 + 16))
        assert answer.headers["ETag"] == true.headers["ETag"]
        assert (answer.headers.get("x-goog-hash") == true.headers["x-goog-hash"]) is same
        assert ("x-goog-hash" in answer.headers) is (told != "absent")


def test_ranges_that_are_not_what_was_asked_for(server):
    url = blob(server)
    server.fail("blob", loopback.ignore_range())
    server.fail("blob", loopback.wrong_range(100))
    assert get(url).status_code == 200
    whole, other = get(url, 1000), get(url, 1000)
    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert other.headers["Content-Range"].startswith("bytes 1100-")
    assert (other.status_code, other.content) == (206, CONTENT[1100:])


def test_no_answer(server):
    server.fail("resolve", loopback.drop())
    with pytest.raises(requests.exceptions.ConnectionError):
        resolve(server)
    assert resolve(server).content == CONTENT
    assert server.requests[0].status is None


def test_slow_answers(server):
    url = blob(server)
    for fault in (loopback.slow(0.2), loopback.slow_body(100, 0.2), loopback.throttle(len(CONTENT) * 5)):
        server.fail("blob", fault)
        began = time.monotonic()
        assert get(url).content == CONTENT
        assert 0.15 < time.monotonic() - began < 3


@pytest.mark.parametrize("fault", [loopback.slow(), loopback.slow_body(100), loopback.throttle(1000)])
def test_a_server_stops_whatever_it_is_doing(fault):
    with loopback.Server(isic={"FILE": CONTENT}) as server, socket.socket() as client:
        server.fail("any", fault)
        client.settimeout(5)
        client.connect(("127.0.0.1", server.http.server_port))
        client.sendall(b"GET /2020/FILE HTTP/1.1\r\n\r\n")
        while not server.requests:
            time.sleep(0.01)
        began = time.monotonic()
        server.stop()
        while client.recv(1 << 16):
            pass
        assert time.monotonic() - began < 1


def test_a_file_is_served_like_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with loopback.Server(isic={"FILE": path}) as server:
        server.fail("blob", loopback.corrupt(), times=2)
        url = server.isic_url + "/FILE"
        start = len(CONTENT) // 2 + 4
        whole, part = get(url), get(url, start)
        assert whole.content[start:] == part.content != CONTENT[start:]
        assert get(url).content == CONTENT


def test_the_published_layout(tmp_path):
    root = tmp_path / "data"
    names = {
        "multi_organ/owner/slug/Some Folder/b.png",
        "multi_organ/owner/slug/a.png",
        "multi_cancer/owner/other/Other/c.jpg",
        "multi_cancer/table.csv",
        "pcam/contest/train/d.tif",
        "isic2020/train/e.jpg",
        "isic2020/Truth.csv",
    }
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    one, two = (loopback.published(root, tmp_path / each) for each in ("one", "two"))
    assert list(one["kaggle"]) == [("owner", "slug", 1), ("owner", "other", 1)]
    assert members(one["kaggle"]["owner", "slug", 1]) == ["Some Folder/b.png", "a.png"]
    assert members(one["kaggle"]["owner", "other", 1]) == ["Other/c.jpg"]
    assert members(one["competitions"]["contest"]) == ["train/d.tif"]
    assert members(one["isic"]["ISIC_2020_Training_JPEG.zip"]) == ["train/e.jpg"]
    assert one["isic"]["Truth.csv"] == root / "isic2020/Truth.csv"
    for key, path in one["kaggle"].items():
        assert path.read_bytes() == two["kaggle"][key].read_bytes()


def members(path: Path) -> list[str]:
    """Names in a zip."""
    with ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


@pytest.mark.parametrize("kind", loopback.HOSTILE)
def test_hostile_zips(kind, tmp_path):
    with ZipFile(loopback.hostile(tmp_path / "hostile.zip", kind)) as archive:
        assert archive.read("fine.txt") == b"fine"
        first, last = archive.infolist()[1], archive.infolist()[-1]
        names = {"parent": "../evil.txt", "absolute": "/tmp/evil", "backslash": "..\\evil.txt"}
        assert first.filename == names.get(kind, first.filename)
        if kind == "symlink":
            assert stat.S_ISLNK(first.external_attr >> 16)
        if kind == "device":
            assert stat.S_ISCHR(first.external_attr >> 16)
        if kind == "duplicate":
            assert first.filename == last.filename
        if kind == "encrypted":
            assert first.flag_bits & 1
            with pytest.raises(RuntimeError):
                archive.read(first)
        if kind == "bomb":
            assert first.file_size == 30_000_000 > 500 * first.compress_size
        if kind == "lying":
            assert first.file_size == 10
            with pytest.raises(BadZipFile):
                archive.read(first)
        if kind == "overlap":
            assert first.header_offset < last.header_offset < first.header_offset + first.compress_size
            assert last.filename == "inner.txt"
