"""A system's results as files: headline metrics, the long report, predictions, and the summary of all."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oncovec.core.files import DIGITS

if TYPE_CHECKING:
    from oncovec.data.embeddings import Embeddings
    from oncovec.evaluation.predictions import Judgement
    from oncovec.evaluation.scores import Score

REPORT_COLUMNS = ("side", "model", "subset", "class", "metric", "value", "low", "high")
SUMMARY_COLUMNS = ("system", "series", "model", "metric", "value", "low", "high")
HEADLINE = ("balanced_accuracy", "auroc")
MODELS = ("knn", "head")

Row = tuple[Any, ...]
Report = Sequence[Mapping[str, str]]
"""Rows of a report as they are read back: text, empty where there is nothing."""


def headline(
    source: str,
    judgements: Sequence["Judgement"],
    own_images: float,
    unseen: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Return `{"source", "n_val", "n_test", "val": {model: metrics}, "test": …, "train": …}` of those judged.

    Args:
        source: phantom, local or remote.
        judgements: the system's.
        own_images: accuracy of KNN on its own training images: it stands under a name that says so.
        unseen: of each side, how unseen classes are recognised; beside the models where there are some.
    """
    sides = dict.fromkeys(judgement.side for judgement in judgements)
    content: dict[str, Any] = {"source": source}
    for side in sides:
        content[f"n_{side}"] = next(len(each.rows) for each in judgements if each.side == side)
    for side in sides:
        content[side] = {each.model: each.metrics() for each in judgements if each.side == side}
        if unseen and unseen.get(side):
            content[side]["unseen"] = dict(unseen[side])
    return content | {"train": {"knn_on_its_own_training_images": {"accuracy": own_images}}}


def report_rows(
    judgements: Sequence["Judgement"], scores: Sequence["Score"], k: Mapping[str, int], far: float = math.inf
) -> list[Row]:
    """List the rows of the report: `scores` with their intervals, classes and averages, and what was chosen.

    The class is `all` for scores, `macro` and `weighted` for averages over classes. k, far, the thresholds
    and the system's temperatures stand with `val`, the side that chose them.

    Args:
        judgements: the system's, and the baselines'.
        scores: of the same.
        k: of each model that has one.
        far: of the system's KNN, see `knn.far_threshold`; an infinite one has no row.
    """
    return [
        *((side, model, subset, "all", *rest) for side, model, subset, *rest in scores),
        *(row for each in judgements for row in _of_classes(each)),
        *(row for each in judgements if each.side == "val" for row in _chosen(each, k, far)),
    ]


def _of_classes(each: "Judgement") -> Iterator[Row]:
    from oncovec.evaluation.predictions import per_class

    if each.model in MODELS:
        for name, metric, value in per_class(each):
            yield each.side, each.model, "all", name, metric, value, None, None


def _chosen(each: "Judgement", k: Mapping[str, int], far: float) -> Iterator[Row]:
    where = each.side, each.model, "all"
    if each.model in k:
        yield *where, "all", "k", k[each.model], None, None
    if each.model == "knn" and math.isfinite(far):
        yield *where, "all", "far", far, None, None
    if each.positive is not None and each.threshold is not None:
        yield *where, each.classes[each.positive], "threshold", each.threshold, None, None
    if each.model in MODELS and each.temperature is not None:
        yield *where, "all", "temperature", each.temperature, None, None


def predictions(
    embeddings: "Embeddings", judgements: Sequence["Judgement"]
) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of the predictions table, sorted by side, then image.

    `predicted` is the KNN's; `p_<class>` are its probabilities, `head_p_<class>` the head's.
    """
    classes = embeddings.classes
    columns = ["image", "group", "side", "label", "predicted", *(f"p_{name}" for name in classes)]
    if any(each.model == "head" for each in judgements):
        columns += [f"head_p_{name}" for name in classes]
    table: dict[int, list[Any]] = {}
    for each in judgements:
        for position, row in enumerate(each.rows.tolist()):
            if row not in table:
                image, group = str(embeddings.images[row]), str(embeddings.groups[row])
                label, predicted = classes[each.labels[position]], classes[each.predicted[position]]
                table[row] = [image, group, each.side, label, predicted]
            table[row] += each.probabilities[position].round(DIGITS).tolist()
    return columns, sorted(table.values(), key=lambda cells: (cells[2], cells[0]))


def summarise(
    results: Mapping[str, Mapping[str, Any]], reports: Mapping[str, Report], systems: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return one headline a system: KNN on test, and whether it beats the best trivial baseline.

    Where test was left out the figures are val's, and `"side": "val"` says so. `beats_trivial` is true only
    where the 95 % interval of the difference in balanced accuracy lies above 0. Systems without a result are
    left out.

    Args:
        results: each system's metrics.
        reports: each system's report.
        systems: their order.
    """
    summary: dict[str, dict[str, Any]] = {}
    for system in systems:
        if system not in results:
            continue
        side = _side(results[system])
        block = results[system][side]["knn"]
        found: dict[str, Any] = {name: block[name] for name in HEADLINE if name in block}
        if side != "test":
            found["side"] = side
        figures = _figures(reports[system], side)
        if best := _best_baseline(figures):
            merit = HEADLINE[0]
            found["trivial"] = {"name": best, merit: float(figures[best, merit]["value"])}
            found["beats_trivial"] = figures["knn", "beats_trivial"]["value"] == "1"
        summary[system] = found
    return summary


def summary_rows(
    results: Mapping[str, Mapping[str, Any]], reports: Mapping[str, Report], systems: Sequence[str]
) -> list[Row]:
    """List the headline figures of each system's models and of its best trivial baseline, with intervals.

    The series are `knn`, `head` and `best trivial`; arguments as for `summarise`.
    """
    rows: list[Row] = []
    for system in systems:
        if system not in results:
            continue
        figures = _figures(reports[system], _side(results[system]))
        series = {"knn": "knn", "head": "head", "best trivial": _best_baseline(figures)}
        for metric in HEADLINE:
            for name, model in series.items():
                if model and (model, metric) in figures:
                    row = figures[model, metric]
                    numbers = (float(row[cell]) for cell in ("value", "low", "high"))
                    rows.append((system, name, model, metric, *numbers))
    return rows


def _side(result: Mapping[str, Any]) -> str:
    return "test" if "test" in result else "val"


def _figures(report: Report, side: str) -> dict[tuple[str, str], Mapping[str, str]]:
    """Rows of one side's figures over all images, by model and metric."""
    everything = [row for row in report if row["subset"] == row["class"] == "all" and row["side"] == side]
    # Figures come before those of classes, one of which may be called `all`.
    return {(row["model"], row["metric"]): row for row in reversed(everything)}


def _best_baseline(figures: Mapping[tuple[str, str], Any]) -> str:
    """The baseline that KNN was compared with; '' where nothing could be compared."""
    start = f"{HEADLINE[0]}_over_"
    return next((metric.removeprefix(start) for _, metric in figures if metric.startswith(start)), "")
