"""Find the image files of a dataset and read its tables.

Layouts, `oncovec audit` and `oncovec predict` use the same rule for what is an image, what is a mask or a
thumbnail of another image, and what is neither.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from oncovec.core.errors import OncovecError, one_line
from oncovec.data import dicom
from oncovec.data.tree import Folder

SUFFIXES = (
    *("jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "png", "apng", "tif", "tiff", "btf", "tf8"),
    *("bmp", "dib", "gif", "webp", *dicom.SUFFIXES),
)
"""Suffixes of images, in lower case; the first bytes of a file decide how it is read."""

UNREAD = (
    *("jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "jxl", "heic", "heif", "hif", "avif"),
    *("nii", "nrrd", "mha", "svs", "ndpi", "mrxs", "scn", "bif", "vsi", "czi", "lif", "nd2"),
    *(
        "qptiff",
        "tf2",
        "dng",
        "cr2",
        "cr3",
        "nef",
        "arw",
        "orf",
        "raf",
        "rw2",
        "pef",
        "psd",
        "exr",
        "tga",
        "ppm",
        "pgm",
        "ico",
    ),
)
"""Suffixes of images that are not read. Such a file is named as an unreadable image, not passed over."""

_KINDS = (
    "mask|seg|segmentation|annotation|annot|anno|contour|outline|overlay|label|gt|groundtruth"
    "|thumb|thumbnail|preview"
)
_BEHIND = re.compile(rf"[ _.-](?:{_KINDS})s?(?:[ _.-]?\d+)?$", re.I)
_BEFORE = re.compile(rf"^(?:{_KINDS})s?[ _.-]", re.I)
_ALONE = re.compile(r"(?:mask|seg|segmentation|label|gt|groundtruth)s?", re.I)
_FOLDER = re.compile(
    r"(?:(?:ground[ _-]?truth|binary|lesion|tumou?r)[ _-]?)?"
    r"(?:masks?|segmentations?|annotations?|contours?|outlines?|overlays?|labels?|ground[ _-]?truths?|gt"
    r"|thumb(?:nail)?s?|previews?)(?:[ _-]?png)?",
    re.I,
)
_IMAGES = re.compile(r"(?:images?|imgs?|originals?|raw)", re.I)
_SHEET, _BESIDE_SHEET = "pairs.png", ("audit.json", "pairs.csv")
"""The picture that an audit writes, and the tables beside it."""

_WORKBOOK = (b"PK\3\4", b"\xd0\xcf\x11\xe0")
"""First bytes of .xlsx and .ods, and of .xls."""

UNKNOWN = ("", "-", "?", "na", "n/a", "<na>", "nan", "none", "null", "unknown")
"""Cells that mean an unknown value, in any letter case."""


@dataclass(frozen=True)
class Scan:
    """The files of a tree, in its order.

    Attributes:
        images: images, and files that are named like images.
        masks: masks and thumbnails of these images.
        others: other files, counted by suffix.
        hidden: hidden files and folders, and those of the system.
    """

    images: list[str]
    masks: list[str]
    others: Counter[str]
    hidden: list[str]

    def notes(self) -> list[str]:
        """Return a line on each kind of files that are left out, with an example; '' if there are none."""
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self.others.items()))
        return [
            note(len(self.masks), f"masks or thumbnails of other images left out{_such_as(self.masks)}"),
            note(self.others.total(), f"files that are no images ignored ({kinds})"),
            note(len(self.hidden), f"hidden or system files and folders ignored{_such_as(self.hidden)}"),
        ]


@dataclass(frozen=True)
class TableRow:
    """One row of a table: its row number in the file, and its cells without outer blanks."""

    number: int
    cells: Mapping[str, str]


def scan(paths: Sequence[str], hidden: Sequence[str] = (), tree: Folder | None = None) -> Scan:
    """Tell images, masks and other files apart.

    Args:
        paths: plain files, as `Folder.walk` returns them.
        hidden: hidden files and folders, likewise.
        tree: their tree, see `images_among`.
    """
    sheets = _sheets(paths)
    found = [path for path in images_among(paths, tree) if path not in sheets]
    others = Counter(_suffix(path) or "without suffix" for path in sorted({*paths} - {*found}))
    masks = masks_among(found)
    kept = [path for path in found if path not in masks]
    return Scan(kept, [path for path in found if path in masks], others, list(hidden))


def _sheets(paths: Sequence[str]) -> set[str]:
    """Find the pictures that audits wrote, because they are not images of the dataset."""
    there = set(paths)
    folders = {path.removesuffix(_SHEET) for path in paths if path.rpartition("/")[2] == _SHEET}
    return {
        folder + _SHEET for folder in folders if all(f"{folder}{beside}" in there for beside in _BESIDE_SHEET)
    }


def masks_among(images: Sequence[str]) -> set[str]:
    """Find the masks and thumbnails among images: those that are named after another image.

    A mask is called like an image of the same folder with `_mask`, `_mask_1`, `_thumb` or the like added
    behind its name, or `mask_` or the like before it. If there is such a mask, other images with the same
    addition are masks too, although their image is missing. A mask may also be called `mask` alone beside an
    image of another name. Or it lies below a folder called masks, thumbnails or the like, while an image lies
    in the same place without this folder, or with a folder of another name instead, or while images lie in a
    folder called images beside it.
    """
    parts = {image: stem(image).split("/") for image in images}
    # What cannot be read has no mask: of a slide and its readable preview, the preview is the image.
    readable = [each for image, each in parts.items() if _suffix(image) not in UNREAD]
    there = {tuple(each) for each in readable}
    short, added = {}, {}
    for image, each in parts.items():
        behind = _BEHIND.search(each[-1])
        rest = each[-1][: behind.start()] if behind else each[-1]
        before = _BEFORE.match(rest)
        short[image] = [*each[:-1], rest[before.end() :] if before else rest]
        added[image] = _letters(" ".join(match[0] for match in (before, behind) if match))
    additions = {added[image] for image in images if added[image] and tuple(short[image]) in there}
    # Each image by its place with one of its folders left out, if that is no folder of masks.
    without = {
        (*each[:level], "", *each[level + 1 :])
        for each in readable
        for level, folder in enumerate(each[:-1])
        if not _FOLDER.fullmatch(folder)
    }
    with_images = {
        tuple(each[:level])
        for each in readable
        for level, folder in enumerate(each[:-1])
        if _IMAGES.fullmatch(folder)
    }
    named = {tuple(each[:-1]) for each in readable if not _ALONE.fullmatch(each[-1])}

    def is_beside(each: list[str]) -> bool:
        for level, folder in enumerate(each[:-1]):
            above, below = each[:level], each[level + 1 :]
            if _FOLDER.fullmatch(folder) and (
                (*above, *below) in there or (*above, "", *below) in without or tuple(above) in with_images
            ):
                return True
        return False

    return {
        image
        for image, each in parts.items()
        if added[image] in additions
        or is_beside(each)
        or (added[image] and is_beside(short[image]))
        or (_ALONE.fullmatch(each[-1]) and tuple(each[:-1]) in named)
    }


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.lower()))


def images_by_stem(paths: Iterable[str], folder: str) -> dict[str, str]:
    """Map file name without suffix to path, for the images directly in `folder`; '' is the top folder.

    Raises:
        OncovecError: if two images have one name.
    """
    found: dict[str, str] = {}
    for path in paths:
        if path.rpartition("/")[0] == folder and is_image(path):
            name = path.rpartition("/")[2].rpartition(".")[0]
            if (other := found.setdefault(name, path)) != path:
                raise OncovecError(f"{other} and {path}: two images of one name; a table would mean both")
    return found


def images_among(paths: Iterable[str], tree: Folder | None) -> list[str]:
    """List the files that are images by their suffix, and the DICOM files of any name.

    Args:
        paths: paths of files.
        tree: their tree, in which the files without a suffix of images are opened; None to open none.
    """
    return [path for path in paths if is_image(path) or (tree is not None and dicom.begins(tree, path))]


def stem(path: str) -> str:
    """Return a path without the suffix of an image; a number in it, as in names of DICOM files, is none."""
    return path.rpartition(".")[0] if is_image(path) else path


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

    Cells may be parted by commas, semicolons, tabs or |; the header tells, or a first line such as `sep=;`.
    Text is UTF-8, or UTF-16 with a byte order mark, as Excel writes it. Columns without a name, empty rows,
    and empty cells behind the last column are left out.

    Raises:
        OncovecError: if the file is missing, is not text, lacks one of `columns`, has two columns of one name
            that differ, or has a row with more or fewer cells than the header. The message has the row
            number, if there is one.
    """
    where = tree.where(name)
    try:
        content = tree.read(name)
        if content.startswith(_WORKBOOK):
            raise OncovecError(f"{where}: is a workbook of Excel or the like: save it as CSV UTF-8")
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = content.decode("utf-16" if wide else "utf-8-sig")
        first, _, rest = text.partition("\n")
        told = re.fullmatch(r'"?sep=(.)"?\r?', first)
        lines = csv.reader(
            StringIO(rest if told else text, newline=""),
            delimiter=told[1] if told else _separator(text, columns),
            strict=True,
        )
        return list(_rows(where, lines, columns, 2 + bool(told)))
    except FileNotFoundError:
        raise OncovecError(f"{where}: no such file; the images' labels are read from it") from None
    except (OSError, ValueError, csv.Error) as error:
        raise OncovecError(f"{where}: cannot be read as a CSV in UTF-8 ({error}): save it as such") from None


