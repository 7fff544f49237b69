"""What a reviewer looks at first: stale results, leaks, other images, metrics that changed for no cause."""

from collections.abc import Iterator, Set
from pathlib import PurePosixPath

from review import markdown
from review.history import Changes
from review.lock import Lock
from review.stale import Stale
from review.systems import FOLDER

SPLITS = "metrics/splits/"
LEAKS = {
    "test.leaked.images": "of test have their group in train",
    "val.leaked.images": "of val have their group in train",
    "audit.test.any.images": "of test have something of theirs in train, says the audit",
    "audit.val.any.images": "of val have something of theirs in train, says the audit",
    "audit.test.in_val.any.images": "of test have something of theirs in val, says the audit",
}
"""Keys of `metrics/splits/<dataset>.json` that are 0 in a split without a leak."""

LIBRARIES = ("requirements.txt", "pyproject.toml")


def out_of_date(stale: Stale) -> Iterator[str]:
    """Yield a sentence if stages are out of date, with the metrics that are not of this code."""
    if not stale.causes:
        return
    count = len(stale.causes)
    named = "all systems and datasets" if stale.are_all else ", ".join(map(_short, stale.metrics))
    metrics = f", so the metrics of {named} do not belong to them" if stale.metrics else ""
    yield (
        f"**Out of date**: {count} {'stage' if count == 1 else 'stages'} did not run with this code and "
        f"these params{metrics}. Run `dvc repro` and commit `metrics/`, `plots/` and `dvc.lock`; if the edit "
        "changes no result, `make same-bytes`, then `dvc commit -f`."
    )


def leaks(metrics: Changes) -> Iterator[str]:
    """Yield a sentence for each leak of a dataset, and one for all datasets without any."""
    clean = 0
    for path, keys in metrics.items():
        if path.startswith(SPLITS):
            now = {key: keys[key] for key in LEAKS if key in keys and keys[key].new is not None}
            found = {key: each for key, each in now.items() if each.new or each.is_one}
            clean += bool(now) and not any(each.new for each in now.values())
            for key, each in found.items():
                before = f"; {each.old} before" if each.is_one and each.old is not None else ""
                told = "**Leak**" if each.new else "Leak mended"
                yield f"{told}: {_short(path)}: {each.new} images {LEAKS[key]}{before}."
    if clean:
        yield f"No image of val or test leaks in {clean} {'dataset' if clean == 1 else 'datasets'}."


def unexplained(before: Lock, now: Lock, metrics: Changes, changed: Set[str]) -> Iterator[str]:
    """Yield a sentence if metrics of systems changed although what they are made from did not.

    Commands, params and files that dvc.lock records before and after are compared.
    """
    if changed & set(LIBRARIES):
        return
    odd = [
        _short(path)
        for path, keys in metrics.items()
        if path.startswith(FOLDER)
        and any(each.is_one and each.old is not None for each in keys.values())
        and path in now.makers
        and before.origins(path) == now.origins(path)
    ]
    if odd:
        yield (
            f"**Changed for no recorded cause**: metrics of {', '.join(odd)}, though no param, code or data "
            "of theirs did. They are of another processor or of other libraries, or were edited by hand."
        )


def incomparable(before: Lock, now: Lock, metrics: Changes) -> Iterator[str]:
    """Yield a sentence for metrics before and after that are of other images."""
    drawn = [
        PurePosixPath(path).name
        for path in now.hashes
        if path.startswith("data/splits/") and before.hashes.get(path, now.hashes[path]) != now.hashes[path]
    ]
    if drawn:
        yield (
            f"**Other images**: the splits of {_listed(drawn)} changed, so metrics before and after are of "
            "other images; a difference between splits is for `oncovec repeats`."
        )
    for path, keys in metrics.items():
        source = keys.get("source")
        if path.startswith(FOLDER) and source and source.is_one and None not in (source.old, source.new):
            yield (
                f"**Other images**: {_short(path)} was measured on {markdown.code(source.old)} and is now on "
                f"{markdown.code(source.new)}."
            )


def _listed(names: list[str]) -> str:
    return ", ".join(markdown.code(name) for name in names)


def _short(path: str) -> str:
    """Return the name of a system; of other metrics their kind, too."""
    kind, stem = PurePosixPath(path).parent.name, PurePosixPath(path).stem
    return markdown.code(stem if path.startswith(FOLDER) else f"{kind}/{stem}")
