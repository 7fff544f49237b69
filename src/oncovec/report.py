"""A system's results as files: headline metrics, the long report, predictions, and the summary of all."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oncovec.files import DIGITS

if TYPE_CHECKING:
    from oncovec.embeddings import Embeddings
    from oncovec.evaluation import Judgement

REPORT_COLUMNS = ("side", "model", "class", "metric", "value")
HEADLINE = ("balanced_accuracy", "auroc")


def headline(source: str, judgements: Sequence["Judgement"]) -> dict[str, Any]:
    """Return `{"source", "n_val", "n_test", "val": {model: metrics}, "test": …}` for the sides judged."""
    sides = dict.fromkeys(judgement.side for judgement in judgements)
    content: dict[str, Any] = {"source": source}
    for side in sides:
        content[f"n_{side}"] = next(len(each.rows) for each in judgements if each.side == side)
    for side in sides:
        content[side] = {each.model: each.metrics() for each in judgements if each.side == side}
    return content


def report_rows(judgements: Sequence["Judgement"], k: int) -> list[tuple[str, str, str, str, float]]:
    """List (side, model, class, metric, value): figures of classes, averages and all, k and thresholds.

    The class is `all` for headline figures, `macro` and `weighted` for averages over classes. k and the
    thresholds stand with `val`, the side that chose them.
    """
    from oncovec.evaluation import per_class

    rows: list[tuple[str, str, str, str, float]] = []
    for each in judgements:
        where = (each.side, each.model)
        rows += [(*where, "all", metric, value) for metric, value in each.metrics().items()]
        rows += [(*where, *row) for row in per_class(each)]
        if each.side != "val":
            continue
        if each.model == "knn":
            rows.append((*where, "all", "k", k))
        if each.positive is not None and each.threshold is not None:
            rows.append((*where, each.classes[each.positive], "threshold", each.threshold))
    return rows


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


def summarise(results: Mapping[str, Mapping[str, Any]], systems: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return one headline a system: KNN on test, in the order of `systems`.

    Where test was left out the figures are val's, and `"side": "val"` says so. Systems without a result are
    left out.
    """
    summary: dict[str, dict[str, Any]] = {}
    for system in systems:
        if system not in results:
            continue
        side = "test" if "test" in results[system] else "val"
        block = results[system][side]["knn"]
        summary[system] = {name: block[name] for name in HEADLINE if name in block}
        if side != "test":
            summary[system]["side"] = side
    return summary
