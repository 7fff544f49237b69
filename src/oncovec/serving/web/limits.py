"""Limits of the server: who may ask, how large and slow an upload may be, how many requests wait."""

import ipaddress
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Limits:
    """Limits of uploads and of requests.

    Attributes:
        upload: largest upload in bytes.
        upload_seconds: longest time that an upload may take.
        workers: number of images that are processed at once; the network takes one after the other.
        waiting: number of further requests that wait, each with its upload in memory.
    """

    upload: int = 32 * 2**20
    upload_seconds: float = 30.0
    workers: int = 2
    waiting: int = 16


RETRY_SECONDS = 2
"""Time after which a refused request should be tried again."""

CONNECTIONS = 100
"""Largest number of open connections."""

STOPPED = "the server was stopped"

LINGER_SECONDS, LINGER_BYTES = 2.0, 16 * 2**20
"""Most of the rest of a refused upload that is read and dropped, so that the client reads the refusal."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Headers of every response."""


class Refusal(JSONResponse):
    """A refusal, sent before the request's body is read, or while it is.

    Some of the rest of the body is read and dropped (`LINGER_SECONDS`, `LINGER_BYTES`). If the connection
    were closed at once, most clients would report a broken connection instead of the reason.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None):
        super().__init__({"error": reason}, status, {**(headers or {}), "connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the refusal, then drop what still comes."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        dropped = 0
        with anyio.move_on_after(LINGER_SECONDS):
            while dropped < LINGER_BYTES and (message := await receive()).get("more_body"):
                dropped += len(message.get("body", b""))
        await send({"type": "http.response.body", "body": b""})


class Guard:
    """Refuse other hosts and origins, and add `HEADERS` to every response.

    The Host header is compared with the names of this server, so that no name of another site can be pointed
    here (DNS rebinding). Browsers name the site that asks in Origin and Sec-Fetch-Site.

    Args:
        app: the application.
        host: the address that the server listens on.
    """

    def __init__(self, app: ASGIApp, host: str):
        self.app = app
        self.names = {*LOOPBACK, host.lower(), f"[{host}]"}
        self.any_address = not is_loopback(host)
        if self.any_address:
            self.names.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        app: ASGIApp = self._refusal(Headers(scope=scope), scope["path"]) or self.app
        await app(scope, receive, send_guarded)

    def _refusal(self, headers: Headers, path: str) -> Refusal | None:
        host = headers.get("host", "")
        if not self.is_own(host):
            return Refusal(421, f"this server has no name {host!r}: open it by {LOOPBACK[0]} or localhost")
        other_site = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if headers.get("origin", f"http://{host}") != f"http://{host}" or (
            other_site and path.startswith("/api/")
        ):
            return Refusal(403, "refused: the request comes from another site")
        return None

    def is_own(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return name.lower() in self.names or (self.any_address and _is_address(name.strip("[]")))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


class Queue:
    """The requests of uploads: how many there are at once, and how each is read."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.workers = anyio.CapacityLimiter(limits.workers)
        self._free = limits.workers + limits.waiting
        self._uploads: set[anyio.CancelScope] = set()
        self._stopped = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for the block; refuse with 503 if there is none.

        Only the thread of the server's event loop may call this.
        """
        if not self._free:
            retry = {"retry-after": str(RETRY_SECONDS)}
            raise HTTPException(503, "too many requests at once: try again in a few seconds", retry)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def upload(self, request: Request) -> bytes:
        """Read the body of a request; stop as soon as it is too large (413) or too slow (408).

        A server that stops refuses it (503), also if the request arrived at the last moment.
        """
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise HTTPException(
                415, "send the file itself as the body, not a form: curl --data-binary @scan.png"
            )
        if self._stopped:
            raise HTTPException(503, STOPPED)
        self._refuse_more(int(request.headers.get("content-length", 0)))
        content, complete = bytearray(), False
        with anyio.move_on_after(self.limits.upload_seconds) as scope, self._stoppable(scope):
            async for chunk in request.stream():
                self._refuse_more(len(content) + len(chunk))
                content += chunk
            complete = True
        if not complete:
            slow = HTTPException(408, f"the upload took longer than {self.limits.upload_seconds:g} s")
            raise HTTPException(503, STOPPED) if self._stopped else slow
        return bytes(content)

    def _refuse_more(self, size: int) -> None:
        if size > self.limits.upload:
            raise HTTPException(413, f"larger than {self.limits.upload // 2**20} MiB: reduce it first")

    @contextmanager
    def _stoppable(self, scope: anyio.CancelScope) -> Iterator[None]:
        self._uploads.add(scope)
        try:
            yield
        finally:
            self._uploads.discard(scope)

    def stop(self) -> None:
        """End the uploads that are not complete, and refuse those to come, because the server stops."""
        self._stopped = True
        for scope in self._uploads:
            scope.cancel()


def one_of(name: str, names: Collection[str]) -> str:
    """Return a name that a request gives, the only one if it gives none; refuse any other (404)."""
    if not name and len(names) == 1:
        return next(iter(names))
    if name not in names:
        raise HTTPException(404, f"system: one of {', '.join(names)}")
    return name
