"""Everything that is said of a system: figures with intervals, trivial baselines beside, and warnings."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from oncovec.core.params import Params
from oncovec.data.embeddings import Embeddings
from oncovec.evaluation import predictions, report, retrieval, scores, subsets, trivial, unseen
from oncovec.evaluation.gallery import Gallery
from oncovec.evaluation.predictions import Judgement


def assess(
    embeddings: Embeddings,
    gallery: Gallery,
    judgements: Sequence[Judgement],
    newcomers: Sequence[unseen.Recognition],
    table: Sequence[Mapping[str, str]],
    pixels: NDArray[np.uint8],
    params: Params,
) -> tuple[list[report.Row], list[str]]:
    """Return the rows of a system's report, and a line for each trivial baseline or class that shames it.

    Args:
        embeddings: the system's, of all splits.
        gallery: fitted to them.
        judgements: of val, and of test where it is judged.
        newcomers: how few-shot classes are recognised.
        table: the dataset's index.
        pixels: its prepared array, in the same order.
        params: `datasets`, `knn.k` and `evaluate` are read.
    """
    settings, dataset = params.evaluate, params.datasets[embeddings.dataset]
    bootstrap, seed = settings.bootstrap, settings.seed
    splits = list(dict.fromkeys(each.split for each in judgements))
    row_of = {row["image"]: number for number, row in enumerate(table)}
    baselines, ks = trivial.answers(embeddings, pixels, row_of, splits, params.knn.k, settings.sensitivity)
    parts = subsets.find(table, embeddings.images, embeddings.labels, subsets.unit_of(dataset))
    retrieved = retrieval.of_splits(embeddings, gallery, splits)
    found, comparisons = scores.score(
        judgements, baselines, embeddings.groups, parts, bootstrap, seed, retrieved
    )
    found += scores.share_far(gallery, embeddings, splits, bootstrap, seed) + unseen.scores(newcomers)
    own_images = predictions.on_its_own_training_images(gallery, seed)
    rows = report.report_rows(
        [*judgements, *baselines], found, {"knn": gallery.k} | ks, gallery.far, own_images
    )
    return rows, list(_warnings(judgements, comparisons, splits[-1]))


def _warnings(
    judgements: Sequence[Judgement], comparisons: Sequence[scores.Comparison], split: str
) -> Iterator[str]:
    for each in comparisons:
        if each.split == split and not each.beats:
            yield str(each)
    for judgement in judgements:
        if judgement.split == split and (line := predictions.never_predicted(judgement)):
            yield line
