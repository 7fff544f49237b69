"""Judge a system on val and test: metrics with intervals, predictions, plot data and nearest images."""

from typing import TYPE_CHECKING

from oncovec.core import files, paths, sheets
from oncovec.core.stage import run
from oncovec.core.threads import limited
from oncovec.data import index, prepare
from oncovec.data.embeddings import read as read_embeddings
from oncovec.evaluation import assessment, pictures, plots, predictions, report, unseen
from oncovec.evaluation.gallery import Gallery

if TYPE_CHECKING:
    from oncovec.core.params import Params


def main(name: str, params: "Params") -> None:
    """Write `metrics/systems`, `data/predictions` and `plots/*` of one system."""
    embeddings = read_embeddings(paths.embeddings(name))
    gallery = Gallery.load(paths.gallery(name))
    table = index.read(paths.index(embeddings.dataset))
    pixels = prepare.open_prepared(embeddings.dataset)
    settings = params.evaluate
    sides = ["val", "test"] if settings.test else ["val"]
    with limited(params.train.threads):
        judgements = predictions.judge(embeddings, gallery, sides)
        last = [each for each in judgements if each.side == sides[-1]]
        newcomers = unseen.recognise(embeddings, gallery, sides, settings.bootstrap, settings.seed)
        drawn = plots.tables(embeddings, last, newcomers, settings.scatter_points, settings.seed)
        rows, warnings = assessment.assess(embeddings, gallery, judgements, newcomers, table, pixels, params)
        own_images = predictions.on_its_own_training_images(gallery, settings.seed)
        asked = pictures.queries(last[0], settings.neighbours, settings.seed)
        row_of = {row["image"]: number for number, row in enumerate(table)}
        picture = pictures.neighbours(pixels, row_of, embeddings, gallery, last[0], asked)
    for kind, (columns, lines) in drawn.items():
        files.write_csv(paths.plot(kind, name), columns, lines)
    files.write_csv(paths.plot("report", name), report.REPORT_COLUMNS, rows)
    sheets.save(picture, paths.picture("neighbours", name))
    files.write_csv(paths.predictions(name), *report.predictions(embeddings, judgements))
    recalls = {side: unseen.headline(newcomers, side) for side in sides}
    content = report.headline(embeddings.source, judgements, own_images, recalls)
    files.write_json(paths.system_metrics(name), content)
    for line in warnings:
        print(f"evaluate@{name}: {line}")


if __name__ == "__main__":
    run(main)
