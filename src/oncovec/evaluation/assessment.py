"""The report of a system: metrics with intervals, baselines for comparison, and warnings."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from oncovec.core.params import Params
from oncovec.data import index
from oncovec.data.embeddings import Embeddings
from oncovec.evaluation import baselines, few_shot, predictions, report, retrieval, scores, subsets
from oncovec.evaluation.gallery import Gallery
from oncovec.evaluation.predictions import PredictionOutput


def assess(
    embeddings: Embeddings,
    gallery: Gallery,
    outputs: Sequence[PredictionOutput],
    few_shot_metrics: Sequence[few_shot.FewShotMetric],
    table: pd.DataFrame,
    pixels: NDArray[np.uint8],
    params: Params,
) -> tuple[pd.DataFrame, list[str]]:
    """Return the report and the warnings of a system.

    There is a warning for each baseline that is not beaten, and for classes that are never predicted.

    Args:
        embeddings: embeddings of the system, of all splits.
        gallery: gallery fitted to these embeddings.
        outputs: predictions for val, and for test if it is evaluated.
        few_shot_metrics: metrics of the recognition of few-shot classes.
        table: the dataset's index.
        pixels: the dataset's prepared array, in the same order.
        params: parameters; `datasets`, `knn.k` and `evaluate` are read.
    """
    settings, dataset = params.evaluate, params.datasets[embeddings.dataset]
    bootstrap, seed = settings.bootstrap, settings.seed
    splits = list(dict.fromkeys(each.split for each in outputs))
    stored = index.rows_of(table, embeddings.images)
    baseline_outputs, ks = baselines.predict(
        embeddings, pixels, stored, splits, params.knn.k, settings.sensitivity, settings.specificity
    )
    parts = subsets.find(table, embeddings.images, embeddings.labels, subsets.unit_of(dataset))
    retrieved = retrieval.of_splits(embeddings, gallery, splits)
    found, comparisons = scores.score(
        outputs, baseline_outputs, embeddings.groups, parts, bootstrap, seed, retrieved
    )
    found += scores.answers(outputs, gallery, embeddings, bootstrap, seed)
    found += few_shot.scores(few_shot_metrics)
    own_images = predictions.on_its_own_training_images(gallery, seed)
    rows = report.report(
        [*outputs, *baseline_outputs], found, {"knn": gallery.k} | ks, gallery.ood_limit, own_images
    )
    return rows, list(_warnings(outputs, comparisons, splits[-1]))


def _warnings(
    outputs: Sequence[PredictionOutput], comparisons: Sequence[scores.BaselineComparison], split: str
) -> Iterator[str]:
    for each in comparisons:
        if each.split == split and not each.beats:
            yield str(each)
    for output in outputs:
        if output.split == split and (line := predictions.never_predicted(output)):
            yield line
