"""A loopback server that speaks as Kaggle and the ISIC bucket do, faults on demand, and zips to serve."""

import base64
import contextlib
import hashlib
import json
import re
import secrets
import shutil
import socket
import stat
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo
from zlib import crc32

INTROSPECT = "/v1/security.OAuthService/IntrospectToken"
DATASET = "/v1/datasets.DatasetApiService/DownloadDataset"
COMPETITION = "/v1/competitions.CompetitionApiService/DownloadDataFiles"
KINDS = {INTROSPECT: "introspect", DATASET: "resolve", COMPETITION: "resolve"}

ISIC = "/2020/"
PAGE = b"<!DOCTYPE html>\n<html><body><h1>Sorry, we are down for maintenance</h1></body></html>\n"
CHUNK = 1 << 16


class HangUpError(ConnectionError):
    """The server ends the connection in the middle of things."""


@dataclass(frozen=True)
class Content:
    """An object of a bucket; a file is read by chunks, its hash is computed once."""

    source: bytes | Path
    flipped: range = range(0)
    modified: str = "Wed, 01 Jan 2020 00:00:00 GMT"

    @cached_property
    def size(self) -> int:
        """Bytes of it."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @cached_property
    def md5(self) -> bytes:
        """Digest of all bytes."""
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self.chunks(0, self.size, 1 << 20):
            digest.update(chunk)
        return digest.digest()

    def corrupted(self) -> "Content":
        """The same with up to 16 bytes in its middle flipped."""
        middle = self.size // 2
        return Content(self.source, range(middle, min(middle + 16, self.size)), self.modified)

    def chunks(self, start: int, stop: int, step: int) -> Iterator[bytes]:
        """Bytes from `start` to `stop`, `step` at a time."""
        if isinstance(self.source, bytes):
            for at in range(start, stop, step):
                yield self.flip(at, self.source[at : min(at + step, stop)])
            return
        with self.source.open("rb") as file:
            file.seek(start)
            for at in range(start, stop, step):
                yield self.flip(at, file.read(min(step, stop - at)))

    def flip(self, start: int, chunk: bytes) -> bytes:
        """The chunk at `start` as this content has it."""
        changed = [at - start for at in self.flipped if 0 <= at - start < len(chunk)]
        if not changed:
            return chunk
        copy = bytearray(chunk)
        for at in changed:
            copy[at] ^= 0xFF
        return bytes(copy)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with an answer; fields combine, the functions below name the usual ones.

    Attributes:
        wait: seconds before the first byte; None waits until the server stops.
        drop: close without an answer.
        status: answer with this status in place of the true one.
        headers: of that answer.
        body: of that answer; None for the kind of error text that the true server sends.
        type: content type of that body.
        after: close after this many bytes of the body.
        announce: added to the true Content-Length.
        stall_at: pause after this many bytes of the body.
        stall: seconds of the pause; None waits until the server stops.
        rate: bytes a second of the body.
        content: what the object becomes; with `after`, this answer still begins with the old bytes.
        flips: flip bytes in the middle of the content.
        hash: x-goog-hash tells of the "true" content or of the "sent" one, or is "absent".
        ignore_range: answer a Range with the whole.
        shift: a Range's answer begins this many bytes later than asked, and says so.
    """

    wait: float | None = 0
    drop: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    type: str = ""
    after: int | None = None
    announce: int = 0
    stall_at: int | None = None
    stall: float | None = None
    rate: float | None = None
    content: Content | None = None
    flips: bool = False
    hash: str = "true"
    ignore_range: bool = False
    shift: int = 0

    @property
    def of_ranges(self) -> bool:
        """Whether only a request with a Range can show it."""
        return self.ignore_range or self.shift != 0

    @property
    def of_blobs(self) -> bool:
        """Whether only an object's body can show it."""
        fields = (self.after, self.stall_at, self.rate, self.content)
        return self.of_ranges or self.flips or self.announce != 0 or any(each is not None for each in fields)


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Fault:
    """An error: `status(429, {"Retry-After": "1"})`."""
    return Fault(status=code, headers=headers or {}, body=body)


