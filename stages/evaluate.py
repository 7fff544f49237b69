"""Fit KNN on a system's training embeddings, then evaluate it on val and test."""

from typing import TYPE_CHECKING

from oncovec.core import files, paths, sheets, tables
from oncovec.core.stage import run
from oncovec.core.threads import limited
from oncovec.data import index, prepare
from oncovec.data.embeddings import read as read_embeddings
from oncovec.evaluation import (
    assessment,
    confusions,
    few_shot,
    knn,
    pictures,
    plots,
    predictions,
    report,
)

if TYPE_CHECKING:
    from oncovec.core.params import Params


def main(name: str, params: "Params") -> None:
    """Write `data/results/<system>/`, its headline metrics, and pictures of mistakes."""
    embeddings = read_embeddings(paths.embeddings(name))
    table = index.read(paths.index(embeddings.dataset))
    pixels = prepare.open_prepared(embeddings.dataset)
    settings = params.evaluate
    splits = ["val", "test"] if settings.test else ["val"]
    with limited(params.train.threads):
        gallery = knn.fit(
            embeddings,
            params.knn.k,
            settings.sensitivity,
            settings.specificity,
            settings.coverage,
            settings.set_coverage,
        )
        outputs = predictions.of_splits(embeddings, gallery, splits)
        last = [each for each in outputs if each.split == splits[-1]]
        few_shot_metrics = few_shot.recognise(embeddings, gallery, splits, settings.bootstrap, settings.seed)
        recalls = {split: few_shot.headline(few_shot_metrics, split) for split in splits}
        headline = report.headline(embeddings.source, outputs, recalls)
        scores, warnings = assessment.assess(
            embeddings, gallery, outputs, few_shot_metrics, table, pixels, params
        )
        plotted = plots.of_system(
            embeddings, last, scores, few_shot_metrics, settings.scatter_points, settings.seed
        )
        evaluated = pictures.Evaluated(pixels, table, embeddings, gallery, last[0])
        asked = pictures.queries(evaluated, settings.neighbours, settings.seed)
        drawn = {
            "neighbours": pictures.neighbours(evaluated, asked),
            "confused": confusions.sheet(evaluated),
        }
        shown = evaluated.predictions(asked)
    with files.new_folder(paths.results(name)) as folder:
        gallery.save(folder / paths.gallery(name).name)
        tables.write(folder / paths.predictions(name).name, report.predictions(embeddings, outputs))
        tables.write(folder / paths.queries(name).name, shown)
        tables.write(folder / paths.report(name).name, scores)
        for kind, content in plotted.items():
            tables.write(folder / paths.table(name, kind).name, content)
    for kind, picture in drawn.items():
        sheets.save(picture, paths.picture(kind, name))
    files.write_json(paths.system_metrics(name), headline)
    for line in warnings:
        print(f"evaluate@{name}: {line}")


if __name__ == "__main__":
    run(main)
