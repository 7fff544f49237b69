import atlases
import browser
import pytest

from oncovec.core import paths, tables


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as running:
        yield running


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = atlases.checkout(tmp_path_factory.mktemp("atlas") / "checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        atlases.call()
        atlases.call("--no-images", "-o", "none.html")
    return folder


@pytest.fixture
def url(checkout):
    return (checkout / "data/atlas.html").as_uri()


@pytest.fixture
def table(checkout):
    return tables.read(checkout / paths.predictions("animals"))


@pytest.fixture
def page(chromium, url):
    with browser.opened(chromium, url) as opened:
        yield opened


def point(page, i):
    """Where a point is on the screen."""
    box = page.locator("#map").bounding_box()
    x, y = page.evaluate("(i) => placeOf(i)", i)
    return box["x"] + x + 1, box["y"] + y + 1  # a border of 1 px


def alone(page):
    """A point that no other covers."""
    return page.evaluate("drawn.points.find((i) => pointAt(...placeOf(i)) === i)")


def shown(page):
    """Number of images that the page says it shows."""
    return int(page.locator("#count").inner_text().split()[0])


def names(page):
    return page.locator("#list [role=option]").evaluate_all("all => all.map((each) => each.firstChild.data)")


def test_it_shows_every_image_on_the_map_and_in_the_list(page, table):
    assert shown(page) == len(table)
    assert names(page) == table["image"].tolist()[:100]
    assert page.evaluate("drawn.layers.flatMap((layer) => layer.points).length") == len(table)
    page.wait_for_function("new Set(PEN.getImageData(0, 0, MAP.width, MAP.height).data).size > 20")


def test_a_pointer_over_a_point_shows_its_image_and_name(page, table):
    i = alone(page)
    page.mouse.move(*point(page, i))
    assert table["image"][i] in page.locator("#tip").inner_text()
    assert page.locator("#tip .thumbnail").get_attribute("aria-label") == table["image"][i]
    page.mouse.move(2, 2)
    assert page.locator("#tip").is_hidden()


def test_a_click_on_a_point_shows_its_neighbours_with_classes_distances_and_thumbnails(page, table):
    i = alone(page)
    page.mouse.click(*point(page, i))
    assert table["image"][i] in page.locator("#selected").inner_text()
    near = page.locator("#neighbours li")
    system = page.evaluate("state.system")
    images = page.evaluate("DATA.images.zoo")
    assert near.count() == len(system["neighbours"][i])
    for n, number in enumerate(system["neighbours"][i]):
        told = near.nth(n).inner_text()
        assert system["classes"][system["neighbour_labels"][i][n]] in told
        assert f"distance {system['distances'][i][n]:.4f}" in told
        assert near.nth(n).locator(".thumbnail").get_attribute("aria-label") == images[number]
    assert page.locator("#list [aria-selected=true]").count() == 1


def test_thumbnails_are_loaded(page):
    """The address of a sheet is one that the browser can decode."""
    page.locator("#list [role=option]").first.click()
    address = page.locator("#selected > .thumbnail").evaluate(
        "each => each.style.backgroundImage.slice(5, -2)"
    )
    width = page.evaluate(
        "(src) => new Promise((done) => { const it = new Image(); it.onload = () => done(it.width);"
        " it.onerror = () => done(0); it.src = src; })",
        address,
    )
    assert width == page.evaluate("DATA.thumbnail.side * DATA.thumbnail.across")


@pytest.mark.parametrize(
    "control, value, holds",
    [
        ("label", "bee", lambda rows: rows["label"] == "bee"),
        ("split", "val", lambda rows: rows["split"] == "val"),
        ("outcome", "right", lambda rows: rows["label"] == rows["predicted"]),
        ("outcome", "wrong", lambda rows: rows["label"] != rows["predicted"]),
    ],
)
def test_a_filter_leaves_the_images_that_it_names(page, table, control, value, holds):
    page.select_option(f"#{control}", label=value)
    expected = table["image"][holds(table)].tolist()
    assert 0 < len(expected) < len(table)
    assert shown(page) == len(expected)
    assert names(page) == expected[:100]
    assert page.evaluate("drawn.points.length") == len(expected)


def test_the_filter_out_of_distribution_leaves_what_gets_no_class(page):
    page.select_option("#outcome", "ood")
    assert shown(page) == page.evaluate("state.system.ood.reduce((sum, each) => sum + each)")
    assert all("out of distribution" in each for each in page.locator("#list small").all_inner_texts())


def test_search_finds_a_part_of_a_name_in_any_case_and_leaves_what_is_filtered(page):
    page.fill("#query", "GRÖSSE")
    assert shown(page) == 0
    page.fill("#query", "Größe/画")
    assert names(page) == [atlases.NAMES[130]]
    page.select_option("#split", label="val")
    assert shown(page) == 0
    assert "Choose a point" in page.locator("#selected").inner_text()


def test_another_system_keeps_the_chosen_image_if_it_has_it(page, checkout):
    page.locator("#list [role=option]").nth(7).click()
    name = page.locator("#selected p").first.inner_text()
    page.select_option("#system", label="again")
    assert page.locator("#selected p").first.inner_text() == name
    page.select_option("#system", label="two")
    assert "Choose a point" in page.locator("#selected").inner_text()
    assert shown(page) == len(tables.read(checkout / paths.predictions("two")))
    assert "phantoms" not in page.locator("#about").inner_text()


def test_another_projection_moves_the_points(page):
    before = page.evaluate("placeOf(0)")
    page.select_option("#method", label="PCA")
    assert page.evaluate("placeOf(0)") != before


def selected(page):
    return page.locator("#list [aria-selected=true]").get_attribute("aria-posinset")


def test_keys_alone_reach_every_image(page, table):
    while page.evaluate("document.activeElement.id") != "list":
        page.keyboard.press("Tab")
    moves = {"ArrowDown": 1, "PageDown": 11, "ArrowUp": 10, "End": len(table), "Home": 1, "PageUp": 1}
    for key, place in moves.items():
        page.keyboard.press(key)
        assert selected(page) == str(place), key
        active = page.locator("#list").get_attribute("aria-activedescendant")
        assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
    assert table["image"][0] in page.locator("#selected").inner_text()


def test_every_control_is_reached_by_tab_and_shows_its_focus(page):
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid", reached[-1]
    assert reached[:7] == ["system", "method", "label", "split", "outcome", "query", "map"]
    assert {"zoom-in", "zoom-out", "zoom-all", "list", "after"} <= set(reached)


def test_the_list_has_more_pages_than_one(page, table):
    assert page.locator("#before").is_disabled()
    page.click("#after")
    assert names(page) == table["image"].tolist()[100:]
    assert selected(page) == "101"
    page.click("#before")
    assert selected(page) == "1"


def test_keys_move_and_zoom_the_map(page):
    page.focus("#map")
    start = page.evaluate("placeOf(0)")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("placeOf(0)[0]") == pytest.approx(start[0] + 40)
    before = page.evaluate("seen.scale")
    page.keyboard.press("+")
    assert page.evaluate("seen.scale") > before
    page.keyboard.press("0")
    assert page.evaluate("placeOf(0)") == pytest.approx(start)


def test_a_drag_moves_the_map_and_chooses_nothing(page):
    i = alone(page)
    x, y = point(page, i)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20, steps=5)
    page.mouse.up()
    assert point(page, i) == pytest.approx((x + 30, y + 20))
    assert page.evaluate("state.selected") is None


