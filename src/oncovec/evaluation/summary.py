"""One headline a system, from its metrics and its report as they are read back."""

from collections.abc import Mapping, Sequence
from typing import Any

from oncovec.evaluation.report import ALL
from oncovec.evaluation.scores import HEADLINE

Report = Sequence[Mapping[str, str]]
"""Rows of a report as they are read back: text, empty where there is nothing."""


def summarise(result: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Return a system's headline: KNN on test, and whether it beats the best baseline.

    Where test was left out the metrics are val's, and `"split": "val"` says so. `beats_baseline` is true only
    where the 95 % interval of the difference in balanced accuracy lies above 0.

    Args:
        result: the system's metrics.
        report: the system's report.
    """
    split = last_split(result)
    block = result[split]["knn"]
    found: dict[str, Any] = {name: block[name] for name in HEADLINE if name in block}
    if split != "test":
        found["split"] = split
    metrics = of_all_images(report, split)
    if best := best_baseline(metrics):
        merit = HEADLINE[0]
        found["trivial"] = {"name": best, merit: float(metrics[best, merit]["value"])}
        found["beats_baseline"] = metrics["knn", "beats_baseline"]["value"] == "1"
    return found


def in_words(task: str, result: Mapping[str, Any], report: Report) -> list[str]:
    """Say in two lines what was judged and with what result."""
    split, merit = last_split(result), HEADLINE[0]
    metrics = of_all_images(report, split)
    judged = [f"task {task}", f"{result[f'n_{split}']} {split} images"]
    if ("knn", "groups") in metrics:
        judged[-1] += f" in {metrics['knn', 'groups']['value']} groups"
    if result["source"] == "phantom":
        judged.append("drawn, so that no metric says how good a model is")
    told = []
    if row := metrics.get(("knn", merit)):
        value, low, high = (float(row[cell]) for cell in ("value", "low", "high"))
        k = of_all_images(report, "val")["knn", "k"]["value"]
        told.append(f"KNN (k = {k}): balanced accuracy {value:.3f} ({low:.3f} to {high:.3f})")
    if best := best_baseline(metrics):
        beats = metrics["knn", "beats_baseline"]["value"] == "1"
        other = f"{best} ({float(metrics[best, merit]['value']):.3f})"
        told.append(f"{'beats' if beats else 'does not beat'} the best baseline, {other}")
    return ["  ·  ".join(words) for words in (judged, told)]


def last_split(result: Mapping[str, Any]) -> str:
    """The split that plots and headline are about: test, or val where test was left out."""
    return "test" if "test" in result else "val"


def of_all_images(report: Report, split: str) -> dict[tuple[str, str], Mapping[str, str]]:
    """Rows of one split's metrics over all images, by model and metric."""
    everything = [row for row in report if row["subset"] == row["class"] == ALL and row["split"] == split]
    # Metrics come before those of classes, one of which may be called `all`.
    return {(row["model"], row["metric"]): row for row in reversed(everything)}


def best_baseline(metrics: Mapping[tuple[str, str], Any]) -> str:
    """The baseline that KNN was compared with; '' where nothing could be compared."""
    start = f"{HEADLINE[0]}_over_"
    return next((metric.removeprefix(start) for _, metric in metrics if metric.startswith(start)), "")
