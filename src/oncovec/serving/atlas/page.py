"""The page of the atlas: data, style and scripts in one HTML file that asks no host for anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from oncovec.serving import pages
from oncovec.serving.atlas import thumbnails
from oncovec.serving.atlas import view as views
from oncovec.serving.atlas.view import View

HERE = Path(__file__).parent
SCRIPTS = ("images.js", "map.js", "pointer.js", "atlas.js")


def html(shown: Sequence[View], images: bool) -> str:
    """Return the page of some systems; equal systems give equal text.

    Args:
        shown: the systems, at least one.
        images: whether the page holds thumbnails.
    """
    named = _named(shown)
    number = {dataset: {name: row for row, name in enumerate(names)} for dataset, names in named.items()}
    sheets = (
        {dataset: thumbnails.sheets(dataset, names) for dataset, names in named.items()} if images else None
    )
    data = {
        "images": named,
        "systems": [views.content(each, number[each.embeddings.dataset]) for each in shown],
        "thumbnail": {"side": thumbnails.SIDE, "across": thumbnails.ACROSS},
    }
    return _filled(data, sheets)


def _named(shown: Sequence[View]) -> dict[str, list[str]]:
    """Return the images that the page names, sorted, for each dataset."""
    named: dict[str, set[str]] = {}
    for each in shown:
        named.setdefault(each.embeddings.dataset, set()).update(each.images)
    return {dataset: sorted(names) for dataset, names in named.items()}


def _filled(data: Mapping[str, Any], sheets: Mapping[str, Any] | None) -> str:
    """Fill page.html; Jinja's `tojson` escapes what could end a script, and `autoescape` all other text."""
    environment = pages.environment(HERE)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    scripts = [(HERE / name).read_text(encoding="utf-8") for name in SCRIPTS]
    style = pages.style(HERE / "atlas.css")
    systems = data["systems"]
    phantoms = [each["name"] for each in systems if each["source"] == "phantom"]
    return environment.get_template("page.html").render(
        data=data,
        sheets=sheets,
        systems=[each["name"] for each in systems],
        phantoms=phantoms,
        style=Markup(style),
        style_hash=pages.allowed(style),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[pages.allowed(script) for script in scripts],
    )
