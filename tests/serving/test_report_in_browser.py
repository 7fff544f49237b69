import browser
import pytest
import reported

from oncovec.serving import cli


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as running:
        yield running


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = reported.checkout(tmp_path_factory)
    with reported.inside(folder):
        cli.app(["report"], standalone_mode=False)
    return (folder / "data/report.html").as_uri()


SCREENS = pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, browser.PHONE], ids=["light", "dark", "phone"]
)


def unfold(page):
    page.locator("details").evaluate_all("all => all.forEach((each) => { each.open = true; })")


@SCREENS
def test_axe_finds_no_serious_violation_and_nothing_is_wider_than_the_screen(chromium, url, options):
    with browser.opened(chromium, url, **options) as page:
        unfold(page)
        assert not browser.violations(page)
        assert not browser.overflows(page)


def test_a_dark_screen_gets_light_text_on_dark(chromium, url):
    with browser.opened(chromium, url, color_scheme="dark") as page:
        light = "(name) => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number)[0] > 128"
        assert page.evaluate(light, "color")
        assert not page.evaluate(light, "backgroundColor")


def test_every_picture_is_drawn(chromium, url):
    with browser.opened(chromium, url) as page:
        widths = page.locator("img").evaluate_all("all => all.map((each) => each.naturalWidth)")
        assert widths
        assert all(widths)


def test_names_run_nothing_and_are_shown_as_they_are(chromium, url):
    with browser.opened(chromium, url) as page:
        unfold(page)
        assert reported.EVIL in page.locator("#run pre").inner_text()
        assert page.evaluate("typeof injected") == "undefined"


def test_every_link_leads_to_a_section(chromium, url):
    with browser.opened(chromium, url) as page:
        links = page.locator("nav a").evaluate_all("all => all.map((each) => each.getAttribute('href'))")
        assert links
        for link in links:
            assert page.locator(link).count() == 1


def test_keys_alone_open_a_fold(chromium, url):
    with browser.opened(chromium, url) as page:
        page.locator("#run summary").focus()
        page.keyboard.press("Enter")
        assert page.locator("#run pre").is_visible()