def cut(after: int) -> Fault:
    """The true headers, `after` bytes of the body, then the end of the connection."""
    return Fault(after=after)


def wrong_length(delta: int) -> Fault:
    """Content-Length too large, so that the body ends early, or too small, so that the end is missing."""
    return Fault(announce=delta)


def slow(seconds: float | None = None) -> Fault:
    """A wait before the first byte; for ever without a number."""
    return Fault(wait=seconds)


def slow_body(after: int, seconds: float | None = None) -> Fault:
    """A pause in the middle of the body; for ever without a number."""
    return Fault(stall_at=after, stall=seconds)


def throttle(rate: float) -> Fault:
    """A body at `rate` bytes a second."""
    return Fault(rate=rate)


def changed(new: bytes | Path, after: int | None = None) -> Fault:
    """Other content from now on, with another ETag; with `after`, the old one is cut there first."""
    return Fault(content=Content(new, modified="Thu, 02 Jan 2020 00:00:00 GMT"), after=after)


def corrupt(hash: str = "true") -> Fault:
    """The right size and headers around a few wrong bytes."""
    return Fault(flips=True, hash=hash)


def page(code: int = 200) -> Fault:
    """A page of HTML in the place of what was asked for."""
    return Fault(status=code, body=PAGE, type="text/html; charset=utf-8")


def ignore_range() -> Fault:
    """The whole, with status 200, to a Range."""
    return Fault(ignore_range=True)


def wrong_range(shift: int = 1) -> Fault:
    """A part that begins `shift` bytes later (earlier when negative) than asked; Content-Range says so."""
    return Fault(shift=shift)


def drop() -> Fault:
    """The end of the connection in place of an answer."""
    return Fault(drop=True)


@dataclass
class Request:
    """One request and what became of it; `status` and `sent` grow while it is answered.

    Attributes:
        kind: introspect, resolve, blob or other.
        method: GET, HEAD or POST.
        path: without the query.
        name: `owner/slug/version` or the competition, when one is resolved.
        range: the header, or None.
        authorization: whether there was such a header.
        status: of the answer; None while, or when, there was none.
        sent: bytes of the body that were written.
    """

    kind: str
    method: str
    path: str
    name: str = ""
    range: str | None = None
    authorization: bool = False
    status: int | None = None
    sent: int = 0


@dataclass
class Plan:
    """A fault that waits for its requests."""

    kind: str
    path: str
    fault: Fault
    left: float


