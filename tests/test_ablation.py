"""The measurement in benchmarks/ablation.py, whose table stands in docs/flagships.md."""

import csv

import ablation
import pytest

from oncovec.core import params

ALWAYS = [".train.threads=1", "input_size=96", "epochs=4"]


def test_words_are_below_the_row_or_with_a_dot_below_the_root():
    roots = [
        f"datasets.{name}.root=/d/{name}" for name in ("isic2020", "multi_cancer", "multi_organ", "pcam")
    ]
    assert ablation.command_of("siamese_isic", "/d", ["lr=0.1", "+mining=hard", ".knn.k=[5]"]) == [
        *("dvc", "exp", "run"),
        *(part for root in roots for part in ("-S", root)),
        *("-S", "evaluate.test=false"),
        *("-S", "systems.siamese_isic.lr=0.1", "-S", "+systems.siamese_isic.mining=hard", "-S", "knn.k=[5]"),
        "evaluate@siamese_isic",
    ]


def test_the_table_has_a_line_a_change_and_the_figure_of_the_task():
    def row(system, change, **metrics):
        known = {f"{name}{end}": value for name, value in metrics.items() for end in ("", "_low", "_high")}
        return {"system": system, "change": f"epochs=4 {change}".strip(), **known}

    rows = [
        row("siamese_isic", "", knn_auroc="0.9", knn_f1_macro="0.1"),
        row("siamese_isic", "lr=0.1", knn_auroc="0.8", knn_f1_macro="0.1"),
        row("triplet_multi_organ", "", knn_auroc="0.1", knn_f1_macro="0.7"),
    ]
    assert ablation.table(rows, ["epochs=4"], params.load()) == [
        "| change | siamese_isic | triplet_multi_organ |",
        "| --- | --- | --- |",
        "| none | 0.900 (0.900 to 0.900) | 0.700 (0.700 to 0.700) |",
        "| `lr=0.1` | 0.800 (0.800 to 0.800) |  |",
    ]


@pytest.mark.parametrize("commit", ["2fd09aa"])
def test_the_table_of_the_docs_is_that_of_the_csv(commit, repository):
    with (repository / "benchmarks/ablation.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["commit"] == commit]
    # The columns have names of their own in the docs.
    _, *lines = ablation.table(rows, ALWAYS, params.load())
    assert "\n".join(lines) in (repository / "docs/flagships.md").read_text(encoding="utf-8")
