"""Pages in headless Chromium, as a reader opens them, with a look at what they ask for and complain about."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OWN = ("file", "data", "blob")

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}


@contextmanager
def started() -> Iterator[Any]:
    """A running browser; without Chromium the test is skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright in this environment")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        # A sandbox is refused to root, as whom CI runs. The pages are of the tests.
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """A page in a context of its own; it must log no error, throw none, and ask no other host for anything.

    `options` are those of a context, such as `PHONE` or `color_scheme="dark"`.
    """
    context = browser.new_context(**{**DESKTOP, **options})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if _is_own(request.url, url) else wrong.append(request.url))
    try:
        page.goto(url)
        yield page
        assert not wrong, wrong
    finally:
        context.close()


def _is_own(url: str, page: str) -> bool:
    asked, own = urlsplit(url), urlsplit(page)
    return asked.scheme in OWN or (asked.scheme, asked.netloc) == (own.scheme, own.netloc)


def violations(page: Any) -> list[str]:
    """What axe-core finds that is serious or critical for readers with a disability, one line each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def overflows(page: Any) -> bool:
    """Whether a page must be scrolled sideways to be read."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
