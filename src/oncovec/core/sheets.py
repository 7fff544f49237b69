"""Pictures with matplotlib: the common style, and grids of dataset images with captions."""

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from oncovec.core.files import replacing
from oncovec.core.palette import GREEN, GREY, RED

Pixels = NDArray[np.uint8]


class Frame(NamedTuple):
    """The frame of an image in a grid."""

    colour: str
    dashed: bool = False


RIGHT, WRONG, NEUTRAL = Frame(GREEN), Frame(RED, dashed=True), Frame(GREY)
"""Frames of what is as it should be, of what is not, and of what is neither."""

EMPTY = np.full((1, 1, 3), 255, np.uint8)
"""An image that shows nothing, for a cell that stays empty."""

DPI = 100
GAP, BORDER, LINE, FONT_SIZE = 6, 3, 13, 7.5
"""Gap between cells, width of a border and height of a text line, in px; font size in points."""

CHARACTER, DASH = 6, 8
"""Average width of a character and length of a dash, in px."""

PREDICTION = ("image", "label", "predicted", "confidence", "ood_score")
"""Columns of a table of predictions that pictures show; the confidence is that of the predicted class."""

HEAT, OPACITY = "inferno", 0.75
"""Colours of heat maps, of matplotlib; opacity where a map is 1. Where it is 0, the map is transparent."""

