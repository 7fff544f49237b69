import contextlib

import browser
import numpy as np
import pytest
import tiny
from PIL import Image

pytest.importorskip("starlette")

import web

import oncovec


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tiny.trained(tmp_path_factory))
        yield [oncovec.load(name) for name in ("nearest", "head")]


@pytest.fixture(scope="module")
def url(systems):
    with web.running(systems) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as running:
        yield running


@pytest.fixture(scope="module")
def files(systems, tmp_path_factory):
    """A red square, an image that is unlike all squares, and a text file that is named like an image."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(tiny.squares(2, 20, 4)[0][1]).save(folder / "red.png")
    generator = np.random.default_rng(0)
    for _ in range(50):
        Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / "noise.png")
        if systems[0].predict(folder / "noise.png")[0].ood:
            break
    (folder / "text.png").write_text("no image")
    return folder


def predicted(page, file):
    """Choose a file, and wait for its prediction."""
    page.set_input_files("#file", file)
    page.wait_for_selector("#result:not([hidden])")
    page.wait_for_load_state("networkidle")


def test_a_chosen_image_gets_the_prediction_of_the_library(chromium, url, systems, files):
    (found,) = systems[0].predict(files / "red.png")
    with browser.opened(chromium, url) as page:
        predicted(page, files / "red.png")
        said, text = page.inner_text("#predicted"), page.inner_text("#result")
        assert said.startswith(f"{found.predicted}, probability {found.probability:.3f}")
        for name, value in found.probabilities.items():
            assert f"{name}\t{value:.3f}" in text
        for image, _, distance in found.neighbours:
            assert image in text and f"distance {distance:.3f}" in text
        assert "no diagnosis" in page.inner_text("header")
        assert "not been tried on images of another collection" in page.inner_text("#known")


def test_an_image_that_is_chosen_before_the_systems_are_known_is_predicted_too(chromium, url, files):
    with contextlib.closing(chromium.new_page()) as page:
        held = []
        page.route("**/api/systems", lambda route: held.append(route))
        page.goto(url)
        page.set_input_files("#file", files / "red.png")
        while not held:
            page.wait_for_timeout(10)
        held[0].continue_()
        page.wait_for_selector("#result:not([hidden])")


def test_neighbours_and_the_heat_map_are_shown_as_pictures(chromium, url, systems, files):
    (found,) = systems[0].predict(files / "red.png")
    with browser.opened(chromium, url) as page:
        predicted(page, files / "red.png")
        assert page.is_visible("#heat") and page.is_visible("#seen")
        assert page.locator("#neighbours img").count() == len(found.neighbours)
        assert page.evaluate("Array.from(document.images).every((image) => image.naturalWidth > 0)")


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, browser.PHONE], ids=["light", "dark", "phone"]
)
def test_the_page_is_accessible_and_fits_its_window(chromium, url, files, options):
    with browser.opened(chromium, url, **options) as page:
        assert not browser.violations(page)
        predicted(page, files / "red.png")
        assert not browser.violations(page)
        assert not browser.overflows(page)


def test_the_keyboard_reaches_every_control(chromium, url, files):
    with browser.opened(chromium, url) as page:
        predicted(page, files / "red.png")
        page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(6):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id"))
        assert reached >= {"system", "file", "show"}


def test_the_heat_map_is_hidden_and_the_system_changed_by_keyboard(chromium, url, files):
    with browser.opened(chromium, url) as page:
        predicted(page, files / "red.png")
        page.focus("#show")
        page.keyboard.press("Space")
        assert not page.is_visible("#heat") and page.is_visible("#seen")
        page.focus("#system")
        page.keyboard.press("ArrowDown")
        page.wait_for_selector("#status:has-text('Prediction of head is there')")


DROP = """({ content, size }) => {
  const dropped = new DataTransfer();
  dropped.items.add(new File([size ? new Uint8Array(size) : new Uint8Array(content)], "red.png"));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: dropped }));
}"""


def test_a_dropped_image_is_predicted(chromium, url, files):
    with browser.opened(chromium, url) as page:
        page.wait_for_selector("#system option", state="attached")
        page.evaluate(DROP, {"content": list((files / "red.png").read_bytes()), "size": 0})
        page.wait_for_selector("#predicted:has-text('red, probability')")


def test_a_file_that_is_too_large_is_not_sent(chromium, url):
    with browser.opened(chromium, url) as page:
        sent = []
        page.on("request", lambda request: sent.append(request.url))
        page.wait_for_selector("#system option", state="attached")
        page.evaluate(DROP, {"content": [], "size": 33 * 2**20})
        page.wait_for_selector("#error:has-text('32 MiB')")
        assert not [each for each in sent if "predict" in each]


def test_an_image_out_of_distribution_gets_a_warning_and_no_class(chromium, url, files):
    with browser.opened(chromium, url) as page:
        predicted(page, files / "noise.png")
        assert "unlike the training images" in page.inner_text("#predicted")
        assert not page.is_visible("#heat") and page.is_visible("#seen")


def test_a_file_that_is_no_image_gets_the_reason_and_hides_the_last_prediction(chromium, url, files):
    with contextlib.closing(chromium.new_page()) as page:  # Chromium logs a status of 422 as an error
        page.goto(url)
        predicted(page, files / "red.png")
        page.set_input_files("#file", files / "text.png")
        page.wait_for_selector("#error:has-text('not an image')")
        assert not page.is_visible("#result")
