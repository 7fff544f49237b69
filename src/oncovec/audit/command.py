"""`oncovec audit`: does a split leak? Said as a table, and written as files."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oncovec import paths, pictures, tables
from oncovec.audit import given, leaks, measure, pairs
from oncovec.decode import decode, fit
from oncovec.errors import OncovecError
from oncovec.files import read_json, write_json

SHOWN = 10
"""Pairs named on the terminal."""

KINDS = {
    leaks.BYTE_COPY: "a byte-copy",
    leaks.NEAR_COPY: "a near copy (or byte-copy)",
    leaks.ANY: "any of these",
}
"""How a line calls what an image has in train; the others are `the same patient` and so on."""


def own(images: given.Given, output: Path | None) -> bool:
    """Audit somebody's split: print the table and the worst pairs, and write all of it where asked to.

    Args:
        images: the split.
        output: folder for `audit.json`, `pairs.csv` and `pairs.png`; None for none.

    Returns:
        Whether anything leaks, or could not be looked at, which is as bad for a check.

    Raises:
        OncovecError: when no image can be read, or the output cannot be written.
    """
    for note in images.notes:
        print(note)
    if output:
        _make(output)
    found = measure.audit(images, *measure.thresholds())
    for name, reason in found.unreadable:
        print(f"oncovec: {images.tree.where(name)}: {reason}", file=sys.stderr)
    if found.unreadable:
        print(f"{len(found.unreadable)} files cannot be read and are left out")
    print("\n".join(lines(found.content)))
    print("\n".join(_named(found)))
    if output:
        _write(images, found, output)
    return bool(leaks.leak_count(found.content) or found.unreadable)


def tasks(names: list[str]) -> bool:
    """Print what the stage `audit` found of the pipeline's own splits; of all that there are without a name.

    Returns:
        Whether anything leaks.

    Raises:
        OncovecError: when one was not audited yet.
    """
    there = sorted(path.stem for path in paths.AUDIT_METRICS.glob("*.json"))
    if not there:
        raise OncovecError("audit: no split was audited here; give a PATH, or run `dvc repro` in a checkout")
    leaking = False
    for name in names or there:
        if name not in there:
            raise OncovecError(f"audit: no {paths.audit_metrics(name)}; there are {', '.join(there)}")
        content = read_json(paths.audit_metrics(name))
        print("\n".join([f"{name}:", *(f"  {line}".rstrip() for line in lines(content)), ""]))
        leaking |= bool(leaks.leak_count(content))
    return leaking


def lines(content: Mapping[str, Any]) -> Iterator[str]:
    """Lay out an audit's table: a column a side, a row a kind of leak, then the rest in sentences."""
    sides = {name: block for name, block in content.items() if name not in leaks.RESERVED}
    asked = {name: block for name, block in sides.items() if leaks.ANY in block}
    counted = ", ".join(f"{name} {block['images']}" for name, block in sides.items())
    yield f"{content['images']} images" + (f": {counted}" if counted else ", and no sides: no split to audit")
    if asked:
        yield ""
        where = "in train" if leaks.TRAIN in sides else "on another side"
        kinds = [kind for kind in next(iter(asked.values())) if kind not in ("images", "any_by_class")]
        rows = [
            [f"{_called(kind)} {where}", *(_share(block[kind]) for block in asked.values())] for kind in kinds
        ]
        yield from tables.aligned([["images that have", *asked], *rows])
        yield ""
        for name, block in asked.items():
            if "any_by_class" in block:
                shares = ", ".join(f"{label} {share:.1%}" for label, share in block["any_by_class"].items())
                yield f"of each class of {name}: {shares}"
    for name, what in (("two_labels", "with another label"), ("within_a_side", "on their own side")):
        byte, near = (_share(content[name][kind]) for kind in (leaks.BYTE_COPY, leaks.NEAR_COPY))
        yield f"images with a byte-copy {what}: {byte}; with any copy: {near}"
    if asked:
        yield _verdict(asked)


def _verdict(asked: Mapping[str, Any]) -> str:
    found = ", ".join(f"{_share(block[leaks.ANY])} of {name}" for name, block in asked.items())
    known = set(next(iter(asked.values()))) & set(leaks.KEYS)
    blind = "" if known else "; no patient, lesion or slide is known, so leaks through those are not seen"
    leaking = any(block[leaks.ANY]["images"] for block in asked.values())
    return (f"This split leaks: {found}" if leaking else "No leak found") + blind


def _called(kind: str) -> str:
    return KINDS.get(kind, f"the same {kind}")


def _share(block: Mapping[str, Any]) -> str:
    return f"{block['images']} ({block['share']:.1%})"


def _named(found: measure.Audit) -> Iterator[str]:
    """The worst pairs by their paths."""
    audited, shown = found.audited, pairs.worst(found.audited, found.pairs, SHOWN)
    if shown:
        yield f"{len(found.pairs)} pairs of copies, {len(shown)} of them:"
    for pair in shown:
        labels = " / ".join(
            dict.fromkeys(filter(None, (audited.labels[pair.first], audited.labels[pair.second])))
        )
        how = "" if pair.inliers is None else f", {pair.inliers} inliers, correlation {pair.correlation:.2f}"
        what = f"{pair.called}{how}" + (f", {labels}" if pair.rank == pairs.TWO_LABELS else "")
        yield f"  {audited.images[pair.first]}  {audited.images[pair.second]}  ({what})"


def _write(images: given.Given, found: measure.Audit, folder: Path) -> None:
    def pixels(row: int) -> pictures.Pixels:
        image = decode(images.tree, found.audited.images[row], pairs.CELL)
        return np.asarray(fit(image, pairs.CELL, "keep"))

    write_json(folder / "audit.json", found.content)
    pairs.write(found.audited, found.pairs, folder / "pairs.csv")
    pictures.save(pairs.sheet(found.audited, found.pairs, pixels), folder / "pairs.png")
    print(f"written: {folder / 'audit.json'}, pairs.csv, pairs.png")


def _make(folder: Path) -> None:
    """Make the folder before minutes of work rather than after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OncovecError(f"audit: cannot write into {folder} ({error.strerror})") from None
