import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.transforms import Bbox
from synthetic import embeddings

from oncovec.core import palette, tables
from oncovec.evaluation import knn, overlay, overview, plots, predictions, report

TEN = tuple(f"class {number}" for number in range(10))
BINARY = {"classes": ("benign", "malignant"), "positive": "malignant", "head": True}
EPOCHS = [(epoch, 1 / epoch, 2 / epoch, 0.5, 0.6) for epoch in (1, 2, 3)]
METRICS = [
    ("test", model, "all", "all", "auroc", value, value - 0.1, value + 0.1)
    for model, value in (("knn", 0.7), ("head", 0.8), ("majority", 0.5))
]


def tables_of(outputs, content):
    """A system's tables of text, as the page reads them."""
    found = plots.of_system(content, outputs, tables.of(report.REPORT_COLUMNS, METRICS), [], 500, 0)
    found["history"] = tables.of(overlay.COLUMNS["history"], EPOCHS)
    return {kind: each.astype(str) for kind, each in found.items()}


def drawn(**options):
    """The page of a system, the axes of each panel by its title, and the tables behind it."""
    content = embeddings(noise=1.5, **options)
    outputs = predictions.of_splits(content, knn.fit(content, [5]), ["test"])
    found = tables_of(outputs, content)
    figure = overview.draw("zoo", ["one", "two"], found)
    return figure, {title: axes for axes in figure.axes if (title := axes.get_title(loc="left"))}, found


@pytest.fixture(scope="module")
def binary():
    return drawn(**BINARY)


@pytest.fixture(scope="module")
def ten():
    return drawn(classes=TEN, splits={"train": 100, "val": 30, "test": 30})


def panel(axes_of, start):
    return next(axes for title, axes in axes_of.items() if title.startswith(start))


def test_the_page_of_a_binary_system_has_a_panel_for_each_question(binary):
    figure, axes_of, _ = binary
    assert {title.split()[0] for title in axes_of} == {
        *("Metrics,", "Confusion", "ROC", "Precision-recall", "Training", "Reliability", "Embedding")
    }
    assert (figure.get_size_inches() * figure.dpi).tolist() == [overview.WIDTH, overview.HEIGHT]


@pytest.mark.parametrize("name", ["binary", "ten"])
def test_no_panel_covers_another_or_leaves_the_page(name, request):
    _, axes_of, _ = request.getfixturevalue(name)
    bodies = []
    for axes in axes_of.values():
        axis_boxes = (axis.get_tightbbox() for axis in (axes.xaxis, axes.yaxis))
        bodies.append(Bbox.union([axes.get_window_extent(), *filter(None, axis_boxes)]))
        whole = axes.get_tightbbox()
        assert whole.x0 >= 0 and whole.x1 <= overview.WIDTH and whole.y0 >= 0
    for number, box in enumerate(bodies):
        assert not any(box.overlaps(other) for other in bodies[number + 1 :])


def test_the_confusion_matrix_is_coloured_by_share_and_says_the_count(binary):
    _, axes_of, found = binary
    axes, cells = panel(axes_of, "Confusion"), found["confusion"]
    assert np.allclose(axes.images[0].get_array().ravel(), cells["share"].astype(float))
    written = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    for number, (images, share) in enumerate(zip(cells["images"], cells["share"].astype(float), strict=True)):
        assert written[divmod(number, 2)] == f"{images}\n{share:.0%}"


def test_the_cells_of_ten_classes_say_the_count_of_those_with_images(ten):
    _, axes_of, found = ten
    counts = [count for count in found["confusion"]["images"] if count != "0"]
    assert [text.get_text() for text in panel(axes_of, "Confusion").texts] == counts


def test_precision_and_recall_have_the_line_of_a_random_ranking(binary):
    _, axes_of, found = binary
    lines = panel(axes_of, "Precision-recall").lines
    assert {tuple(line.get_ydata()) for line in lines if line.get_linestyle() == ":"} == {(0.5, 0.5)}
    points = [len(line.get_xdata()) for line in lines if line.get_drawstyle() == "steps-post"]
    models = found["precision_recall"]["model"]
    assert points == [(models == "knn").sum(), (models == "head").sum()]


def test_train_is_small_and_val_is_hollow_and_test_is_filled(binary):
    _, axes_of, _ = binary
    drawn_points = panel(axes_of, "Embedding").collections  # the two classes of train, of val and of test
    assert [len(points.get_offsets()) for points in drawn_points] == [30, 30, 15, 15, 15, 15]
    sizes = [points.get_sizes()[0] for points in drawn_points]
    assert max(sizes[:2]) < min(sizes[2:]) / 2
    assert [len(points.get_facecolors()) for points in drawn_points] == [30, 30, 0, 0, 15, 15]


def test_classes_have_the_looks_of_the_palette_in_legend_curves_and_points(ten):
    figure, axes_of, _ = ten
    looks = palette.of_classes(TEN).values()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(TEN)
    named = [(line.get_color(), line.get_marker()) for line in legend.get_lines()]
    assert named == [(look.colour, look.marker) for look in looks]
    curves = [line.get_color() for line in panel(axes_of, "ROC").lines[1:]]
    assert curves == [look.colour for look in looks]
    points = {tuple(colour) for each in panel(axes_of, "Embedding").collections for colour in each.get_ec()}
    assert {to_rgb(look.colour) for look in looks} <= {colour[:3] for colour in points}


@pytest.mark.parametrize(("count", "shown"), [(28, 1), (29, 0)])
def test_the_page_names_up_to_28_classes(count, shown):
    names = [f"a class of tissue {number}" for number in range(count)]
    figure, _, _ = drawn(classes=names, splits={"train": 2 * count, "val": count, "test": count})
    assert len(figure.legends) == shown
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x1 <= overview.WIDTH and box.y0 >= 0


def test_a_split_of_one_class_has_a_page_without_curves():
    content = embeddings()
    output = predictions.of_splits(content, knn.fit(content, [5]), ["test"])[0]
    found = tables_of([output.only(np.flatnonzero(output.labels == 0))], content)
    figure = overview.draw("zoo", [], found)
    (axes,) = (each for each in figure.axes if each.get_title(loc="left").startswith("Precision-recall"))
    assert not axes.lines
