import base64
import io
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import tiny
from PIL import Image

pytest.importorskip("starlette")
httpx2 = pytest.importorskip("httpx2")

import anyio  # noqa: E402
import web  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402
from starlette.requests import Request  # noqa: E402

import oncovec  # noqa: E402
from oncovec.core import paths, tables  # noqa: E402
from oncovec.core.files import read_json, rounded, write_json  # noqa: E402
from oncovec.serving import cli  # noqa: E402
from oncovec.serving.web import command  # noqa: E402
from oncovec.serving.web.answers import Served  # noqa: E402
from oncovec.serving.web.limits import HEADERS, Guard, Limits, Queue, is_loopback  # noqa: E402


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return tiny.trained(tmp_path_factory)


@pytest.fixture(scope="module")
def systems(checkout):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout)
        yield [oncovec.load(name) for name in ("nearest", "head")]


@pytest.fixture(scope="module")
def url(systems):
    with web.running(systems) as address:
        yield address


@pytest.fixture(scope="module")
def client(url):
    with httpx2.Client(base_url=url, timeout=60) as client:
        yield client


def png(seed=0, size=20):
    stream = io.BytesIO()
    pixels, _ = tiny.squares(1 + seed % 2, size, seed)
    Image.fromarray(pixels[-1]).save(stream, "PNG")
    return stream.getvalue()


def asked(client, content, system="nearest", **options):
    return client.post("/api/predict", params={"system": system} | options, content=content)


def reason(response, status):
    """The one line of a refusal."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert "\n" not in response.json()["error"] and "Traceback" not in response.text
    return response.json()["error"]


def expected(system, content):
    """What the library predicts for an image, as JSON has it."""
    (found,) = system.predict(Image.open(io.BytesIO(content)))
    near = [{"image": image, "label": label, "distance": far} for image, label, far in found.neighbours]
    names = ("predicted", "probability", "probabilities", "prediction_set", "ood")
    values = {name: getattr(found, name) for name in names}
    return rounded({"path": ""} | values | {"neighbours": near})


@pytest.mark.parametrize("number", [0, 1])
def test_an_answer_is_what_the_library_predicts(systems, client, number):
    system = systems[number]
    for seed in range(4):
        response = asked(client, png(seed), system.name)
        assert response.status_code == 200
        assert response.json() == [expected(system, png(seed))]


def test_an_answer_is_what_the_command_prints(client, checkout, tmp_path, monkeypatch, capsys):
    file = tmp_path / "a.png"
    file.write_bytes(png(3))
    monkeypatch.chdir(checkout)
    with pytest.raises(SystemExit):
        cli.main(["predict", "--system", "nearest", "--format", "json", str(file)])
    printed = capsys.readouterr().out.replace(str(file), "")
    assert asked(client, png(3)).json() == httpx2.Response(200, text=printed).json()


def test_of_many_requests_at_once_each_is_answered_rightly_or_refused_by_the_limit(systems):
    limits = Limits(workers=2, waiting=16)
    right = {seed: [expected(systems[0], png(seed))] for seed in range(50)}
    with web.running(systems, limits) as url, httpx2.Client(base_url=url, timeout=60) as client:
        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(lambda seed: asked(client, png(seed)), right))
        assert asked(client, png(0)).json() == right[0]
    statuses = Counter(response.status_code for response in found)
    assert set(statuses) <= {200, 503} and statuses[200] >= 18
    for seed, response in enumerate(found):
        if response.status_code == 200:
            assert response.json() == right[seed]
        else:
            assert "too many" in reason(response, 503) and int(response.headers["retry-after"]) > 0


def begun(url, system="nearest", length=100):
    """A connection that has sent the head of a request, and a part of its body."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    head = f"POST /api/predict?system={system} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + b"abc")
    return connection


