from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic import embeddings

from oncovec.core import sheets, tables
from oncovec.evaluation import knn, pictures, predictions

COLOURS = [list(bytes.fromhex(frame.colour[1:])) for frame in (sheets.RIGHT, sheets.WRONG)]
"""Of right and of wrong."""


def colours_of(pixels):
    return {tuple(colour) for colour in np.asarray(pixels).reshape(-1, 3).tolist()}


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


def test_a_solid_frame_goes_all_round_and_a_dashed_one_has_gaps_on_each_side(tmp_path):
    sheet = sheets.grid([plain(0), plain(0), plain(0)], [""] * 3, 3, 20, [sheets.RIGHT, sheets.WRONG, None])
    pixels = np.array(drawn(sheet, tmp_path))
    for number, share in enumerate((1.0, 0.6)):
        left = sheets.GAP + number * (20 + sheets.GAP)
        cell = pixels[sheets.GAP : sheets.GAP + 20, left : left + 20]
        for side in (cell[0], cell[-1], cell[:, 0], cell[:, -1]):
            assert (side == COLOURS[number]).all(axis=1).mean() == pytest.approx(share, abs=0.15)
    assert {tuple(COLOURS[0]), tuple(COLOURS[1])} < colours_of(pixels)


def test_a_long_title_has_as_many_lines_as_it_needs(tmp_path):
    heights = [
        drawn(sheets.grid([plain(0)], [""], 1, 96, title=text), tmp_path).height for text in ("a", "a " * 40)
    ]
    assert heights[1] - heights[0] == 4 * sheets.LINE


def test_a_grid_without_images_is_its_title(tmp_path):
    picture = drawn(sheets.grid([], [], 4, title="nothing to see"), tmp_path)
    assert picture.height < 40 and len(picture.getcolors(100_000)) > 1


def test_a_caption_tells_class_prediction_confidence_and_whether_it_is_out_of_distribution():
    rows = [("a.png", "ant", "bee", "0.75", "1.25"), ("b.png", "ant", "ant", 1.0, 0.5)]
    assert sheets.prediction_captions(tables.of(sheets.PREDICTION, rows)) == [
        "ant\n✗ bee\nconfidence 0.75\nOOD 1.25",
        "ant\n✓ ant\nconfidence 1.00\nOOD score 0.50",
    ]


def test_a_heat_map_leaves_an_image_as_it_is_where_it_is_0():
    heat = np.zeros((8, 8), np.float32)
    heat[2, 3] = 1
    found = sheets.overlaid(plain(100), heat)
    changed = (found != 100).any(axis=2)
    assert changed[2, 3] and changed.sum() == 1


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


def evaluated(content, k=5, side=8):
    """A split of drawn embeddings, each image in a grey of its own."""
    gallery = knn.fit(content, [k])
    table = pd.DataFrame({"image": content.images})
    pixels = (
        np.zeros((len(table), side, side, 3), np.uint8)
        + np.arange(len(table), dtype=np.uint8)[:, None, None, None]
    )
    return pictures.Evaluated(
        pixels, table, content, gallery, predictions.of_splits(content, gallery, ["test"])[0]
    )


def test_half_of_the_queries_are_wrong_ones_where_there_are_enough():
    shown = evaluated(embeddings(noise=2.5))
    assert shown.right[pictures.queries(shown, 6, 0)].tolist() == [False] * 3 + [True] * 3
    assert sorted(pictures.queries(shown, 500, 0).tolist()) == list(range(30))


@pytest.mark.parametrize("steps", [1, 50, 1000])
def test_the_most_confident_mistakes_come_first_and_of_equal_ones_the_nearest_to_the_gallery(steps):
    shown = evaluated(embeddings(noise=2.5))
    rounded = np.ceil(shown.output.probabilities * steps) / steps
    shown = replace(shown, output=replace(shown.output, probabilities=rounded))
    asked = pictures.queries(shown, 500, 0)
    wrong = asked[~shown.right[asked]]
    distances = shown.gallery.neighbours(shown.vectors(wrong))[0][:, 0]
    confidences = rounded.max(axis=1)[wrong]
    keys = list(zip(-confidences, distances, strict=True))
    assert keys == sorted(keys)
    assert (len(set(confidences)) == 1) == (steps == 1)


def test_another_seed_draws_other_right_predictions_and_the_same_mistakes():
    shown = evaluated(embeddings(noise=2.0))
    first, again, other = (pictures.queries(shown, 8, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
    assert first[:4].tolist() == other[:4].tolist()


def test_the_table_of_predictions_says_what_was_predicted_how_surely_and_how_unlike_training_it_is():
    shown = evaluated(embeddings(noise=2.5))
    asked = pictures.queries(shown, 500, 0)
    found = shown.predictions(asked)
    assert tuple(found.columns) == sheets.PREDICTION
    assert found["image"].tolist() == shown.embeddings.images[shown.output.rows[asked]].tolist()
    assert ((found["label"] == found["predicted"]) == shown.right[asked]).all()
    vectors = shown.vectors(asked)
    score = shown.gallery.ood_score(vectors, shown.output.predicted[asked])
    assert np.allclose(found["ood_score"], score)
    assert found["confidence"].between(1 / 3 - 1e-9, 1).all()


def test_neighbours_have_solid_green_frames_where_the_label_agrees(tmp_path):
    shown = evaluated(embeddings(noise=0.0), k=3)
    picture = drawn(pictures.neighbours(shown, pictures.queries(shown, 4, 0)), tmp_path)
    assert tuple(COLOURS[0]) in colours_of(picture) and tuple(COLOURS[1]) not in colours_of(picture)


def test_a_mistake_and_the_neighbours_that_misled_have_dashed_orange_frames(tmp_path):
    shown = evaluated(embeddings(noise=2.5))
    wrong = np.flatnonzero(~shown.right)
    _, nearest = shown.gallery.neighbours(shown.vectors(wrong), 1)
    wrong = wrong[shown.gallery.labels[nearest[:, 0]] != shown.output.labels[wrong]][:1]
    pixels = np.array(drawn(pictures.neighbours(shown, wrong, most=1), tmp_path))
    assert (pixels == COLOURS[1]).all(axis=2).any()
    assert not (pixels == COLOURS[0]).all(axis=2).any()


def test_eight_neighbours_are_shown_however_many_vote(tmp_path):
    widths = []
    for k in (1, 15):
        shown = evaluated(embeddings(), k=k)
        picture = drawn(pictures.neighbours(shown, pictures.queries(shown, 1, 0)), tmp_path)
        widths.append(picture.width)
    assert widths == [sheets.GAP + 9 * (pictures.CELL + sheets.GAP)] * 2
