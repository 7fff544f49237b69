"""Pictures that show dataset images: grids with captions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from oncovec.core.files import replacing

Pixels = NDArray[np.uint8]

GREEN, RED, GREY = "#2e9e4f", "#d0342c", "#9a9a9a"
GAP, BORDER, LINE, FONT_SIZE = 6, 3, 13, 10


def grid(
    images: Sequence[Pixels],
    captions: Sequence[str],
    columns: int,
    cell: int = 96,
    borders: Sequence[str | None] | None = None,
    row_titles: Sequence[str] | None = None,
    title: str = "",
) -> Image.Image:
    """Lay images out in rows of `columns`, each with its caption below.

    Args:
        images: (H, W, 3) uint8 each, of any size; fitted into the cell with their proportions kept.
        captions: one an image; lines are parted by a newline and cut to the cell's width.
        columns: images a row, at least 1.
        cell: side of a cell, pixels.
        borders: a colour or None an image.
        row_titles: one a row, written above it.
        title: written above all of them, if there is one.
    """
    font = ImageFont.load_default(FONT_SIZE)
    n_rows = -(-len(images) // columns)
    lines = max((caption.count("\n") + 1 for caption in captions if caption), default=0)
    above, row_title = (LINE + GAP if title else 0), (LINE + GAP if row_titles else 0)
    width, height = cell + GAP, row_title + cell + lines * LINE + GAP
    sheet = Image.new("RGB", (GAP + columns * width, GAP + above + n_rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    room = columns * width - GAP
    draw.text((GAP, GAP), _cut(title, room, font), "black", font)
    for row, text in enumerate(row_titles or []):
        draw.text((GAP, GAP + above + row * height), _cut(text, room, font), "black", font)
    for number, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
        left = GAP + number % columns * width
        top = GAP + above + number // columns * height + row_title
        border = borders[number] if borders else None
        if border:
            draw.rectangle((left, top, left + cell - 1, top + cell - 1), outline=border, width=BORDER)
        _paste(sheet, pixels, left, top, cell, BORDER if borders else 0)
        for line, text in enumerate(caption.split("\n")):
            draw.text((left, top + cell + line * LINE), _cut(text, cell, font), "black", font)
    return sheet


def _paste(sheet: Image.Image, pixels: Pixels, left: int, top: int, cell: int, margin: int) -> None:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    room = cell - 2 * margin
    scale = room / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Small images are enlarged without smoothing, to show what the model sees.
    filtering = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    image = image.resize(size, filtering)
    sheet.paste(image, (left + (cell - size[0]) // 2, top + (cell - size[1]) // 2))


def _cut(text: str, room: int, font: Any) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


def save(image: Image.Image, path: Path) -> None:
    """Write a PNG without metadata."""
    with replacing(path) as part:
        image.save(part, "PNG")


def spread(labels: Sequence[str], each: int) -> dict[str, list[int]]:
    """Choose up to `each` rows of every label, spread evenly over its rows; '' is no label."""
    chosen: dict[str, list[int]] = {}
    for label in sorted(set(labels) - {""}):
        rows = [row for row, other in enumerate(labels) if other == label]
        places = np.linspace(0, len(rows) - 1, min(each, len(rows))).round().astype(int)
        chosen[label] = [rows[place] for place in places]
    return chosen


def samples(pixels: Pixels, labels: Sequence[str], each: int = 8) -> Image.Image:
    """Show up to `each` images of every class, a row a class.

    Args:
        pixels: (N, H, W, 3), may be memory-mapped.
        labels: (N,), in the same order.
        each: images a row.
    """
    chosen = spread(labels, each)
    shown: list[Pixels] = []
    for rows in chosen.values():
        shown += [pixels[row] for row in rows]
        shown += [np.full((1, 1, 3), 255, np.uint8)] * (each - len(rows))
    titles = [f"{label} ({labels.count(label)} images)" for label in chosen]
    return grid(shown, [""] * len(shown), each, row_titles=titles)


def preview(originals: Sequence[Pixels], draws: Sequence[Sequence[Pixels]]) -> Image.Image:
    """Show each original in the first column and its augmented draws beside it.

    Args:
        originals: (H, W, 3) each.
        draws: for each original, its k draws.
    """
    shown: list[Pixels] = []
    captions: list[str] = []
    borders: list[str | None] = []
    for original, row in zip(originals, draws, strict=True):
        shown += [original, *row]
        captions += ["original", *(f"draw {number}" for number in range(1, len(row) + 1))]
        borders += [GREY, *[None] * len(row)]
    return grid(shown, captions, 1 + len(draws[0]), borders=borders)
