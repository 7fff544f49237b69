"""`oncovec audit`: check a split for leaks, print a table, and write files."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oncovec.core import paths, sheets, tables
from oncovec.core.errors import OncovecError, one_line
from oncovec.core.files import read_json, write_json
from oncovec.data.audit import given, leaks, measure, pairs
from oncovec.data.decode import decode, fit
from oncovec.data.split_names import HOW

SHOWN, CLASSES = 10, 20
"""Largest number of pairs, and of classes, printed on the terminal."""

KINDS = {
    leaks.EXACT: "an exact duplicate",
    leaks.NEAR: "a near-duplicate (or exact one)",
    leaks.ANY: "any of these",
}
"""Text for each kind of leak in the table; other kinds are printed as `the same patient` and so on."""


def own(images: given.Given, output: Path | None) -> bool:
    """Audit a user's split: print the table and the worst pairs, and optionally write all results.

    Args:
        images: the split.
        output: folder for `audit.json`, `pairs.csv` and `pairs.png`; None to write nothing.

    Returns:
        Whether there are leaks, or images that could not be checked; a check fails for both.

    Raises:
        OncovecError: if no image can be read, there are fewer than two splits, or the output cannot be
            written.
    """
    for note in images.notes:
        print(note)
    if output:
        _make(output)
    found = measure.audit(images, measure.settings())
    for name, reason in found.unreadable:
        print(f"oncovec: {one_line(images.tree.where(name))}: {reason}", file=sys.stderr)
    for doubt in images.doubts:
        print(f"oncovec: {doubt}", file=sys.stderr)
    if found.unreadable:
        print(f"{len(found.unreadable)} files cannot be read and are left out")
    if found.blank:
        print(f"{found.blank} blank images are no duplicates of each other")
    unseen = bool(found.unreadable or images.doubts)
    if classes := sorted(set(images.labels) - {""}):
        print(f"classes: {', '.join(classes[:CLASSES])}{_more(len(classes) - CLASSES)}")
    print("\n".join(lines(found.content, unseen)))
    print("\n".join(_named(found)))
    if output:
        _write(images, found, output)
    if not leaks.has_splits(found.content):
        raise OncovecError(
            f"{images.tree}: no verdict: fewer than two splits; {HOW}; --split names the column of a CSV"
        )
    return leaks.is_leaking(found.content) or unseen


def datasets(names: list[str]) -> bool:
    """Print the audits of the pipeline's own splits, which the stage `split` wrote.

    Args:
        names: names of the datasets; an empty list for all datasets.

    Returns:
        Whether there are leaks, or datasets that were not audited.

    Raises:
        OncovecError: if a named dataset was not audited yet, or no dataset was.
    """
    there = sorted(path.stem for path in Path().glob(str(paths.split_metrics("*"))))
    if not there:
        raise OncovecError("audit: no split was audited here; give a PATH, or run `dvc repro` in a checkout")
    ours = measure.params_here()
    known = sorted(ours.datasets) if ours else there
    for name in names:
        if name not in there:
            raise OncovecError(f"audit: no {paths.split_metrics(name)}; there are {', '.join(there)}")
    failing = False
    for name in names or [name for name in known if name in there]:
        content = _audit_of(name)
        print("\n".join([f"{name}:", *(f"  {line}".rstrip() for line in lines(content)), ""]))
        failing |= leaks.is_leaking(content) or not leaks.has_splits(content)
    for name in [] if names else sorted({*known} ^ {*there}):
        if name in known:
            print(f"oncovec: {name} was not audited; run `dvc repro split@{name}`", file=sys.stderr)
            failing = True
        else:
            left = paths.split_metrics(name)
            print(f"oncovec: {left} is left over: params.yaml has no dataset of that name", file=sys.stderr)
    return failing


def _audit_of(dataset: str) -> dict[str, Any]:
    """Read the audit that the stage `split` wrote."""
    path = paths.split_metrics(dataset)
    try:
        content: dict[str, Any] = read_json(path)["audit"]
    except (ValueError, KeyError, TypeError):
        raise OncovecError(f"{path}: has no audit; run `dvc repro --force split@{dataset}`") from None
    return content


def lines(content: Mapping[str, Any], unseen: bool = False) -> Iterator[str]:
    """Format an audit: a table with one column per split and one row per kind of leak, then sentences.

    Args:
        content: the content of the audit, see `leaks.table`.
        unseen: whether there are images that could not be checked.
    """
    splits = {name: block for name, block in content.items() if name not in leaks.RESERVED}
    asked = {name: block for name, block in splits.items() if leaks.ANY in block}
    counted = ", ".join(f"{name} {block['images']}" for name, block in splits.items())
    yield f"{content['images']} images" + (
        f": {counted}" if counted else ", and no splits: no split to audit"
    )
    if asked:
        yield ""
        where = "in train" if leaks.TRAIN in splits else "in another split"
        yield from tables.aligned(list(_rows(asked, where)))
        yield ""
        for name, block in asked.items():
            for column, found in block.get(leaks.BY_CLASS, {}).items():
                shares = ", ".join(f"{label} {share:.1%}" for label, share in found.items())
                yield f"of each {'class' if column == leaks.LABEL else column} of {name}: {shares}"
    others = [(f"with another {column}", found) for column, found in content["two_labels"].items()]
    for what, found in [*others, ("in their own split", content["within_a_split"])]:
        exact, near = (_share(found[kind]) for kind in (leaks.EXACT, leaks.NEAR))
        yield f"images with an exact duplicate {what}: {exact}; with any duplicate: {near}"
    if leaks.has_splits(content):
        yield _verdict(content, asked, unseen)
    elif splits:
        yield "No verdict: one split alone"


def _rows(asked: Mapping[str, Any], where: str) -> Iterator[list[str]]:
    """Yield the table's header, one row per kind of leak into train, and rows for leaks of test to val."""
    yield ["images that have", *asked]
    for kind in next(iter(asked.values())):
        if kind not in ("images", leaks.IN_VAL, leaks.BY_CLASS):
            yield [f"{_called(kind)} {where}", *(_share(block[kind]) for block in asked.values())]
    in_val = {name: block[leaks.IN_VAL] for name, block in asked.items() if leaks.IN_VAL in block}
    for kind in next(iter(in_val.values()), ()):
        cells = [_share(in_val[name][kind]) if name in in_val else "" for name in asked]
        yield [f"{_called(kind)} in val", *cells]