FONTS = (
    *("DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari"),
    *("WenQuanYi Zen Hei", "Arial Unicode MS", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
)
"""Fonts for names: a character is written in the first that has it. matplotlib brings the first; it has no
Chinese, Japanese, Korean or scripts of India."""

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ececec",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "legend.fontsize": 8,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of this module, independent of the user's matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        matplotlib.rcParams["font.family"] = list(_fonts())
        yield


@cache
def _fonts() -> dict[str, frozenset[int]]:
    """Return the characters of each of `FONTS` that is installed."""
    installed = set(font_manager.get_font_names())
    return {
        name: frozenset(font_manager.get_font(font_manager.findfont(name)).get_charmap())
        for name in FONTS
        if name in installed
    }


def legible(text: str) -> str:
    """Return a text for a picture, with the number of each character that no installed font has."""
    known = frozenset().union(*_fonts().values())
    return "".join(
        char if char == "\n" or ord(char) in known else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def save(figure: Figure, path: Path, colours: int | None = None) -> None:
    """Write a figure as PNG without metadata, so that equal figures give equal bytes.

    Args:
        figure: a figure of this module or in its style.
        path: path of the file.
        colours: number of colours, at most 256; None keeps all. A chart with 128 colours takes a third of the
            space in Git.
    """
    drawn = io.BytesIO()
    figure.set_dpi(DPI)
    with styled():
        figure.savefig(drawn, format="rgba", dpi="figure")
    image = Image.frombytes("RGBA", figure.canvas.get_width_height(), drawn.getvalue()).convert("RGB")
    if colours:
        image = image.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    with replacing(path) as part:
        image.save(part, "PNG")


def grid(
    images: Sequence[Pixels],
    captions: Sequence[str],
    columns: int,
    cell: int = 96,
    borders: Sequence[Frame | None] | None = None,
    row_titles: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw images in rows of `columns`, each with its caption below.

    Args:
        images: (H, W, 3) uint8 each, of any size; each is fitted into its cell and keeps its proportions.
        captions: one per image; lines are separated by a newline and cut to the cell's width.
        columns: images per row, at least 1.
        cell: side of a cell, in px.
        borders: a frame or None per image.
        row_titles: one title per row, above the row.
        title: title above all rows, in as many lines as it needs; empty for no title.
    """
    n_rows = -(-len(images) // columns)
    lines = max((caption.count("\n") + 1 for caption in captions if caption), default=0)
    width, row_title = cell + GAP, (LINE + GAP if row_titles else 0)
    height, room = row_title + cell + lines * LINE + GAP, columns * width - GAP
    titles = textwrap.wrap(title, room // CHARACTER)
    above = len(titles) * LINE + (GAP if titles else 0)
    # One picture of all cells is drawn in a tenth of the time of one picture per cell.
    canvas = Image.new("RGB", (GAP + columns * width, GAP + above + n_rows * height), "white")
    texts = [(GAP, GAP, "\n".join(titles), room)]
    texts += [(GAP, GAP + above + row * height, text, room) for row, text in enumerate(row_titles or [])]
    for number, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
        left = GAP + number % columns * width
        top = GAP + above + number // columns * height + row_title
        if borders and (frame := borders[number]):
            _draw_frame(canvas, frame, left, top, cell)
        small = _fitted(pixels, cell - 2 * BORDER if borders else cell)
        canvas.paste(small, (left + (cell - small.width) // 2, top + (cell - small.height) // 2))
        texts.append((left, top + cell, caption, cell))
    with styled():
        figure = Figure(figsize=(canvas.width / DPI, canvas.height / DPI), dpi=DPI)
        figure.add_artist(_Canvas(canvas))
        for x, y, text, most in texts:
            _write(figure, x / canvas.width, 1 - y / canvas.height, text, most)
    return figure


class _Canvas(Artist):
    """The cells of a figure as they are; `figimage` would resample them, which takes most of the drawing."""

    def __init__(self, canvas: Image.Image):
        super().__init__()
        self._pixels = np.asarray(canvas.convert("RGBA"))[::-1]

    def draw(self, renderer: RendererBase) -> None:
        """Draw the pixels from the lower left corner on."""
        context = renderer.new_gc()
        renderer.draw_image(context, 0, 0, self._pixels)
        context.restore()


def _draw_frame(canvas: Image.Image, frame: Frame, left: int, top: int, cell: int) -> None:
    dash = DASH if frame.dashed else cell
    for start in range(0, cell, 2 * dash):
        end = min(start + dash, cell)
        for near, far in ((0, BORDER), (cell - BORDER, cell)):
            canvas.paste(frame.colour, (left + start, top + near, left + end, top + far))
            canvas.paste(frame.colour, (left + near, top + start, left + far, top + end))


def _fitted(pixels: Pixels, room: int) -> Image.Image:
    """Resize an image to fit into a square of `room` px."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    size = [max(1, round(side * room / max(image.size))) for side in image.size]
    # Small images are enlarged without smoothing, to show the pixels that the model receives.
    enlarged = size[0] > image.width
    return image.resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS)


def _write(figure: Figure, x: float, y: float, text: str, room: int) -> None:
    """Write text below (x, y), each line cut to `room` px; matplotlib does not parse it as a formula."""
    most = room // CHARACTER
    lines = [line if len(line) <= most else line[: most - 1] + "…" for line in legible(text).split("\n")]
    if text:
        figure.text(x, y, "\n".join(lines), fontsize=FONT_SIZE, va="top", linespacing=1.1, parse_math=False)


def spread(labels: Sequence[str], each: int) -> dict[str, list[int]]:
    """Choose up to `each` rows of every label, spread evenly over its rows; '' means no label."""
    chosen: dict[str, list[int]] = {}
    for label in sorted(set(labels) - {""}):
        rows = [row for row, other in enumerate(labels) if other == label]
        places = np.linspace(0, len(rows) - 1, min(each, len(rows))).round().astype(int)
        chosen[label] = [rows[place] for place in places]
    return chosen


def samples(pixels: Pixels, labels: Sequence[str], each: int = 8) -> Figure:
    """Show up to `each` images of every class, one row per class.

    Args:
        pixels: (N, H, W, 3); may be memory-mapped.
        labels: (N,), in the same order.
        each: images per row.
    """
    chosen = spread(labels, each)
    shown: list[Pixels] = []
    for rows in chosen.values():
        shown += [pixels[row] for row in rows]
        shown += [EMPTY] * (each - len(rows))
    titles = [f"{label} ({labels.count(label)} images)" for label in chosen]
    return grid(shown, [""] * len(shown), each, row_titles=titles)


def preview(originals: Sequence[Pixels], draws: Sequence[Sequence[Pixels]]) -> Figure:
    """Show each original in the first column and its augmented versions beside it.

    Args:
        originals: (H, W, 3) each.
        draws: k augmented versions of each original.
    """
    shown: list[Pixels] = []
    captions: list[str] = []
    borders: list[Frame | None] = []
    for original, row in zip(originals, draws, strict=True):
        shown += [original, *row]
        captions += ["original", *(f"draw {number}" for number in range(1, len(row) + 1))]
        borders += [NEUTRAL, *[None] * len(row)]
    return grid(shown, captions, 1 + len(draws[0]), borders=borders)


def prediction_captions(table: pd.DataFrame) -> list[str]:
    """Return a caption of four lines for each row of a table of predictions; its columns are `PREDICTION`."""
    return [
        f"{label}\n{'✓' if label == predicted else '✗'} {predicted}\nconfidence {float(confidence):.2f}\n"
        f"{'OOD' if float(ood_score) > 1 else 'OOD score'} {float(ood_score):.2f}"
        for _, label, predicted, confidence, ood_score in table[list(PREDICTION)].itertuples(index=False)
    ]


def heat_layer(heat: NDArray[np.float32]) -> Image.Image:
    """Return a heat map (H, W) in 0..1 as a layer over its image; it is transparent where the map is 0."""
    pixels = matplotlib.colormaps[HEAT](heat, bytes=True)
    pixels[..., 3] = np.rint(255 * OPACITY * heat)
    return Image.fromarray(pixels)


def overlaid(pixels: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """Lay a heat map (H, W) over its image (H, W, 3)."""
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGBA")
    return np.asarray(Image.alpha_composite(image, heat_layer(heat)).convert("RGB"))
