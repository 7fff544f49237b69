"""One headline per system, from its metrics and its report as they are read from files."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from oncovec.evaluation.report import ALL
from oncovec.evaluation.scores import HEADLINE


def summarise(result: Mapping[str, Any], report: pd.DataFrame) -> dict[str, Any]:
    """Return a system's headline: metrics of KNN on test, and whether KNN beats the best baseline.

    If test is not evaluated, the metrics are those of val, and `"split": "val"` is added. `beats_baseline` is
    true only if the 95 % interval of the difference in balanced accuracy is above 0.

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
        found["baseline"] = {"name": best, merit: float(metrics.loc[(best, merit), "value"])}
        found["beats_baseline"] = metrics.loc[("knn", "beats_baseline"), "value"] == "1"
    return found


def in_words(task: str, result: Mapping[str, Any], report: pd.DataFrame) -> list[str]:
    """Return two lines of text: the evaluated task and images, and the result."""
    split, merit = last_split(result), HEADLINE[0]
    metrics = of_all_images(report, split)
    judged = [f"task {task}", f"{result[f'n_{split}']} {split} images"]
    if ("knn", "groups") in metrics.index:
        judged[-1] += f" in {metrics.loc[('knn', 'groups'), 'value']} groups"
    if result["source"] == "phantom":
        judged.append("phantoms: these metrics do not say how good a model is")
    told = []
    if ("knn", merit) in metrics.index:
        value, low, high = metrics.loc[("knn", merit), ["value", "low", "high"]].astype(float)
        k = of_all_images(report, "val").loc[("knn", "k"), "value"]
        told.append(f"KNN (k = {k}): balanced accuracy {value:.3f} ({low:.3f} to {high:.3f})")
    if best := best_baseline(metrics):
        beats = metrics.loc[("knn", "beats_baseline"), "value"] == "1"
        other = f"{best} ({float(metrics.loc[(best, merit), 'value']):.3f})"
        told.append(f"{'beats' if beats else 'is not shown to beat'} the best baseline, {other}")
    return ["  ·  ".join(words) for words in (judged, told)]


def last_split(result: Mapping[str, Any]) -> str:
    """Return the split of the plots and the headline: test, or val if test is not evaluated."""
    return "test" if "test" in result else "val"


def of_all_images(report: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the metrics over all images of one split, indexed by model and metric."""
    chosen = report[(report["subset"] == ALL) & (report["class"] == ALL) & (report["split"] == split)]
    # Metrics of all images come before those of classes; a class may have the name `all`.
    return chosen.drop_duplicates(["model", "metric"]).set_index(["model", "metric"]).sort_index()


def best_baseline(metrics: pd.DataFrame) -> str:
    """Return the baseline in the comparison with KNN; '' if there is no comparison."""
    start = f"{HEADLINE[0]}_over_"
    names = metrics.index.get_level_values("metric")
    return next((name.removeprefix(start) for name in names if name.startswith(start)), "")
