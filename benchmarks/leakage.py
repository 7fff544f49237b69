"""What leakage is worth: the same systems on a leak-free split and on one drawn image by image, as a table.

    python benchmarks/leakage.py GROUPED RANDOM [--systems NAME …]

GROUPED and RANDOM are experiments or revisions that differ in `split.strategy`; docs/leak-free-splits.md has
the commands that make them. Metrics are of KNN on test. As the two have other test images, the interval of
the difference, random minus grouped, is by two independent bootstraps over groups.
"""

import argparse
import json
from collections.abc import Sequence

from oncovec.core import params, paths
from oncovec.evaluation import compare, revisions
from oncovec.evaluation.compare import Predictions
from oncovec.evaluation.scores import Measured
from oncovec.metrics import intervals
from oncovec.metrics.intervals import Interval

PLOTTED = ("balanced_accuracy", "auroc")
HEAD = (
    "| system | test images of a group that is in train, random | balanced accuracy, grouped | random "
    "| difference | AUROC, grouped | random | difference |"
)


def measured(found: Predictions, replicates: int, seed: int) -> Measured:
    """Metrics of one system, and what they are in each replicate of its own bootstrap."""
    predictions, positive = (found.probabilities, found.predicted), found.positive_index
    weights = intervals.resample(found.groups, replicates, seed)
    return Measured(
        intervals.values_of(found.labels, predictions, positive),
        intervals.replicated(found.labels, predictions, positive, weights),
        intervals.bases(found.labels, positive, weights),
    )


def difference(grouped: Measured, random: Measured) -> dict[str, Interval]:
    """Each metric of `random` minus that of `grouped`, whose replicates are of other images and draws.

    It rests on no more groups than the one that has fewer.
    """
    names = [name for name in random.values if name in grouped.values]
    paired = {name: zip(random.bases[name], grouped.bases[name], strict=True) for name in names}
    return intervals.bounded(
        {name: random.values[name] - grouped.values[name] for name in names},
        {name: random.drawn[name] - grouped.drawn[name] for name in names},
        {name: [min(counts) for counts in both] for name, both in paired.items()},
        -1.0,
    )


def leaking(rev: str, dataset: str) -> float:
    """Share of the test images of a revision whose group is in train."""
    (text,) = revisions.read(rev, [paths.split_metrics(dataset)])
    return float(json.loads(text)["test"]["leaked"]["share"])


def row(system: str, dataset: str, revs: Sequence[str], replicates: int, seed: int) -> str:
    """One system's line of the table."""
    grouped, random = (
        measured(compare.load(f"{system}@{rev}", "test", "knn"), replicates, seed + number)
        for number, rev in enumerate(revs)
    )
    gains = difference(grouped, random)
    cells = [system, f"{leaking(revs[1], dataset):.1%}"]
    for name in PLOTTED:
        cells += [told(each.intervals()[name]) for each in (grouped, random)] + [signed(gains[name])]
    return f"| {' | '.join(cells)} |"


def told(metric: Interval) -> str:
    """A metric and its interval."""
    return f"{metric.value:.3f} ({metric.low:.3f}–{metric.high:.3f})"


def signed(gain: Interval) -> str:
    """A difference and its interval."""
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("grouped", metavar="GROUPED")
    parser.add_argument("random", metavar="RANDOM")
    parser.add_argument("--systems", nargs="+", metavar="NAME", help="default: all of params.yaml")
    options = parser.parse_args()
    settings = params.load()
    evaluate = settings.evaluate
    print(HEAD, "|---" * 8 + "|", sep="\n")
    for system in options.systems or settings.systems:
        dataset = settings.systems[system].dataset
        revs = (options.grouped, options.random)
        print(row(system, dataset, revs, evaluate.bootstrap, evaluate.seed), flush=True)


if __name__ == "__main__":
    main()
