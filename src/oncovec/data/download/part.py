"""The part of a file that has come so far, and which file it is a part of."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from oncovec.core.files import write_json


@dataclass(frozen=True)
class Identity:
    """What a server says of a file.

    Attributes:
        etag, modified: what tells it from a later one of the same name; None where it is not said.
        bytes: its size, None for one that comes in chunks.
        md5: in base64, None where there is none.
    """

    etag: str | None
    modified: str | None
    bytes: int | None
    md5: str | None

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong ETag, else the date of the last change, else None."""
        return self.etag if self.etag and self.etag.startswith('"') else self.modified

    def agrees(self, other: "Identity") -> bool:
        """Whether nothing that both say speaks for two files."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified))
        return all(None in pair or pair[0] == pair[1] for pair in pairs)


def identity_of(response: requests.Response) -> Identity:
    """Read a file's identity from an answer's headers; its size is meant by those of a whole one."""
    hashes = [pair.strip().partition("=") for pair in response.headers.get("x-goog-hash", "").split(",")]
    md5 = next((value for name, _, value in hashes if name == "md5"), None)
    headers = response.headers
    return Identity(
        headers.get("ETag"), headers.get("Last-Modified"), number(headers.get("Content-Length")), md5
    )


def number(header: str | None) -> int | None:
    """Return a header's whole number, None for anything else."""
    text = (header or "").strip()
    return int(text) if text.isascii() and text.isdecimal() else None


class Part:
    """A file that is being fetched: `<target>.part`, and its identity in `<target>.part.json`."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self.facts = target.with_name(target.name + ".part.json")

    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def identity(self) -> Identity | None:
        """Which file it is a part of; None where that cannot be told, and the part is worth nothing."""
        try:
            found = Identity(**json.loads(self.facts.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError):
            return None
        return found if found.validator else None

    def start(self, identity: Identity) -> None:
        """Begin anew."""
        self.drop()
        write_json(self.facts, asdict(identity))

    def drop(self) -> None:
        """Throw away what is here."""
        self.path.unlink(missing_ok=True)
        self.facts.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        """Put the whole file in its place."""
        self.path.replace(target)
        self.facts.unlink(missing_ok=True)
