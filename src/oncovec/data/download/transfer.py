"""Fetch one file over HTTP: resume it, retry a limited number of times, and never accept a truncated file."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError as TransportError
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from oncovec.core.errors import OncovecError
from oncovec.core.progress import byte_progress
from oncovec.data.download.part import Identity, Part, identity_of, number

ATTEMPTS = 5
"""Number of failures in a row after which a run gives up; after an advance the count starts at one again."""

ADVANCE = 8 * 2**20
"""Bytes beyond the furthest point so far for which a failed attempt counts as an advance."""

LONGEST_WAIT = 300
"""Longest wait in seconds that a server may request; for a longer wait, the run ends with a message."""

SPARE = 64 * 2**20
"""Bytes that a download must leave free on the disk."""

CERTIFICATE = "the server's certificate is not accepted; REQUESTS_CA_BUNDLE may name a file of issuers"
PAGES = ("text/html", "application/xhtml+xml")
CHUNK = 2**16
CONNECT_TIMEOUT = 10
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class TransientError(Exception):
    """Temporary failure: the request can be repeated, after `wait` seconds if the server requests a wait."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class StatusError(OncovecError):
    """Response that a retry does not change; `means_absent` is whether the server does not have the file."""

    def __init__(self, text: str, means_absent: bool = False) -> None:
        super().__init__(text)
        self.means_absent = means_absent


@dataclass(frozen=True)
class Location:
    """The current location of a file.

    Attributes:
        url: its address; the part after a question mark may be a secret and is never shown.
        signed: whether the address expires; after a refusal a new one is requested.
    """

    url: str
    signed: bool = False


def timeout() -> float:
    """Return the seconds without a byte after which a connection is closed: ONCOVEC_TIMEOUT, or 30.

    Raises:
        OncovecError: if it is not a number above 0 and below 86,400.
    """
    text = os.environ.get("ONCOVEC_TIMEOUT", "30")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 86_400:
        raise OncovecError(f"ONCOVEC_TIMEOUT = {text!r}: seconds, above 0")
    return seconds


def address(variable: str, default: str) -> str:
    """Return `default`, or, for tests, the loopback address in the environment variable.

    Raises:
        OncovecError: for any other host, because it would get the credentials.
    """
    url = os.environ.get(variable, "")
    if not url:
        return default
    if urlsplit(url).scheme != "http" or urlsplit(url).hostname not in LOOPBACK:
        raise OncovecError(f"{variable} is for tests: http:// and one of {', '.join(LOOPBACK)}")
    return url.rstrip("/")


def fetch(locate: Callable[[], Location], target: Path, name: str, fresh: bool = False) -> str | None:
    """Fetch a file to `target`; continue from the part that an earlier run left beside it.

    Args:
        locate: function that returns the location of the file; called once per attempt.
        target: path of the complete file, created by one rename. Until then `<target>.part` and `.part.json`
            are beside it.
        name: name of the file in messages and in the progress bar.
        fresh: request the file from the server itself, not from caches on the way.

    Returns:
        The md5 in base64 from the server; None if it gave none.

    Raises:
        StatusError: for a response that will not change, such as 404.
        OncovecError: if the disk is too small, and after `ATTEMPTS` failures in a row; the fetched part stays
            for the next run.
    """
    part = Part(target)
    furthest, failures = part.size(), 0
    while True:
        try:
            md5 = _attempt(locate(), part, name, fresh)
            break
        except TransientError as problem:
            failures = 1 if part.size() >= furthest + ADVANCE else failures + 1
            furthest = max(furthest, part.size())
            wait = 2.0 ** (failures - 2) if problem.wait is None else problem.wait
            if failures == ATTEMPTS or wait > LONGEST_WAIT:
                kept = part.size() if part.identity() else 0
                raise OncovecError(_given_up(name, problem, failures, kept)) from None
            print(f"{name}: {problem}; trying again in {wait:g} s")
            pause(wait)
    part.become(target)
    print(f"{name}: {target.stat().st_size / 1e6:,.1f} MB fetched")
    return md5


def pause(seconds: float) -> None:
    """Wait between attempts."""
    time.sleep(seconds)


def _given_up(name: str, problem: TransientError, failures: int, kept: int) -> str:
    tried = f"tried {failures} times" if failures == ATTEMPTS else f"asks to wait {problem.wait:.0f} s"
    rest = f"{kept / 1e6:,.1f} MB are kept and the next run goes on from there" if kept else "run again later"
    return f"{name}: {problem}; {tried}; {rest}"


