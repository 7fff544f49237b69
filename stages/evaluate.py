"""Judge a system on val and test: metrics with intervals, predictions, plot data and nearest images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from oncovec import (
    evaluation,
    files,
    index,
    knn,
    paths,
    pictures,
    plots,
    prepare,
    rare,
    report,
    retrieval,
    scores,
    subsets,
    trivial,
    unseen,
)
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
    table = index.read(paths.index(embeddings.dataset))
    sides = ["val", "test"] if params.evaluate.test else ["val"]
    with limited(params.train.threads):
        judgements = evaluation.judge(embeddings, gallery, sides)
        last = [each for each in judgements if each.side == sides[-1]]
        settings = params.evaluate
        newcomers = unseen.recognise(embeddings, gallery, sides, settings.bootstrap, settings.seed)
        write_plots(name, params, embeddings, last, newcomers)
        draw_neighbours(name, params, embeddings, gallery, last[0], table)
        write_report(name, params, embeddings, gallery, judgements, table, newcomers)
        own_images = evaluation.on_its_own_training_images(gallery, params.evaluate.seed)
    files.write_csv(paths.predictions(name), *report.predictions(embeddings, judgements))
    recalls = {side: unseen.headline(newcomers, side) for side in sides}
    content = report.headline(embeddings.source, judgements, own_images, recalls)
    files.write_json(paths.system_metrics(name), content)


def write_report(
    name: str,
    params: "Params",
    embeddings: Embeddings,
    gallery: knn.Gallery,
    judgements: Sequence[evaluation.Judgement],
    table: Sequence[Mapping[str, str]],
    newcomers: Sequence[unseen.Recognition],
) -> None:
    """Write every figure with its interval, trivial baselines beside.

    Say where these are not beaten, and which classes are never predicted.
    """
    sides = list(dict.fromkeys(each.side for each in judgements))
    pixels = prepare.open_prepared(embeddings.dataset)
    baselines, ks = trivial.answers(
        embeddings, pixels, rows_of(table), sides, params.knn.k, params.evaluate.sensitivity
    )
    unit = subsets.unit_of(params.datasets[embeddings.dataset])
    parts = subsets.find(table, embeddings.images, embeddings.labels, unit)
    bootstrap, seed = params.evaluate.bootstrap, params.evaluate.seed
    retrieved = retrieval.of_sides(embeddings, gallery, sides)
    found, comparisons = scores.score(
        judgements, baselines, embeddings.groups, parts, bootstrap, seed, retrieved
    )
    found += scores.share_far(gallery, embeddings, sides, bootstrap, seed) + unseen.scores(newcomers)
    rows = report.report_rows([*judgements, *baselines], found, {"knn": gallery.k} | ks, gallery.far)
    files.write_csv(paths.plot("report", name), report.REPORT_COLUMNS, rows)
    for each in comparisons:
        if each.side == sides[-1] and not each.beats:
            print(f"evaluate@{name}: {each}")
    for judgement in judgements:
        if judgement.side == sides[-1] and (line := rare.never_predicted(judgement)):
            print(f"evaluate@{name}: {line}")


def rows_of(table: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Row of each image in the prepared array, whose order is the index's."""
    return {row["image"]: number for number, row in enumerate(table)}


def write_plots(
    name: str,
    params: "Params",
    embeddings: Embeddings,
    last: Sequence[evaluation.Judgement],
    newcomers: Sequence[unseen.Recognition],
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
        "reliability": plots.reliability(last),
        "unseen": plots.unseen([each for each in newcomers if each.side == last[0].side]),
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
    table: Sequence[Mapping[str, str]],
) -> None:
    """Draw some queries of the last side judged beside their nearest gallery images."""
    pixels = prepare.open_prepared(embeddings.dataset)
    positions = pictures.queries(judgement, params.evaluate.neighbours, params.evaluate.seed)
    picture = pictures.neighbours(pixels, rows_of(table), embeddings, gallery, judgement, positions)
    pictures.save(picture, paths.picture("neighbours", name))


if __name__ == "__main__":
    run(main)
