"""The images that near-duplicates are looked for in: originals of known kin, and synthetic copies of them."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import copies_of
import numpy as np
from numpy.typing import NDArray

from oncovec.data import layouts
from oncovec.data.decode import decode
from oncovec.data.tree import Folder

DATASETS = ("multi_organ", "multi_cancer", "pcam", "isic2020")
TILES = "lung_tile_groups.csv"
"""In the folder of multi_cancer: which lung images come from the same tile. No download has it."""

MODALITIES = {
    ("multi_organ", "brain"): "brain MRI",
    ("multi_organ", "breast"): "breast ultrasound",
    ("multi_organ", "lung"): "lung CT",
    ("multi_cancer", "brain"): "brain MRI (multi_cancer)",
    ("multi_cancer", "lung"): "lung histology",
    ("multi_cancer", "cervix"): "cervix cells",
    ("pcam", "normal"): "lymph node or colon patches",
    ("pcam", "tumor"): "lymph node or colon patches",
    ("isic2020", "benign"): "dermoscopy",
    ("isic2020", "melanoma"): "dermoscopy",
}
"""By the dataset and the first part of the class; other organs of multi_cancer keep their names."""

COLUMNS = ("file", "modality", "label", "kin", "source", "origin", "kind", "drawn")


class Row(NamedTuple):
    """One image of a pool.

    Attributes:
        file: path in the pool's folder.
        modality, label: what kind of image, and the class.
        kin: images of one modality with different kin are known to be unrelated. It is the tile, patient or
            lesion where that is known, and the class elsewhere.
        source: hash of the original's bytes; images of one source are never unrelated, whatever their class.
        origin: file of the original that this is a copy of; an original names itself.
        kind: what was done to it, parted by " + "; empty for an original.
        drawn: with which numbers.
    """

    file: str
    modality: str
    label: str
    kin: str
    source: str
    origin: str
    kind: str
    drawn: str


@dataclass(frozen=True)
class Pool:
    """A folder of images and what is known of them, sorted by file."""

    name: str
    folder: Path
    rows: list[Row]

    def codes(self, *columns: str) -> NDArray[np.int64]:
        """Number the distinct values of columns: (N,)."""
        values = ["\0".join(getattr(row, column) for column in columns) for row in self.rows]
        return np.unique(values, return_inverse=True)[1]


class _Original(NamedTuple):
    path: str
    modality: str
    label: str
    kin: str


def synthetic(data: Path, dataset: str, images: int, seed: int, work: Path, start: int = 0) -> Pool:
    """Take up to `images` originals of each modality of a dataset, and make one copy of each.

    Args:
        data: folder with the datasets' folders.
        dataset: one of `DATASETS`.
        images: originals of a modality at most.
        seed: of the choice and of all draws.
        work: where the pool is made; one that is there is used again.
        start: kinds of copies dealt before.
    """
    tree = Folder(data / dataset)
    name = f"{dataset}-{images}-{seed}-{start}"
    if done := _opened(name, work / name):
        return done
    generator = np.random.default_rng(seed)
    chosen = []
    known = _originals(data, dataset)
    for modality in sorted({original.modality for original in known}):
        candidates = [original for original in known if original.modality == modality]
        order = generator.permutation(len(candidates))[:images]
        chosen += [candidates[number] for number in order]
    rows = []
    for number, (original, kind) in enumerate(zip(chosen, copies_of.deal(len(chosen), start), strict=True)):
        linked = _linked(tree, original, work / name, f"{number}")
        copy = f"{Path(linked.file).parent.name}/{_neutral(f'{number} copy')}.jpg"
        image = decode(tree, original.path)
        draws = np.random.default_rng((seed, start + number))
        drawn = copies_of.write(image, kind, draws, work / name / "images" / copy)
        rows += [linked, linked._replace(file=copy, kind=" + ".join(kind), drawn=drawn)]
    return _written(name, work / name, rows)


def tiles(data: Path, work: Path) -> Pool | None:
    """Take the lung images whose tile is known, as they are; None where there are none."""
    if not (data / "multi_cancer" / TILES).is_file():
        return None
    if done := _opened("lung_tiles", work / "lung_tiles"):
        return done
    tree = Folder(data / "multi_cancer")
    known = [original for original in _originals(data, "multi_cancer") if "/" in original.kin]
    return _written(
        "lung_tiles",
        work / "lung_tiles",
        [_linked(tree, original, work / "lung_tiles", f"{number}") for number, original in enumerate(known)],
    )


def _originals(data: Path, dataset: str) -> list[_Original]:
    listing = layouts.read(dataset, Folder(data / dataset))
    tile_of = _tile_of(data) if dataset == "multi_cancer" else {}
    found = []
    for record in listing.records:
        label = record.labels[listing.label_columns[0]]
        organ = label.split("_")[0]
        modality = MODALITIES.get((dataset, organ), f"{organ} ({dataset})")
        path = Path(record.image)
        kin = tile_of.get(f"{path.parent.name}/{path.name}") or record.group or record.facts.get("lesion")
        found.append(_Original(record.image, modality, label, kin or label))
    return found


def _tile_of(data: Path) -> dict[str, str]:
    path = data / "multi_cancer" / TILES
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {row["image"]: f"tile/{row['tile']}" for row in csv.DictReader(file)}


def _neutral(name: str) -> str:
    """A file name that says nothing, so that the order of files does not either."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _linked(tree: Folder, original: _Original, folder: Path, name: str) -> Row:
    """Link an original into a pool."""
    path = tree.root / original.path
    place = "".join(letter if letter.isalnum() else "_" for letter in original.modality)
    file = f"{place}/{_neutral(name)}{path.suffix}"
    target = folder / "images" / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(path.resolve())
    source = hashlib.sha256(path.read_bytes()).hexdigest()
    return Row(file, original.modality, original.label, original.kin, source, file, "", "")


def _written(name: str, folder: Path, rows: Sequence[Row]) -> Pool:
    ordered = sorted(rows)
    # Written last: without it the pool counts as not made.
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(ordered)
    return Pool(name, folder / "images", ordered)


def _opened(name: str, folder: Path) -> Pool | None:
    if not (folder / "rows.csv").is_file():
        return None
    with (folder / "rows.csv").open(newline="") as file:
        return Pool(name, folder / "images", [Row(**row) for row in csv.DictReader(file)])
