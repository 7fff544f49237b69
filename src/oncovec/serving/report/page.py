"""The page of the report: tables, pictures, params and model cards in one HTML file."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from oncovec.core import paths
from oncovec.core.errors import not_there
from oncovec.serving import pages
from oncovec.serving.report import content, limits
from oncovec.serving.report.read import Run

HERE = Path(__file__).parent

OF_DATASETS = {"samples": "images of every class", "audit": "the worst pairs of the audit"}
OF_SYSTEMS = {
    "augmentation": "augmented training images",
    "neighbours": "the most confident mistakes, right predictions, and their nearest training images",
    "confused": "the classes that are confused most",
    "heatmaps": "what it looked at when it was wrong, and when it was right",
}
"""Kinds of pictures that show images, and what they show."""

BELOW = 2
"""Levels by which the headings of a model card move down."""

OPEN = Markup('<div class="scroll" role="region" tabindex="0" aria-label="{}">\n')
CLOSE = "</div>\n"
"""Around a table that is wider than a narrow screen."""


@dataclass(frozen=True)
class Picture:
    """A picture, as the address of a PNG in the page itself, and what it shows."""

    shows: str
    address: str


def html(run: Run, images: bool) -> str:
    """Return the page of a run; equal runs give equal text on the same machine.

    Args:
        run: the run.
        images: whether the page has the pictures that show images of the datasets.

    Raises:
        OncovecError: if a picture is missing.
    """
    style = pages.style(HERE / "report.css")
    return (
        pages.environment(HERE)
        .get_template("page.html")
        .render(
            run=run,
            content=content,
            limits=limits,
            drawn=limits.phantoms(run),
            charts=[_picture(f"charts of {name}", paths.overview(name)) for name in run.systems],
            pictures=list(_pictures(run)) if images else None,
            cards={name: Markup(_as_html(name, each.card)) for name, each in run.systems.items()},
            style=Markup(style),
            style_hash=pages.allowed(style),
        )
    )


def _pictures(run: Run) -> Iterator[Picture]:
    for kinds, rows in ((OF_DATASETS, run.datasets), (OF_SYSTEMS, run.systems)):
        for name in rows:
            for kind, shows in kinds.items():
                yield _picture(f"{name}: {shows}", paths.picture(kind, name))


def _picture(shows: str, path: Path) -> Picture:
    try:
        encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    except FileNotFoundError:
        raise not_there(path) from None
    return Picture(shows, f"data:image/png;base64,{encoded}")


def _as_html(name: str, card: str) -> str:
    """Return a model card as HTML: only what a card uses is known, so that names cannot add anything."""
    reader = MarkdownIt("zero").enable(["heading", "list", "table", "emphasis", "backticks"])
    text: str = reader.renderer.render(list(_placed(name, reader.parse(card))), reader.options, {})
    return text


def _placed(name: str, tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the parts of a card with its headings below those of the page, and tables that scroll alone."""
    heading = ""
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1:]) + BELOW}"
        if before and before.type == "heading_open":
            heading = token.content
        if token.type == "table_open":
            yield Token("html_block", "", 0, content=OPEN.format(f"{name}: {heading}"))
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content=CLOSE)
