"""The measurement in benchmarks/flagships.py, whose tables stand in docs/flagships.md and the README."""

import csv
import re

import flagships
import numpy as np
import pytest

from oncovec.core import params
from oncovec.metrics import classification

NAMES = {"f1_macro": "macro F1", "balanced_accuracy": "balanced accuracy", "auroc": "AUROC"}


@pytest.fixture(scope="module")
def measured(repository):
    with (repository / "benchmarks/flagships.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def typed(row):
    """A row of the csv as the script has it."""
    texts = ("task", "system", "model", "subset", "metric")
    numbers = [float(value) if value else None for key, value in row.items() if key not in texts]
    return [row[key] for key in texts] + numbers[:-2] + [int(number) for number in numbers[-2:]]


def summary(measured):
    """The README's table: of each task the first metric of KNN; of a ranking the mean of seeds, too."""
    lines = [
        "| task | metric | flagship | published system | flagship minus it | best baseline |",
        "|---|---|---|---|---|---|",
    ]
    for task, (metric, *_) in flagships.HEADLINES.items():
        for subset in ("all", flagships.MEAN)[: 1 + (metric in flagships.RANKED)]:
            lines += summary_of(measured, task, metric, subset)
    return "\n".join(lines)


def summary_of(measured, task, metric, subset):
    """Its rows: one for each published system."""
    found = {
        row["system"]: row
        for row in measured
        if (row["task"], row["subset"], row["metric"]) == (task, subset, metric) and row["model"] != "head"
    }
    best = max(("thumbnail", "histogram"), key=lambda each: float(found[each]["value"]))
    own, low, high = (float(found[f"flagship_{task}"][key]) for key in ("value", "low", "high"))
    for rival in flagships.RIVALS[task]:
        system = f"{rival}, frozen" if rival in flagships.FROZEN else rival
        value, minus, minus_low, minus_high = (
            float(found[system][key]) for key in ("value", "flagship_minus", "minus_low", "minus_high")
        )
        cells = (
            task,
            NAMES[metric] + (f", {subset}" if subset == flagships.MEAN else ""),
            f"{own:.3f} ({low:.3f} to {high:.3f})",
            f"{system} {value:.3f}",
            f"{minus:.3f} ({minus_low:.3f} to {minus_high:.3f})",
            f"{best} {float(found[best]['value']):.3f}",
        )
        yield f"| {' | '.join(cells)} |"


def test_the_table_of_the_docs_is_that_of_the_csv(measured, repository):
    text = (repository / "docs/flagships.md").read_text(encoding="utf-8")
    table = flagships.headlines([typed(row) for row in measured])
    assert set(table) <= set(text.splitlines())


def test_the_table_of_the_readme_is_that_of_the_csv(measured, repository):
    shown = re.search(
        r"<!-- table: flagships -->\n(.*?)\n<!-- end -->",
        (repository / "README.md").read_text(encoding="utf-8"),
        re.S,
    )
    table = summary(measured)
    assert shown
    assert shown[1] == table, f"the table should be:\n{table}"


def sheet(systems=3, seeds=2, images=60):
    """Answers of some systems about the test images of some seeds, in groups of three."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, seeds * images)
    predictions = []
    for number in range(systems):
        positive = np.clip(
            0.5 + 0.2 * (2 * labels - 1) + random.normal(0, 0.3 + 0.1 * number, len(labels)), 0, 1
        )
        votes = np.stack([1 - positive, positive], axis=1)
        name = "flagship_toy" if number == 0 else f"rival_{number}"
        predictions.append(flagships.Pooled(name, "knn", votes, (positive >= 0.5).astype(np.int64)))
    return flagships.Sheet(
        np.repeat(np.arange(seeds), images),
        tuple(f"image {number % images}" for number in range(len(labels))),
        labels,
        tuple(f"group {number % images // 3}" for number in range(len(labels))),
        1,
        tuple(predictions),
    )


def test_means_of_seeds_are_those_of_each_seed_alone():
    found, settings = sheet(), params.load()
    parts = [np.flatnonzero(found.seeds == seed) for seed in (0, 1)]
    rows = {(row[1], row[4]): row for row in flagships.rows_of("toy", "mean", found, settings, parts)}
    own = {
        each.system: np.mean(
            [
                classification.metrics(found.labels[part], each.probabilities[part], each.predicted[part], 1)[
                    "auroc"
                ]
                for part in parts
            ]
        )
        for each in found.predictions
    }
    for system, value in own.items():
        row = rows[system, "auroc"]
        assert row[5] == pytest.approx(value)
        assert row[6] < value < row[7]
        assert row[8] == pytest.approx(own["flagship_toy"] - value)
    assert rows["flagship_toy", "auroc"][8:11] == [0.0, 0.0, 0.0]
    pooled = {(row[1], row[4]): row for row in flagships.rows_of("toy", "all", found, settings)}
    whole = classification.metrics(
        found.labels, found.predictions[1].probabilities, found.predictions[1].predicted, 1
    )
    assert pooled["rival_1", "auroc"][5] == pytest.approx(whole["auroc"])
    assert pooled["rival_1", "auroc"][5] != pytest.approx(rows["rival_1", "auroc"][5])
    assert pooled["rival_1", "auroc"][-2:] == [120, 20]
