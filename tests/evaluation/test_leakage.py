"""The measurement in benchmarks/leakage.py, whose table stands in docs/leak-free-splits.md."""

import leakage
import numpy as np

from oncovec.evaluation.compare import Predictions
from oncovec.metrics import intervals


def answered(seed, count, members):
    """Predictions about images of groups of so many."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    positive = np.clip(0.4 + 0.2 * labels + generator.normal(0, 0.2, count), 0, 1)
    return Predictions(
        name="toy",
        classes=("benign", "malignant"),
        positive="malignant",
        images=tuple(f"{seed} {number}" for number in range(count)),
        groups=tuple(f"{seed} {number // members}" for number in range(count)),
        labels=labels,
        probabilities=np.stack([1 - positive, positive], axis=1),
        predicted=(positive > 0.5).astype(np.int64),
    )


def test_the_difference_of_two_splits_has_the_percentiles_of_two_independent_bootstraps():
    grouped, random = (leakage.measured(answered(seed, 120, 2), 300, seed) for seed in (0, 1))
    found = leakage.difference(grouped, random)["auroc"]
    assert found.value == random.values["auroc"] - grouped.values["auroc"]
    both = np.array([random.drawn["auroc"], grouped.drawn["auroc"]])
    assert (found.low, found.high) == tuple(np.quantile(both[0] - both[1], intervals.TAILS))
    assert abs(np.corrcoef(both)[0, 1]) < 0.2


def test_a_difference_rests_on_the_groups_of_the_split_that_has_fewer():
    many, few = leakage.measured(answered(0, 120, 2), 300, 0), leakage.measured(answered(1, 120, 40), 300, 1)
    one, other = (leakage.difference(*pair)["auroc"] for pair in ((many, few), (few, many)))
    assert one.high - one.low > 1.2 and other.high - other.low > 1.2


def test_the_table_has_a_line_a_system_with_what_leaks(monkeypatch):
    asked = []

    def load(reference, split, model):
        asked.append((reference, split, model))
        return answered(len(asked), 60, 2)

    monkeypatch.setattr(leakage.compare, "load", load)
    monkeypatch.setattr(
        leakage.revisions, "read", lambda rev, files: ['{"test": {"leaked": {"share": 0.4}}}']
    )
    cells = leakage.row("toy", "melanoma", ("grouped", "random"), 100, 0).strip("| ").split(" | ")
    assert asked == [("toy@grouped", "test", "knn"), ("toy@random", "test", "knn")]
    assert cells[:2] == ["toy", "40.0%"] and len(cells) == len(leakage.HEAD.strip("| ").split(" | "))
