"""The comment on a pull request: what its reviewer looks at first, then metrics, params and pictures."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath

from review import findings, markdown, pictures, stale, systems
from review.history import Change, Changes, Checkout
from review.lock import NAME, Lock

EXTERNAL = "metrics/external/"
OF_EXTERNAL = {
    "coverage": "coverage",
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "wrong_and_answered": "wrong and answered",
}
"""Metrics of external test sets in the table, and their columns."""

PHANTOMS = (
    "**Phantom metrics**: the images are drawn. These metrics say that the pipeline works, never how good a "
    "model is."
)

MOST_CHARACTERS = 65_000
"""GitHub takes 65,536."""


def written(checkout: Checkout, address: str | None) -> str:
    """Return the comment in Markdown; the same checkout gives the same text.

    Args:
        checkout: the change, and the commit before it.
        address: of the repository on GitHub, for pictures; None elsewhere.
    """
    metrics, params, changed = checkout.metrics(), checkout.params(), checkout.files()
    before, now = Lock(checkout.before(NAME)), Lock(checkout.now(NAME), checkout.stages())
    late = stale.find(checkout.status(), now, checkout.tracked())
    of_systems = systems.changed(metrics)
    names = [each.name for each in of_systems]
    parts = [
        f"## Changes of metrics, params and pictures since {markdown.code(checkout.base[:9])}",
        "\n".join(
            f"- {each}"
            for each in chain(
                findings.out_of_date(late),
                findings.incomparable(before, now, metrics),
                findings.unexplained(before, now, metrics, changed),
                findings.leaks(metrics),
            )
        ),
        markdown.fold("Why stages are out of date", _causes(late)),
        PHANTOMS if _has_phantoms(metrics) else "",
        _titled("Systems", _of_systems(of_systems)),
        _titled("External test sets", _of_external(metrics)),
        _titled("Params", _of_params(params)),
        _titled("Pictures", pictures.shown(checkout, changed, names, address)),
        _all_metrics(of_systems, metrics, checkout.base),
    ]
    return fitted(list(filter(None, parts)), checkout.base)


def fitted(parts: Sequence[str], base: str) -> str:
    """Return the first parts, as many as fit into a comment, and where the rest is."""
    told = list(parts)
    while len("\n\n".join(told)) > MOST_CHARACTERS:
        told.pop()
    if len(told) < len(parts):
        told.append(f"The rest is too long for a comment; `dvc metrics diff {base[:9]}` has all metrics.")
    return "\n\n".join(told) + "\n"


def _titled(title: str, content: str) -> str:
    return f"### {title}\n\n{content}" if content else ""


def _of_systems(found: list[systems.System]) -> str:
    if not found:
        return "No metric of a system changed."
    shown = systems.table(found) or "Metrics of KNN are the same."
    return f"KNN, before → after; the largest change of balanced accuracy first.\n\n{shown}"


def _has_phantoms(metrics: Changes) -> bool:
    of_models = (keys for path, keys in metrics.items() if path.startswith((systems.FOLDER, EXTERNAL)))
    return any(systems.is_phantom(keys) for keys in of_models if any(each.is_one for each in keys.values()))


def _of_external(metrics: Changes) -> str:
    rows = []
    for path, keys in metrics.items():
        if path.startswith(EXTERNAL):
            for name in dict.fromkeys(key.split(".")[1] for key in keys if key.startswith("systems.")):
                cells = [keys.get(f"systems.{name}.{each}") for each in OF_EXTERNAL]
                if any(each and each.is_one for each in cells):
                    rows.append(_external_row(PurePosixPath(path).stem, name, cells))
    return markdown.table(["set", "system", *OF_EXTERNAL.values()], rows)


def _external_row(name: str, system: str, cells: Iterable[Change | None]) -> list[str]:
    return [markdown.code(name), markdown.code(system), *map(markdown.change, cells)]


def _of_params(params: Changes) -> str:
    rows = (
        [markdown.code(key), *(_value(each) for each in (found.old, found.new))]
        for keys in params.values()
        for key, found in keys.items()
    )
    return markdown.table(["param", "before", "after"], rows, "`dvc params diff`")


def _value(value: object) -> str:
    return markdown.MINUS if value is None else markdown.code(value)


def _causes(late: stale.Stale) -> str:
    rows = ([markdown.code(cause), _listed(stages)] for cause, stages in late.by_cause().items())
    return markdown.table(["changed", "stages"], rows)


def _listed(names: list[str], most: int = 4) -> str:
    told = ", ".join(markdown.code(name) for name in names[:most])
    return f"{told} and {len(names) - most} more" if len(names) > most else told


def _all_metrics(found: list[systems.System], metrics: Changes, base: str) -> str:
    rows = [*systems.every(found), *_of_other_files(metrics)]
    rest = f"`dvc metrics diff {base[:9]}`"
    header = ["of", "metric", "before", "after", "change"]
    return markdown.fold(f"Every changed metric ({len(rows)})", markdown.table(header, rows, rest))


def _of_other_files(metrics: Changes) -> Iterator[list[str]]:
    for path, keys in metrics.items():
        if not path.startswith(systems.FOLDER):
            name = PurePosixPath(path).relative_to("metrics").with_suffix("").as_posix()
            for key, found in keys.items():
                if found.is_one:
                    yield [markdown.code(name), *systems.of_metric(key, found)]