def _verdict(content: Mapping[str, Any], asked: Mapping[str, Any], unseen: bool) -> str:
    found = []
    if leaks.leak_count(content):
        found.append(", ".join(f"{_share(block[leaks.ANY])} of {name}" for name, block in asked.items()))
    if leaks.in_val_count(content):
        in_val = _share(content[leaks.TEST][leaks.IN_VAL][leaks.ANY])
        found.append(f"{in_val} of test are in val, on which choices are made")
    none = "No leak found in what could be looked at" if unseen else "No leak found"
    known = set(next(iter(asked.values()))) & set(leaks.KEYS)
    blind = "" if known else "; no patient, lesion or slide is known, so leaks through those are not seen"
    return (f"This split leaks: {'; '.join(found)}" if found else none) + blind


def _called(kind: str) -> str:
    return KINDS.get(kind, f"the same {kind}")


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _share(block: Mapping[str, Any]) -> str:
    return f"{block['images']} ({block['share']:.1%})"


def _named(found: measure.Audit) -> Iterator[str]:
    """Yield lines with the paths of the worst pairs."""
    audited, shown = found.audited, pairs.worst(found.audited, found.pairs, SHOWN)
    if shown:
        yield f"{len(found.pairs)} pairs of duplicates, {len(shown)} of them:"
    for pair in shown:
        labels = " / ".join(audited.label(row) for row in (pair.first, pair.second))
        how = "" if pair.inliers is None else f", {pair.inliers} inliers, correlation {pair.correlation:.2f}"
        what = f"{pair.called}{how}" + (f", {labels}" if pair.rank == pairs.TWO_LABELS else "")
        yield f"  {audited.images[pair.first]}  {audited.images[pair.second]}  ({what})"


def _write(images: given.Given, found: measure.Audit, folder: Path) -> None:
    def pixels(row: int) -> sheets.Pixels:
        image = decode(images.tree, found.audited.images[row], pairs.CELL)
        return np.asarray(fit(image, pairs.CELL, "keep"))

    write_json(folder / "audit.json", found.content)
    pairs.write(found.audited, found.pairs, folder / "pairs.csv")
    sheets.save(pairs.sheet(found.audited, found.pairs, pixels), folder / "pairs.png")
    print(f"written: {folder / 'audit.json'}, pairs.csv, pairs.png")


def _make(folder: Path) -> None:
    """Make the output folder; this is done first, so that an error comes before minutes of work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OncovecError(f"audit: cannot write into {folder} ({error.strerror})") from None
