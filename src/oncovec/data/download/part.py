"""The fetched part of a file, and the identity of that file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from oncovec.core.files import write_json


@dataclass(frozen=True)
class Identity:
    """The identity of a file, from the headers of a server.

    Attributes:
        etag, modified: distinguish the file from a later file of the same name; None if not given.
        bytes: its size; None for a file that is sent in chunks.
        md5: md5 in base64; None if not given.
    """

    etag: str | None
    modified: str | None
    bytes: int | None
    md5: str | None

    @property
    def validator(self) -> str | None:
        """The value for If-Range: a strong ETag, else the date of the last change, else None."""
        return self.etag if self.etag and self.etag.startswith('"') else self.modified

    def agrees(self, other: "Identity") -> bool:
        """Whether ETag and date, where both identities have them, are the same."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified))
        return all(None in pair or pair[0] == pair[1] for pair in pairs)


def identity_of(response: requests.Response) -> Identity:
    """Read a file's identity from response headers; the size is valid only if the whole file is sent."""
    hashes = [pair.strip().partition("=") for pair in response.headers.get("x-goog-hash", "").split(",")]
    md5 = next((value for name, _, value in hashes if name == "md5"), None)
    headers = response.headers
    return Identity(
        headers.get("ETag"), headers.get("Last-Modified"), number(headers.get("Content-Length")), md5
    )


def number(header: str | None) -> int | None:
    """Return the non-negative integer in a header, None for anything else."""
    text = (header or "").strip()
    return int(text) if text.isascii() and text.isdecimal() else None


class Part:
    """A file that is being fetched: `<target>.part`, and its identity in `<target>.part.json`."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self.facts = target.with_name(target.name + ".part.json")

    def size(self) -> int:
        """Return the number of bytes that were fetched."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def identity(self) -> Identity | None:
        """Return the identity of the file; None if it is unknown, so that the part cannot be used."""
        try:
            found = Identity(**json.loads(self.facts.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError):
            return None
        return found if found.validator else None

    def start(self, identity: Identity) -> None:
        """Delete the part and start a new one for a file of this identity."""
        self.drop()
        write_json(self.facts, asdict(identity))

    def drop(self) -> None:
        """Delete the part and its identity."""
        self.path.unlink(missing_ok=True)
        self.facts.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        """Move the complete file to `target`."""
        self.path.replace(target)
        self.facts.unlink(missing_ok=True)