def test_beyond_the_queue_a_request_is_refused_before_its_body_is_read(systems):
    with web.running(systems, Limits(workers=1, waiting=1)) as url:
        waiting = [begun(url), begun(url)]
        with httpx2.Client(base_url=url, timeout=30) as client:
            while (response := asked(client, png())).status_code == 200:
                time.sleep(0.01)
            assert "too many" in reason(response, 503)
            for connection in waiting:
                connection.close()
            while (response := asked(client, png())).status_code == 503:
                time.sleep(0.01)
            assert response.status_code == 200


def test_a_slow_upload_is_ended(systems):
    with web.running(systems, Limits(upload_seconds=0.2)) as url, begun(url) as connection:
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408") and b"longer than 0.2 s" in answer


@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_of_1_gb_is_refused_before_it_is_read(client, announced):
    size, sent = 1000 * 2**20, 0

    def chunks():
        nonlocal sent
        while sent < size:
            sent += 2**20
            yield bytes(2**20)

    headers = {"content-length": str(size)} if announced else {}
    response = client.post("/api/predict?system=nearest", content=chunks(), headers=headers)
    assert "32 MiB" in reason(response, 413)
    # The limit, what is dropped, and what the kernel's buffers hold.
    assert sent < 100 * 2**20


def bomb(side):
    """A PNG of a few KB that unpacks to side x side pixels."""
    row = zlib.compressobj(9)
    data = b"".join(row.compress(bytes(1 + side * 3)) for _ in range(64)) + row.flush()

    def chunk(kind, content):
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    head = side.to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BAD = {
    "nothing": (b"", "empty file"),
    "text": (b"this is a text file\n" * 9, "not an image"),
    "web page": (b"<html></html>", "web page"),
    "truncated": (png(size=64)[:2000], "truncated"),
    "bomb": (bomb(30000), "decompression bomb"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_gets_one_line(client, name):
    content, told = BAD[name]
    assert told in reason(asked(client, content), 422)


def test_a_form_is_told_to_send_the_file_itself(client):
    response = client.post("/api/predict?system=nearest", files={"file": ("scan.png", png())})
    assert "--data-binary" in reason(response, 415)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_is_refused(client, headers):
    response = client.post("/api/predict?system=nearest", content=png(), headers=headers)
    assert "another site" in reason(response, 403)
    assert "another site" in reason(client.get("/api/systems", headers=headers), 403)


def test_the_page_s_own_origin_is_answered(client, url):
    headers = {"origin": url, "sec-fetch-site": "same-origin"}
    assert client.post("/api/predict?system=nearest", content=png(), headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_name_of_another_site_is_refused(client, host):
    assert "no name" in reason(client.get("/", headers={"host": host}), 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "[::1]:8000"])
def test_the_machine_s_own_names_are_answered(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("listens", "host", "own"),
    [
        ("0.0.0.0", "192.0.2.7:8000", True),
        ("0.0.0.0", "[2001:db8::1]:8000", True),
        ("0.0.0.0", "evil.example", False),
        ("lab.example", "lab.example:8000", True),
        ("127.0.0.1", "192.0.2.7", False),
        ("::1", "192.0.2.7", False),
    ],
)
def test_on_other_addresses_an_address_is_a_name_of_the_server_but_not_any_name(listens, host, own):
    assert Guard(None, listens).is_own(host) is own


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("lab.example", False)],
)
def test_a_loopback_address_is_known_as_such(host, own):
    assert is_loopback(host) is own


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused(client, method):
    response = client.request(method, "/api/predict?system=nearest")
    reason(response, 405)
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("name", ["", "nobody", "../nearest"])
def test_an_unknown_system_is_refused_and_the_known_ones_are_named(client, name):
    assert "nearest, head" in reason(asked(client, png(), name), 404)