def _separator(text: str, columns: Sequence[str]) -> str:
    """Return what parts the header into all of `columns` and the most cells; a comma, if several do."""
    headers = {mark: next(csv.reader(StringIO(text, newline=""), delimiter=mark), []) for mark in ",;\t|"}

    def rank(mark: str) -> tuple[bool, int]:
        cells = [cell.strip() for cell in headers[mark]]
        return set(columns) <= set(cells), len(cells)

    return max(headers, key=rank)


def _rows(where: str, lines: Iterator[list[str]], columns: Sequence[str], first: int) -> Iterator[TableRow]:
    header = [cell.strip() for cell in next(lines, [])]
    for column in columns:
        if column not in header:
            there = ", ".join(filter(None, header)) or "none"
            raise OncovecError(f"{where}: no column {column!r}; there are {there}")
    for number, line in enumerate(lines, start=first):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        if len(cells) != len(header):
            raise OncovecError(f"{where}: row {number} has {len(cells)} cells, the header {len(header)}")
        found: dict[str, str] = {}
        for column, cell in zip(header, cells, strict=True):
            if column and found.setdefault(column, cell) != cell:
                raise OncovecError(
                    f"{where}: two columns are called {column!r} and differ in row {number}; rename one"
                )
        yield TableRow(number, found)


def known(cell: str) -> str:
    """Return the content of a cell; empty if it is one of `UNKNOWN`."""
    return "" if cell.lower() in UNKNOWN else cell


def _such_as(paths: Sequence[str]) -> str:
    return f", such as {one_line(paths[0])}" if paths else ""


def note(count: int, what: str) -> str:
    """Return a line with a count and what is counted; empty if the count is 0."""
    return f"{count} {what}" if count else ""