def _attempt(location: Location, part: Part, name: str, fresh: bool) -> str | None:
    known = part.identity()
    offset = part.size() if known else 0
    if known and offset == known.bytes:
        return known.md5
    headers = {"Accept-Encoding": "identity"}
    if known and known.validator and offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": known.validator}
    if fresh:
        headers["Cache-Control"] = "no-cache"
    with _patience(), requests.Session() as session:
        session.auth = _as_it_is
        if urlsplit(location.url).hostname in LOOPBACK:
            session.trust_env = False  # a proxy of the environment cannot reach this machine's own servers
        with session.get(
            location.url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, timeout())
        ) as response:
            _refuse_downgrade(location.url, [each.url for each in (*response.history, response)], name)
            _check_status(response, location, part, name)
            if known and response.status_code == 206:
                _check_range(response, part, known, offset)
                identity = known
            else:
                offset, identity = 0, _check_new(response, part)
                part.start(identity)
            _receive(response, part, offset, identity.bytes, name)
    _check_size(part, identity.bytes)
    return identity.md5


@contextmanager
def _patience() -> Iterator[None]:
    """Convert network errors to `TransientError` with a reason that contains no address."""
    try:
        yield
    except requests.exceptions.SSLError:
        raise OncovecError(CERTIFICATE) from None
    except requests.exceptions.ProxyError:
        raise TransientError("the proxy of HTTPS_PROXY or HTTP_PROXY does not connect") from None
    except (requests.Timeout, ReadTimeoutError):
        raise TransientError(f"no answer within {timeout():g} s") from None
    except (requests.RequestException, TransportError) as error:
        cut = isinstance(error, requests.exceptions.ChunkedEncodingError | TransportError)
        raise TransientError("the connection was cut" if cut else "no connection") from None


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Prevent requests from adding a password of ~/.netrc to an address that is public or signed."""
    return request


def _refuse_downgrade(asked: str, passed: list[str], name: str) -> None:
    if urlsplit(asked).scheme == "https" and any(urlsplit(url).scheme != "https" for url in passed):
        raise OncovecError(f"{name}: the server leads away from https; refused")


def _check_status(response: requests.Response, location: Location, part: Part, name: str) -> None:
    code = response.status_code
    if code in (200, 206):
        return
    if code == 416:
        part.drop()
        raise TransientError("the part fetched so far is longer than the file; starting over")
    if code in (408, 425, 429) or code >= 500:
        raise TransientError(f"the server answers {code}", retry_after(response.headers.get("Retry-After")))
    if location.signed:
        raise TransientError(f"the signed address is refused with {code}")
    # A bucket that does not list its files returns 403 for a missing file. A proxy may also return 403.
    absent = code == 404 or (code == 403 and b"<Code>AccessDenied</Code>" in response.content[:4096])
    parts = urlsplit(location.url)
    raise StatusError(f"{name}: {parts.hostname}{parts.path} answers {code}", absent)


def retry_after(header: str | None) -> float | None:
    """Return the wait in seconds of a Retry-After header, given in seconds or as a date; None if absent."""
    if not header:
        return None
    if (seconds := number(header)) is not None:
        return float(seconds)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _check_range(response: requests.Response, part: Part, known: Identity, offset: int) -> None:
    """Refuse bytes of another file, or from another position in the file."""
    range_, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    same = known.agrees(identity_of(response))
    same = same and (known.bytes is None or total in ("*", str(known.bytes)))
    if not same or range_.partition("-")[0] != str(offset):
        part.drop()
        raise TransientError("the file changed while it was being fetched; starting over")


def _check_new(response: requests.Response, part: Part) -> Identity:
    """Refuse a response that is not a file, is encoded, or has no recognisable end."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_archive = part.path.stem.endswith(".zip")
    if kind in PAGES or (is_archive and kind == "application/json"):
        raise TransientError(f"{kind} came in the place of the file")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise TransientError("the server, or a proxy, sends it in another encoding")
    found = identity_of(response)
    if found.bytes == 0:
        raise TransientError("an empty file came")
    if found.bytes is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise TransientError("the server does not say how long it is")
    return found


def _receive(response: requests.Response, part: Part, offset: int, total: int | None, name: str) -> None:
    if total is not None:
        _check_space(part.path.parent, total - offset, name)
    try:
        with byte_progress(part.path.stem, total, offset) as bar, part.path.open("ab") as stream:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                stream.write(chunk)
                bar.update(len(chunk))
    except ProtocolError:
        if total is None:
            raise TransientError("the connection was cut") from None
        # With a known size, `_check_size` reports where it was cut.
    except OSError as error:
        if isinstance(error, requests.RequestException):
            raise
        raise OncovecError(f"{name}: cannot write {part.path} ({error.strerror})") from None


def _check_space(folder: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free - SPARE:
        raise OncovecError(
            f"{name}: {needed / 1e9:,.1f} GB to fetch, {free / 1e9:,.1f} GB free in {folder}; "
            "make room, or let data/archives be a link to a folder on another disk"
        )


def _check_size(part: Part, total: int | None) -> None:
    size = part.size()
    if total is not None and size < total:
        raise TransientError(f"cut at {size:,} of {total:,} bytes")
    if total is not None and size > total:
        part.drop()
        raise TransientError(f"{size:,} bytes came where {total:,} were announced; starting over")
