"""HTML pages that are one file and ask no host for anything: templates, what a page allows, writing."""

import base64
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing

PALETTE = Path(__file__).parent / "palette.css"
"""Colours of all pages, light and dark."""


def environment(folder: Path) -> Environment:
    """Return Jinja's environment for the templates of a folder; text is escaped, unknown names are errors."""
    return Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def style(file: Path) -> str:
    """Return the colours of all pages, then the rules of a page's own style sheet."""
    return PALETTE.read_text(encoding="utf-8") + file.read_text(encoding="utf-8")


def allowed(text: str) -> Markup:
    """Return what allows a script or style in a content security policy, which forbids all others."""
    digest = base64.b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
    return Markup("'sha256-{}'").format(digest)


def refuse_other_suffix(command: str, output: Path | None) -> None:
    """Refuse an output that is no page.

    Raises:
        OncovecError: if there is an output and it does not end in .html.
    """
    if output and output.suffix.lower() not in (".html", ".htm"):
        raise OncovecError(f"{command}: --output {output} must end in .html")


def write(command: str, target: Path, content: str) -> int:
    """Write a page as a whole, and return its size in bytes.

    Raises:
        OncovecError: if it cannot be written.
    """
    encoded = content.encode("utf-8")
    try:
        with replacing(target) as part:
            part.write_bytes(encoded)
    except OSError as error:
        raise OncovecError(f"{command}: cannot write {target} ({error.strerror})") from None
    return len(encoded)
