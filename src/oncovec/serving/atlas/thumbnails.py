"""Thumbnails of the atlas: small copies of prepared images, many on one sheet, as WebP."""

import base64
import io
from collections.abc import Iterator, Sequence

from PIL import Image

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.data import index, prepare

SIDE = 64
"""Side of a thumbnail in px: a multiple of 16, the block of WebP, so that none colours its neighbour."""

ACROSS = 16
"""Thumbnails in a row of a sheet, and rows of a full sheet."""

QUALITY = 60


def sheets(dataset: str, images: Sequence[str]) -> list[str]:
    """Return sheets of `ACROSS` x `ACROSS` thumbnails of images of a dataset, in order, as base64 of WebP.

    Raises:
        OncovecError: if the prepared images are missing, damaged, or lack one of `images`.
    """
    rows = index.rows_of(index.read(paths.index(dataset)), images)
    if missing := int((rows < 0).sum()):
        raise OncovecError(
            f"{paths.index(dataset)}: lacks {missing} of {len(images)} images that were embedded; "
            "the dataset was prepared anew since then, run `dvc repro`"
        )
    return [base64.b64encode(sheet).decode("ascii") for sheet in _drawn(dataset, rows.tolist())]


def _drawn(dataset: str, rows: Sequence[int]) -> Iterator[bytes]:
    pixels = prepare.open_prepared(dataset)
    for start in range(0, len(rows), ACROSS**2):
        block = rows[start : start + ACROSS**2]
        sheet = Image.new("RGB", (ACROSS * SIDE, -(-len(block) // ACROSS) * SIDE))
        for place, row in enumerate(block):
            small = Image.fromarray(pixels[row]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(small, (place % ACROSS * SIDE, place // ACROSS * SIDE))
        stream = io.BytesIO()
        sheet.save(stream, "WEBP", quality=QUALITY, method=4)
        yield stream.getvalue()