def test_one_system_needs_no_name(systems):
    with web.running(systems[:1]) as url:
        response = httpx2.post(f"{url}/api/predict", content=png())
    assert response.json() == [expected(systems[0], png())]


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/systems", "/nowhere", "/api/training-image"])
def test_every_response_has_the_security_headers(client, path):
    response = client.get(path)
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert "unsafe" not in response.headers["content-security-policy"]
    assert "server" not in response.headers


def test_no_file_outside_the_page_s_own_is_served(client):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fcli.py", "/params.yaml"):
        assert client.get(path).status_code == 404


def test_a_failure_of_the_server_shows_no_trace(systems, monkeypatch):
    def fail(*_):
        raise RuntimeError("a secret path")

    with web.running(systems) as url:
        monkeypatch.setattr(Served, "answer", fail)
        response = httpx2.post(f"{url}/api/predict?system=nearest", content=png())
    assert "secret" not in reason(response, 500)


def test_an_upload_leaves_no_file_and_no_line_in_the_log(client, caplog, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with caplog.at_level(logging.DEBUG):
        asked(client, png(5), pictures="true")
        asked(client, b"no image")
    assert list(tmp_path.iterdir()) == []
    assert not [each for each in caplog.records if each.name.startswith(("uvicorn", "oncovec"))]


@pytest.mark.parametrize("number", [0, 1])
def test_pictures_show_what_the_system_sees_and_where_it_looked(systems, client, number, monkeypatch):
    system = systems[number]
    (found,) = asked(client, png(1), system.name, pictures="true").json()
    plain = {key: found[key] for key in expected(system, png(1))}
    assert plain == expected(system, png(1))
    seen = picture(found["seen"])
    assert seen.shape == (tiny.SIZE, tiny.SIZE, 3)
    if found["ood"]:
        assert found["heat_map"] is None
    else:
        (heat,) = system.heat_maps(seen[None], [found["predicted"]])
        assert np.array_equal(picture(found["heat_map"])[..., 3], np.rint(heat * 255 * 0.75))


def picture(url):
    encoded = re.fullmatch(r"data:image/png;base64,(.+)", url)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def test_no_class_of_an_image_out_of_distribution_is_explained(systems, client):
    far = next(
        png for png in map(noise, range(50)) if expected(systems[0], png)["ood"]
    )  # noise is unlike squares
    (found,) = asked(client, far, pictures="true").json()
    assert found["ood"] and found["predicted"] == "" and found["heat_map"] is None


def noise(seed):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(
        stream, "PNG"
    )
    return stream.getvalue()


def test_neighbours_are_shown_as_prepared_and_no_other_image_is(checkout, systems, client):
    (found,) = asked(client, png()).json()
    name = found["neighbours"][0]["image"]
    response = client.get("/api/training-image", params={"system": "nearest", "image": name})
    assert response.headers["content-type"] == "image/png"
    row = tables.read(checkout / paths.index("squares"))["image"].tolist().index(name)
    stored = np.load(checkout / paths.images("squares"))[row]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(response.content))), stored)
    known = set(systems[0].gallery.images.tolist())
    other = next(
        image for image in tables.read(checkout / paths.index("squares"))["image"] if image not in known
    )
    for image in (other, "params.yaml", f"../squares/{name}", ""):
        reason(client.get("/api/training-image", params={"system": "nearest", "image": image}), 404)


def test_without_prepared_images_there_are_no_thumbnails(checkout, tmp_path, monkeypatch):
    folder = tiny.copied(checkout, tmp_path)
    monkeypatch.chdir(folder)
    system = oncovec.load("nearest")
    assert Served(system).facts()["thumbnails"] is True
    facts = read_json(paths.prepared_facts("squares"))
    write_json(paths.prepared_facts("squares"), facts | {"resize": "squash"})
    assert Served(system).facts()["thumbnails"] is False
    paths.images("squares").unlink()
    assert Served(system).facts()["thumbnails"] is False


