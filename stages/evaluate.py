"""Judge a system on val and test: metrics, predictions, plot data and a picture of neighbours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oncovec import evaluation, files, index, knn, paths, pictures, plots, prepare, report
from oncovec.embeddings import Embeddings
from oncovec.embeddings import read as read_embeddings
from oncovec.stage import run
from oncovec.threads import limited

if TYPE_CHECKING:
    from oncovec.params import Params


def main(name: str, params: "Params") -> None:
    """Write `metrics/systems`, `data/predictions` and `plots/*` of one system."""
    embeddings = read_embeddings(paths.embeddings(name))
    gallery = knn.load(paths.gallery(name))
    sides = ["val", "test"] if params.evaluate.test else ["val"]
    with limited(params.train.threads):
        judgements = evaluation.judge(embeddings, gallery, sides)
        last = [each for each in judgements if each.side == sides[-1]]
        write_plots(name, params, embeddings, last)
        draw_neighbours(name, params, embeddings, gallery, last[0])
    rows = report.report_rows(judgements, gallery.k)
    files.write_csv(paths.plot("report", name), report.REPORT_COLUMNS, rows)
    files.write_csv(paths.predictions(name), *report.predictions(embeddings, judgements))
    files.write_json(paths.system_metrics(name), report.headline(embeddings.source, judgements))


def write_plots(
    name: str, params: "Params", embeddings: Embeddings, last: Sequence[evaluation.Judgement]
) -> None:
    """Write the plot data of the last side judged: its KNN comes first, then the head where there is one."""
    shown = ["train", "val", "test"] if params.evaluate.test else ["train", "val"]
    points, seed = params.evaluate.scatter_points, params.evaluate.seed
    tables = {
        "confusion": plots.confusion(last[0]),
        "roc": plots.roc(last),
        "precision_recall": plots.precision_recall(last),
        "class_distribution": plots.class_distribution(embeddings),
        "prediction_distribution": plots.prediction_distribution(last[0]),
        "probability": plots.probability(last[0]),
        "scatter": plots.scatter(embeddings, shown, points, seed),
    }
    for kind, (columns, rows) in tables.items():
        files.write_csv(paths.plot(kind, name), columns, rows)


def draw_neighbours(
    name: str,
    params: "Params",
    embeddings: Embeddings,
    gallery: knn.Gallery,
    judgement: evaluation.Judgement,
) -> None:
    """Draw some queries of the last side judged beside their nearest gallery images."""
    pixels = prepare.open_prepared(embeddings.dataset)
    row_of = {row["image"]: number for number, row in enumerate(index.read(paths.index(embeddings.dataset)))}
    positions = pictures.queries(judgement, params.evaluate.neighbours, params.evaluate.seed)
    picture = pictures.neighbours(pixels, row_of, embeddings, gallery, judgement, positions)
    pictures.save(picture, paths.picture("neighbours", name))


if __name__ == "__main__":
    run(main)