def test_the_wheel_zooms_about_the_pointer(page):
    i = alone(page)
    x, y = point(page, i)
    page.mouse.move(x, y)
    before = page.evaluate("seen.scale")
    page.mouse.wheel(0, -100)
    page.wait_for_function("(before) => seen.scale > before", arg=before)
    assert point(page, i) == pytest.approx((x, y), abs=0.3)  # the pointer stands on whole px


def test_names_of_files_run_nothing_and_are_shown_as_they_are(page):
    page.fill("#query", "script")
    assert names(page) == [atlases.NAMES[70]]
    page.locator("#list [role=option]").first.click()
    assert page.locator("#selected p").first.inner_text() == atlases.NAMES[70]
    assert page.evaluate("typeof injected") == "undefined"


def test_a_tap_on_a_phone_chooses_a_point_and_nothing_is_wider_than_the_screen(chromium, url):
    with browser.opened(chromium, url, **browser.PHONE) as page:
        assert not browser.overflows(page)
        page.locator("#map").scroll_into_view_if_needed()
        page.touchscreen.tap(*point(page, alone(page)))
        assert page.locator("#neighbours li").count() == 5
        page.fill("#query", "aaaa")
        page.locator("#list [role=option]").first.click()
        assert page.locator("#selected p").first.inner_text() == atlases.NAMES[132]
        assert not browser.overflows(page)


def test_without_images_it_works_and_has_no_thumbnail(chromium, checkout):
    with browser.opened(chromium, (checkout / "none.html").as_uri()) as page:
        i = alone(page)
        page.mouse.move(*point(page, i))
        assert page.locator("#tip").is_visible()
        page.mouse.click(*point(page, i))
        assert page.locator("#neighbours li").count() == 5
        assert page.locator(".thumbnail").count() == 0


def test_a_dark_screen_gets_light_text_on_dark(chromium, url):
    with browser.opened(chromium, url, color_scheme="dark") as page:
        light = "(name) => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number)[0] > 128"
        assert page.evaluate(light, "color")
        assert not page.evaluate(light, "backgroundColor")


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, browser.PHONE], ids=["light", "dark", "phone"]
)
def test_axe_finds_no_serious_violation(chromium, url, options):
    with browser.opened(chromium, url, **options) as page:
        page.locator("#list [role=option]").nth(2).click()
        assert not browser.violations(page)