def test_the_page_is_told_what_is_known_of_each_system(client):
    content = client.get("/api/systems").json()
    assert [each["name"] for each in content["systems"]] == ["nearest", "head"]
    assert content["upload_bytes"] == 32 * 2**20
    first = content["systems"][0]
    assert first["classes"] == list(tiny.CLASSES) and first["phantom"] is False
    assert first["known"] == ["nearest has not been tried on images of another collection"]


def started(checkout, *arguments):
    """The command, when it has said at which address it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "oncovec.serving.cli", "serve", "--port", "0", *arguments],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(tiny.ROOT / "src"), "ONCOVEC_RESTARTED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    return process, re.search(r"(http://\S+)", line)[1], line


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_cleanly_and_serves_all_trained_systems_by_default(checkout, stop):
    process, address, line = started(checkout)
    try:
        assert line.startswith("head, nearest: http://127.0.0.1:")
        assert httpx2.post(f"{address}/api/predict?system=head", content=png(), timeout=60).status_code == 200
        idle = begun(address)
        process.send_signal(stop)
        out, err = process.communicate(timeout=60)
        idle.close()
    finally:
        process.kill()
    assert "Traceback" not in err
    if stop == signal.SIGINT:
        assert (process.returncode, out) == (0, "stopped\n")


def test_an_upload_that_begins_while_the_server_stops_is_refused_before_it_is_read():
    queue = Queue(Limits())
    queue.stop()

    async def receive():
        raise AssertionError("read")

    with pytest.raises(HTTPException, match="the server was stopped") as refusal:
        anyio.run(queue.upload, Request({"type": "http", "headers": []}, receive))
    assert refusal.value.status_code == 503


def call(checkout, monkeypatch, capsys, *arguments):
    """The error line of the command, before any server starts."""
    monkeypatch.chdir(checkout)
    with pytest.raises(SystemExit) as stop:
        cli.main(["serve", *arguments])
    return capsys.readouterr().err, str(stop.value.code)


def test_a_port_in_use_is_one_line(checkout, url, monkeypatch, capsys):
    port = url.rpartition(":")[2]
    _, line = call(checkout, monkeypatch, capsys, "--system", "nearest", "--port", port)
    assert (
        line
        == f"oncovec: serve: cannot listen on 127.0.0.1, port {port} (Address already in use); give another"
    )


def test_another_address_than_this_machine_s_gets_a_warning(checkout, monkeypatch, capsys):
    warning, line = call(checkout, monkeypatch, capsys, "--system", "nearest", "--host", "192.0.2.1")
    assert "everybody in this network can use it" in warning and "cannot listen" in line


def test_two_systems_of_one_name_are_refused(checkout, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", "--system", "nearest", "-o", str(tmp_path / "nearest.oncovec")])
    assert not stop.value.code
    both = ["--system", "nearest", "--system", str(tmp_path / "nearest.oncovec")]
    _, line = call(checkout, monkeypatch, capsys, *both)
    assert "two systems of the same name" in line


def test_an_exported_system_is_served_without_its_checkout(checkout, systems, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout)
    with pytest.raises(SystemExit):
        cli.main(["export", "--system", "nearest", "-o", str(tmp_path / "nearest.oncovec"), "--names"])
    monkeypatch.chdir(tmp_path)
    with web.running([oncovec.load("nearest.oncovec")]) as url:
        content = httpx2.get(f"{url}/api/systems").json()
        found = httpx2.post(f"{url}/api/predict", content=png()).json()
    assert content["systems"][0]["thumbnails"] is False
    assert found == [expected(systems[0], png())]


def test_without_its_packages_the_command_names_them(checkout, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "uvicorn" else find_spec(name))
    _, line = call(checkout, monkeypatch, capsys, "--system", "nearest")
    assert line == "oncovec: serve: needs uvicorn; run pip install 'oncovec[serve]'"


def test_without_a_trained_system_there_is_one_line(tmp_path, monkeypatch, capsys):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    _, line = call(tmp_path, monkeypatch, capsys)
    assert "no trained system" in line