class Server:
    """The server, as a context manager; `requests` lists what came in, oldest first."""

    def __init__(
        self, token="token", kaggle=None, competitions=None, isic=None, unaccepted=(), username="tester"
    ):
        """Serve these contents, each bytes or the path of a file.

        Args:
            token: the one that is accepted, as Bearer or as the password of Basic.
            kaggle: by (owner, slug, version).
            competitions: by name.
            isic: by file name; served under `isic_url`.
            unaccepted: competitions whose rules the user has not accepted.
            username: the owner of the token.
        """
        self.token, self.username, self.unaccepted = token, username, tuple(unaccepted)
        self.signature = secrets.token_hex(16)
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self.connections: set[socket.socket] = set()
        self.lock = threading.Lock()
        self.plans: list[Plan] = []
        self.names = {"/".join(map(str, key)): dataset_blob(*key) for key in kaggle or {}}
        self.names |= {name: competition_blob(name) for name in competitions or {}}
        self.objects = {dataset_blob(*key): Content(each) for key, each in (kaggle or {}).items()}
        self.objects |= {competition_blob(name): Content(each) for name, each in (competitions or {}).items()}
        self.objects |= {ISIC + name: Content(each) for name, each in (isic or {}).items()}

    def __enter__(self) -> "Server":
        self.http = Listener(self)
        # The default poll would make every stop last half a second.
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """End every connection and listen no more; a second time does nothing."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self.http.shutdown()
        self.http.server_close()
        with self.lock:
            for connection in self.connections:
                hang_up(connection)

    @property
    def url(self) -> str:
        """Of Kaggle's API."""
        return f"http://127.0.0.1:{self.http.server_port}"

    @property
    def blobs_url(self) -> str:
        """Of the bucket behind the API; another host, so that clients keep their token to themselves."""
        return f"http://localhost:{self.http.server_port}"

    @property
    def isic_url(self) -> str:
        """Of the folder with the ISIC files."""
        return self.url + ISIC.rstrip("/")

    def fail(self, kind: str, fault: Fault, times: int | None = 1, path: str = "") -> None:
        """Let the next `times` matching requests fail; None is for ever. Earlier orders come first.

        Args:
            kind: introspect, resolve, blob or any.
            fault: what happens.
            times: requests that it happens to.
            path: a part of the request's path or, for a resolve, of what it names.
        """
        assert kind in {"introspect", "resolve", "blob", "any"}, kind
        assert kind in {"blob", "any"} or not fault.of_blobs, f"{fault} can only happen to a blob"
        with self.lock:
            self.plans.append(Plan(kind, path, fault, float("inf") if times is None else times))

    def heal(self) -> None:
        """Forget the faults that are still to come."""
        with self.lock:
            self.plans.clear()

    def sent_bytes(self, kind: str = "blob", path: str = "") -> int:
        """Bytes of bodies that were written."""
        return sum(each.sent for each in self.requests if each.kind == kind and path in each.path)

    def note(self, request: Request) -> Fault:
        """Record a request; return what is to happen to it."""
        with self.lock:
            self.requests.append(request)
            for plan in self.plans:
                if plan.left > 0 and suits(plan, request):
                    plan.left -= 1
                    return plan.fault
        return Fault()

    def pause(self, seconds: float | None) -> None:
        """Wait, but no longer than the server lives."""
        if self.stopping.wait(seconds):
            raise HangUpError

    def versions(self, owner: str, slug: str) -> list[int]:
        """Those that a dataset has."""
        start = f"{owner}/{slug}/"
        return sorted(int(name.removeprefix(start)) for name in self.names if name.startswith(start))


def suits(plan: Plan, request: Request) -> bool:
    """Whether a planned fault is for this request."""
    return (
        plan.kind in {"any", request.kind}
        and (request.kind == "blob" or not plan.fault.of_blobs)
        and (request.range is not None or not plan.fault.of_ranges)
        and (plan.path in request.path or plan.path in request.name)
    )


def dataset_blob(owner: str, slug: str, version: int) -> str:
    """Path of a dataset's zip."""
    return f"/kaggle-data-sets/{owner}/{slug}/{version}/archive.zip"


def competition_blob(name: str) -> str:
    """Path of a competition's zip."""
    return f"/kaggle-competitions-data/{name}/archive.zip"


def hang_up(connection: socket.socket) -> None:
    """End a connection that another thread may be using."""
    with contextlib.suppress(OSError):  # it may have ended already
        connection.shutdown(socket.SHUT_RDWR)


