"""Find the image files of a dataset and read its tables.

Layouts, `oncovec audit` and `oncovec predict` use the same rules for what is an image and what is a mask.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from oncovec.core.errors import OncovecError
from oncovec.data.tree import Folder

SUFFIXES = (
    *("jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "png", "apng", "tif", "tiff", "btf", "tf8"),
    *("bmp", "dib", "gif", "webp"),
)
"""Suffixes of images, in lower case; the first bytes of a file decide how it is read."""

UNREAD = (
    *("jp2", "j2k", "jpf", "jpx", "jxl", "heic", "heif", "avif", "dcm", "dicom", "nii", "nrrd", "mha"),
    *("svs", "ndpi", "mrxs", "scn", "bif", "vsi", "czi", "lif", "nd2", "psd", "exr", "tga", "ppm", "pgm"),
)
"""Suffixes of images that are not read. Such a file is named as an unreadable image, not passed over."""

_MASK = re.compile(
    r"[ _.-](?:mask|seg|segmentation|annotation|contour|gt|groundtruth)s?(?:[ _.-]?\d+)?$", re.I
)
_MASK_FOLDER = re.compile(
    r"(?:(?:ground[ _-]?truth|binary|lesion|tumou?r)?[ _-]?)?"
    r"(?:masks?|segmentations?|annotations?|contours?|ground[ _-]?truths?)(?:[ _-]?png)?",
    re.I,
)

UNKNOWN = ("", "-", "?", "na", "n/a", "<na>", "nan", "none", "null", "unknown")
"""Cells that mean an unknown value, in any letter case."""


@dataclass(frozen=True)
class Scan:
    """The files of a tree, in its order: images, masks of these images, and other files by suffix."""

    images: list[str]
    masks: list[str]
    others: Counter[str]

    def notes(self) -> list[str]:
        """Return a line on the masks and one on the other files; a line is empty if there are none."""
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self.others.items()))
        return [
            note(len(self.masks), "masks of other images left out"),
            note(self.others.total(), f"files that are no images ignored ({kinds})"),
        ]


@dataclass(frozen=True)
class TableRow:
    """One row of a table: its row number, where the header is row 1, and its cells without outer blanks."""

    number: int
    cells: Mapping[str, str]


def scan(paths: Sequence[str]) -> Scan:
    """Tell images, masks and other files apart, by file name only."""
    found = [path for path in paths if is_image(path)]
    others = Counter(_suffix(path) or "without suffix" for path in paths if not is_image(path))
    masks = masks_among(found)
    return Scan(
        [path for path in found if path not in masks], [path for path in found if path in masks], others
    )


def masks_among(images: Sequence[str]) -> set[str]:
    """Find the masks among images: those that are named after another image.

    A mask is called like an image of the same folder with `_mask`, `_mask_1`, `_segmentation` or the like
    added to its name. If there is such a mask, other images with the same addition are masks too, although
    their image is missing. A mask may also lie below a folder called masks, segmentations or the like, while
    an image lies in the same place without this folder, or with a folder of another name instead.
    """
    parts = {image: image.rpartition(".")[0].split("/") for image in images}
    there = {tuple(each) for each in parts.values()}
    short = {image: [*each[:-1], _MASK.sub("", each[-1])] for image, each in parts.items()}
    added = {image: _letters(each[-1][len(short[image][-1]) :]) for image, each in parts.items()}
    additions = {added[image] for image in images if added[image] and tuple(short[image]) in there}
    # Each image by its place with one of its folders left out, if that is no folder of masks.
    without = {
        (*each[:level], "", *each[level + 1 :])
        for each in parts.values()
        for level, folder in enumerate(each[:-1])
        if not _MASK_FOLDER.fullmatch(folder)
    }

    def is_beside(each: list[str]) -> bool:
        for level, folder in enumerate(each[:-1]):
            above, below = each[:level], each[level + 1 :]
            if _MASK_FOLDER.fullmatch(folder) and (
                (*above, *below) in there or (*above, "", *below) in without
            ):
                return True
        return False

    return {
        image
        for image, each in parts.items()
        if added[image] in additions or is_beside(each) or (added[image] and is_beside(short[image]))
    }


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.lower()))


def images_by_stem(paths: Iterable[str], folder: str) -> dict[str, str]:
    """Map file name without suffix to path, for the images directly in `folder`; '' is the top folder."""
    inside = [path for path in paths if path.rpartition("/")[0] == folder and is_image(path)]
    return {path.rpartition("/")[2].rpartition(".")[0]: path for path in inside}


def is_image(path: str) -> bool:
    """Whether a file is an image, read or not, by its suffix."""
    return _suffix(path) in (*SUFFIXES, *UNREAD)


def _suffix(path: str) -> str:
    """Return the suffix of a file in lower case, without its point; empty if there is none."""
    return path.rpartition("/")[2].rpartition(".")[2].lower() if "." in path.rpartition("/")[2] else ""


def nearest_folder(image: str, names: Iterable[str]) -> str | None:
    """Return the innermost folder of `image`, in lower case, that is one of `names`."""
    folders = image.lower().split("/")[:-1]
    return next((folder for folder in reversed(folders) if folder in names), None)


def read_rows(tree: Folder, name: str, columns: Sequence[str]) -> list[TableRow]:
    """Read a CSV that was not written by Oncovec.

    Cells may be parted by commas, semicolons or tabs; the header tells. Text is UTF-8, or UTF-16 with a byte
    order mark, as Excel writes it. Columns without a name, empty rows, and empty cells behind the last column
    are left out.

    Raises:
        OncovecError: if the file is missing, is not text, lacks one of `columns`, has a column twice, or has
            a row with more or fewer cells than the header. The message has the row number, if there is one.
    """
    where = tree.where(name)
    try:
        content = tree.read(name)
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = content.decode("utf-16" if wide else "utf-8-sig")
        mark = _separator(text)
        return list(
            _rows(where, csv.reader(StringIO(text, newline=""), delimiter=mark, strict=True), columns)
        )
    except FileNotFoundError:
        raise OncovecError(f"{where}: no such file; the images' labels are read from it") from None
    except (OSError, ValueError, csv.Error) as error:
        raise OncovecError(f"{where}: cannot be read as a CSV in UTF-8 ({error})") from None


def _separator(text: str) -> str:
    """Return what parts the cells of the header: a comma, unless it has only semicolons or tabs."""
    header = text.partition("\n")[0]
    return next((mark for mark in (";", "\t") if mark in header and "," not in header), ",")


def _rows(where: str, lines: Iterator[list[str]], columns: Sequence[str]) -> Iterator[TableRow]:
    header = [cell.strip() for cell in next(lines, [])]
    for column in columns:
        if column not in header:
            there = ", ".join(filter(None, header)) or "none"
            raise OncovecError(f"{where}: no column {column!r}; there are {there}")
    named = [column for column in header if column]
    if len(set(named)) < len(named):
        twice = next(column for column in named if named.count(column) > 1)
        raise OncovecError(f"{where}: the column {twice!r} is there twice; rename one")
    for number, line in enumerate(lines, start=2):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        if len(cells) != len(header):
            raise OncovecError(f"{where}: row {number} has {len(cells)} cells, the header {len(header)}")
        pairs = zip(header, cells, strict=True)
        yield TableRow(number, {column: cell for column, cell in pairs if column})


def known(cell: str) -> str:
    """Return the content of a cell; empty if it is one of `UNKNOWN`."""
    return "" if cell.lower() in UNKNOWN else cell


def note(count: int, what: str) -> str:
    """Return a line with a count and what is counted; empty if the count is 0."""
    return f"{count} {what}" if count else ""
