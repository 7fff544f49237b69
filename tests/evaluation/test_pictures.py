import numpy as np
import pandas as pd
from PIL import Image
from synthetic import embeddings

from oncovec.core import palette, sheets
from oncovec.evaluation import knn, pictures, predictions

RED, GREEN = (tuple(bytes.fromhex(colour[1:])) for colour in (palette.RED, palette.GREEN))


def drawn(figure, tmp_path):
    """The picture as it is saved."""
    sheets.save(figure, tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as image:
        return image.copy()


def plain(value, shape=(8, 8)):
    return np.full((*shape, 3), value, np.uint8)


def test_names_in_any_script_are_legible():
    assert sheets.legible("Größe Снимок صورة\nη") == "Größe Снимок صورة\nη"
    known = set().union(*sheets._fonts().values())
    lacking = chr(next(code for code in range(0x4E00, 0x9FFF) if code not in known))
    assert sheets.legible(f"a{lacking}") == f"a\\u{ord(lacking):x}"
    assert sheets.legible("a\tb") == "a\\tb"


def test_every_image_stands_in_its_cell(tmp_path):
    sheet = sheets.grid([plain(value) for value in (10, 60, 110)], ["", "", ""], columns=2, cell=20)
    pixels = np.array(drawn(sheet, tmp_path))
    step, centre = 20 + sheets.GAP, sheets.GAP + 10
    assert pixels[centre, centre].tolist() == [10] * 3
    assert pixels[centre, centre + step].tolist() == [60] * 3
    assert pixels[centre + step, centre].tolist() == [110] * 3
    assert pixels[centre + step, centre + step].tolist() == [255] * 3


def test_images_keep_their_proportions(tmp_path):
    pixels = np.array(drawn(sheets.grid([plain(0, (10, 40))], [""], columns=1, cell=40), tmp_path))
    assert (pixels == 0).all(axis=2).sum() == 10 * 40


def test_captions_and_titles_do_not_touch_the_images(tmp_path):
    images = [plain([250, 10, 10]), plain([10, 10, 250])]
    long = "a caption much longer than its cell"
    sheet = sheets.grid(images, [long, "b\nc"], columns=1, cell=30, row_titles=["first", "second"])
    colours = {colour: count for count, colour in drawn(sheet, tmp_path).getcolors(10_000)}
    assert colours[(250, 10, 10)] == colours[(10, 10, 250)] == 900


def test_a_border_has_its_colour(tmp_path):
    sheet = sheets.grid([plain(0), plain(0)], ["", ""], 2, cell=20, borders=[palette.GREEN, None])
    colours = {colour for _, colour in drawn(sheet, tmp_path).getcolors(100_000)}
    assert GREEN in colours and RED not in colours


def test_a_saved_picture_has_no_metadata_and_the_same_bytes_twice(tmp_path):
    for name in ("a.png", "b.png"):
        sheets.save(sheets.grid([plain(3)], ["x"], 1), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.info == {}


def test_samples_are_spread_over_a_class_and_skip_what_has_no_label():
    labels = ["b"] * 10 + [""] * 3 + ["a"]
    assert sheets.spread(labels, 4) == {"a": [13], "b": [0, 3, 6, 9]}


def test_samples_have_a_row_a_class(tmp_path):
    sheet = sheets.samples(np.zeros((6, 8, 8, 3), np.uint8), ["a", "a", "b", "b", "b", "c"], each=2)
    one_row = sheets.samples(np.zeros((2, 8, 8, 3), np.uint8), ["a", "a"], each=2)
    heights = [drawn(figure, tmp_path).height - sheets.GAP for figure in (sheet, one_row)]
    assert heights[0] == 3 * heights[1]


def test_half_of_the_queries_are_wrong_ones_where_there_are_enough():
    content = embeddings(noise=2.5)
    output = predictions.of_splits(content, knn.fit(content, [5]), ["test"])[0]
    wrong = output.labels != output.predicted
    chosen = pictures.queries(output, 6, 0)
    assert wrong[chosen].tolist() == [True] * 3 + [False] * 3
    assert sorted(pictures.queries(output, 500, 0).tolist()) == list(range(30))


def test_neighbours_are_green_where_the_label_agrees(tmp_path):
    content = embeddings(noise=0.0)
    gallery = knn.fit(content, [3])
    output = predictions.of_splits(content, gallery, ["test"])[0]
    table = pd.DataFrame({"image": content.images})
    pixels = np.zeros((len(table), 8, 8, 3), np.uint8)
    sheet = pictures.neighbours(pixels, table, content, gallery, output, pictures.queries(output, 4, 0))
    colours = {colour for _, colour in drawn(sheet, tmp_path).getcolors(100_000)}
    assert GREEN in colours and RED not in colours