class Listener(ThreadingHTTPServer):
    """The socket of a `Server`, one thread a connection."""

    daemon_threads = True

    def __init__(self, loopback: Server):
        self.loopback = loopback
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is no news; anything else is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def setup(self) -> None:
        """Let the server know of the connection."""
        super().setup()
        self.loopback = self.server.loopback
        with self.loopback.lock:
            self.loopback.connections.add(self.connection)

    def finish(self) -> None:
        """The reverse."""
        with self.loopback.lock:
            self.loopback.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """An object."""
        self.path_, self.query = unquote(urlsplit(self.path).path), parse_qs(urlsplit(self.path).query)
        self.answer("blob", {}, self.blob)

    def do_HEAD(self) -> None:
        """The headers of an object."""
        self.do_GET()

    def do_POST(self) -> None:
        """A call of Kaggle's API."""
        self.path_ = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            asked = json.loads(body)
        except ValueError:
            asked = {}
        self.answer(KINDS.get(self.path_, "other"), asked, self.call)

    def answer(self, kind: str, asked: dict, method) -> None:
        """Record the request, let its fault happen, and otherwise answer it by `method`."""
        self.asked = asked
        self.record = Request(
            kind,
            self.command,
            self.path_,
            name=self.named(),
            range=self.headers.get("Range"),
            authorization="Authorization" in self.headers,
        )
        self.fault = fault = self.loopback.note(self.record)
        try:
            if fault.wait != 0:
                self.loopback.pause(fault.wait)
            if fault.drop:
                raise HangUpError
            if fault.status is None:
                method()
            elif fault.body is None:
                self.error(fault.status, "asked for by the test", fault.headers)
            else:
                self.text(fault.status, fault.body, fault.type or "text/plain", fault.headers)
        except ConnectionError:
            self.close_connection = True

    def named(self) -> str:
        """`owner/slug/version` or the competition that a call is about; a missing version is the latest."""
        if self.command != "POST" or self.path_ not in {DATASET, COMPETITION}:
            return ""
        if self.path_ == COMPETITION:
            return str(self.asked.get("competitionName"))
        owner, slug = self.asked.get("ownerSlug"), self.asked.get("datasetSlug")
        version = self.asked.get("datasetVersionNumber")
        return f"{owner}/{slug}/{version or max(self.loopback.versions(owner, slug), default=0)}"

    def call(self) -> None:
        """Answer a call as Kaggle does."""
        if self.record.kind == "introspect":
            active = self.asked.get("token") == self.loopback.token
            self.json(200, {"active": active, **({"username": self.loopback.username} if active else {})})
        elif self.record.kind != "resolve":
            self.error(404, "Not found")
        elif not self.authorized():
            self.error(401, "Unauthenticated")
        elif self.record.name in self.loopback.unaccepted:
            self.error(
                403, "You must accept this competition's rules before you'll be able to download files."
            )
        elif self.record.name not in self.loopback.names:
            self.error(404, "Not found")
        else:
            path = quote(self.loopback.names[self.record.name])
            query = f"X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature={self.loopback.signature}"
            self.text(302, b"", "text/html", {"Location": f"{self.loopback.blobs_url}{path}?{query}"})

    def authorized(self) -> bool:
        """Whether the token is the server's."""
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        return value == self.loopback.token

    def blob(self) -> None:
        """Answer with an object, or with what its fault makes of it."""
        fault, path = self.fault, self.path_
        with self.loopback.lock:
            content = self.loopback.objects.get(path)
            if content and fault.content:
                self.loopback.objects[path] = fault.content
                content = fault.content if fault.after is None else content
        if content is None:
            self.error(404, "NoSuchKey")
        elif not path.startswith(ISIC) and self.query.get("X-Goog-Signature") != [self.loopback.signature]:
            self.error(403, "SignatureDoesNotMatch")
        else:
            self.send(content)

    def send(self, content: Content) -> None:
        """Write the part of an object that was asked for."""
        fault, etag = self.fault, self.etag(content)
        shown = content.corrupted() if fault.flips else content
        start, stop, code = self.span(content, etag)
        if code == 416:
            self.error(416, "InvalidRange", {"Content-Range": f"bytes */{content.size}"})
            return
        if code == 206:
            start = min(max(start + fault.shift, 0), stop - 1)
        headers = {
            "Content-Type": "application/zip" if self.path_.endswith(".zip") else "application/octet-stream",
            "Content-Length": str(max(stop - start + fault.announce, 0)),
            "Accept-Ranges": "bytes",
            "Last-Modified": content.modified,
            "ETag": etag,
        }
        if not self.path_.startswith(ISIC) and fault.hash != "absent":
            md5 = (shown if fault.hash == "sent" else content).md5
            headers["x-goog-hash"] = f"md5={base64.b64encode(md5).decode()}"
        if code == 206:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
        self.head(code, headers)
        if self.command != "HEAD":
            self.body(shown, start, stop + min(fault.announce, 0))
        if fault.announce > 0:
            raise HangUpError

    def body(self, content: Content, start: int, stop: int) -> None:
        """Write these bytes as fast, and as far, as the fault lets them through."""
        fault = self.fault
        last = stop if fault.after is None else min(stop, start + fault.after)
        if fault.stall_at is not None:
            pause = min(last, start + fault.stall_at)
            self.stream(content, start, pause)
            self.loopback.pause(fault.stall)
            start = pause
        self.stream(content, start, last)
        if fault.after is not None:
            raise HangUpError

    def stream(self, content: Content, start: int, stop: int) -> None:
        """Write bytes by chunks; a chunk is counted before it can arrive, so that a reader's sum is right."""
        rate = self.fault.rate
        step = CHUNK if rate is None else max(1, min(CHUNK, int(rate / 20)))
        began, done = time.monotonic(), 0
        for chunk in content.chunks(start, stop, step):
            self.record.sent += len(chunk)
            try:
                self.wfile.write(chunk)
            except OSError as error:
                self.record.sent -= len(chunk)
                raise HangUpError from error
            done += len(chunk)
            if rate is not None:
                self.loopback.pause(max(0, began + done / rate - time.monotonic()))

    def span(self, content: Content, etag: str) -> tuple[int, int, int]:
        """First byte, end and status of the answer to the request's Range, if it has one that counts."""
        whole = 0, content.size, 200
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.record.range or "")
        same = self.headers.get("If-Range", etag) in {etag, content.modified}
        if asked is None or asked.group() == "bytes=-" or not same or self.fault.ignore_range:
            return whole
        first, last = asked.groups()
        start, stop = int(first or max(0, content.size - int(last))), content.size
        if first and last:
            stop = min(int(last) + 1, stop)
        return (start, stop, 206) if start < stop else (0, 0, 416)

    def etag(self, content: Content) -> str:
        """Strong; the ISIC bucket's is, as for any large upload, not the md5 of the file."""
        return f'"{content.md5.hex()}-2"' if self.path_.startswith(ISIC) else f'"{content.md5.hex()}"'

    def error(self, code: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        """An error: JSON from the API, XML from a bucket."""
        if self.command == "POST":
            self.json(code, {"code": code, "message": message}, headers)
            return
        xml = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{message}</Code></Error>"
        self.text(code, xml.encode(), "application/xml", headers)

    def json(self, code: int, content: dict, headers: Mapping[str, str] | None = None) -> None:
        """A JSON answer."""
        self.text(code, json.dumps(content).encode(), "application/json", headers)

    def text(self, code: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        """A short answer; its bytes are not counted as a body."""
        self.head(code, {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def head(self, code: int, headers: Mapping[str, str]) -> None:
        """Status and headers."""
        self.record.status = code
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def member(name: str, mode: int = stat.S_IFREG | 0o644, method: int = ZIP_STORED) -> ZipInfo:
    """A member of a zip, with the same date in all of them."""
    info = ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    info.filename = name  # as it is, whatever the platform thinks of it
    info.create_system, info.external_attr, info.compress_type = 3, mode << 16, method
    return info


def zip_of(folder: Path, target: Path, prefix: str = "", method: int = ZIP_STORED) -> Path:
    """Write a folder's files as a zip, in the order of their names; the same files give the same bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    with ZipFile(target, "w") as archive:
        for name in sorted(files):
            info = member(prefix + name, method=method)
            info.file_size = files[name].stat().st_size
            with files[name].open("rb") as source, archive.open(info, "w") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
    return target


def published(root: Path, target: Path) -> dict[str, dict]:
    """Zip a folder of datasets into `target` as they are published: `Server(**published(root, target))`.

    Args:
        root: holds any of multi_organ, multi_cancer, brain_elsewhere, pcam and isic2020, each in its
            published layout.
        target: where the zips go.
    """
    folders = [
        path
        for name in ("multi_organ", "multi_cancer", "brain_elsewhere")
        for path in sorted((root / name).glob("*/*/"))
    ]
    kaggle = {
        (path.parent.name, path.name, 1): zip_of(path, target / f"{path.parent.name}__{path.name}.zip")
        for path in folders
        if path.is_dir()
    }
    competitions = {
        path.name: zip_of(path, target / f"{path.name}.zip")
        for path in sorted((root / "pcam").glob("*/"))
        if path.is_dir()
    }
    isic = {path.name: path for path in sorted((root / "isic2020").glob("*.csv"))}
    if (root / "isic2020" / "train").is_dir():
        name = "ISIC_2020_Training_JPEG.zip"
        isic[name] = zip_of(root / "isic2020" / "train", target / name, "train/")
    return {"kaggle": kaggle, "competitions": competitions, "isic": isic}


HOSTILE = (
    "parent",
    "absolute",
    "backslash",
    "symlink",
    "device",
    "duplicate",
    "encrypted",
    "bomb",
    "lying",
    "overlap",
)
"""Kinds of `hostile`."""


def hostile(target: Path, kind: str) -> Path:
    """Write a zip that nobody should extract as it is: fine.txt, then what its kind says.

    Args:
        target: the zip.
        kind: parent (../evil.txt), absolute (/tmp/evil), backslash (..\\evil.txt), symlink (a link to .. and
            a member below it), device, duplicate (a name twice), encrypted (the flag), bomb (30 MB of
            zeros), lying (a member of 1 MB that is said to have 10 bytes) or overlap (a member that lies
            inside another).
    """
    members: dict[str, list[tuple[ZipInfo, bytes]]] = {
        "parent": [(member("../evil.txt"), b"evil")],
        "absolute": [(member("/tmp/evil"), b"evil")],
        "backslash": [(member("..\\evil.txt"), b"evil")],
        "symlink": [(member("link", stat.S_IFLNK | 0o777), b".."), (member("link/evil.txt"), b"evil")],
        "device": [(member("device", stat.S_IFCHR | 0o666), b"")],
        "duplicate": [(member("twice.txt"), b"one"), (member("twice.txt"), b"two")],
        "encrypted": [(member("secret.txt"), b"secret")],
        "bomb": [(member("bomb.bin", method=ZIP_DEFLATED), b"")],
        "lying": [(member("lying.bin", method=ZIP_DEFLATED), bytes(1 << 20))],
        "overlap": [],
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the duplicate
        for info, content in [(member("fine.txt"), b"fine"), *members[kind]]:
            with archive.open(info, "w") as file:
                for _ in range(30 if kind == "bomb" and info.filename == "bomb.bin" else 0):
                    file.write(bytes(1_000_000))
                file.write(content)
        if kind == "overlap":
            overlap(archive)
    if kind == "encrypted":
        patch(target, "secret.txt", local=6, central=8, value=(1).to_bytes(2, "little"))
    if kind == "lying":
        patch(target, "lying.bin", local=22, central=24, value=(10).to_bytes(4, "little"))
    return target


def overlap(archive: ZipFile) -> None:
    """Add a member whose bytes are another member, header and all."""
    inner, content = member("inner.txt"), b"inner"
    inner.CRC, inner.file_size, inner.compress_size = crc32(content), len(content), len(content)
    inner.header_offset = archive.start_dir + 30 + len("outer.txt")
    archive.writestr(member("outer.txt"), inner.FileHeader() + content)
    archive.filelist.append(inner)


def patch(target: Path, name: str, local: int, central: int, value: bytes) -> None:
    """Overwrite a field of a member's two headers, at these offsets in them."""
    data = bytearray(target.read_bytes())
    with ZipFile(target) as archive:
        start, directory = archive.getinfo(name).header_offset, archive.start_dir
    data[start + local : start + local + len(value)] = value
    record = data.index(name.encode(), directory) - 46
    data[record + central : record + central + len(value)] = value
    target.write_bytes(data)
