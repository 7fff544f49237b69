"""Metrics of systems: which changed, the most important first."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from review import markdown
from review.history import Change, Changes

FOLDER = "metrics/systems/"
SUMMARY = "metrics/summary.json"
SHOWN = {
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
"""Columns; a row of the fold has every metric."""

SPLITS = ("test", "val")
MODELS = ("knn", "head")
METRICS = ("balanced_accuracy", "auroc", "f1_macro", "accuracy", "average_precision", *SHOWN)


@dataclass(frozen=True)
class System:
    """Metrics of one system, by key such as `test.knn.auroc`."""

    name: str
    metrics: Mapping[str, Change]
    is_phantom: bool
    beats: Change | None

    @property
    def path(self) -> str:
        """File of its metrics."""
        return f"{FOLDER}{self.name}.json"

    @property
    def changed(self) -> Mapping[str, Change]:
        """Metrics that changed, the most important first."""
        keys = sorted((key for key in self.metrics if self.metrics[key].is_one), key=rank)
        return {key: self.metrics[key] for key in keys}

    @property
    def split(self) -> str:
        """Test, or val if test is not evaluated."""
        return next((each for each in SPLITS if any(key.startswith(f"{each}.") for key in self.metrics)), "")

    @property
    def weight(self) -> float:
        """How much its first metric changed; infinite for a system that came or went."""
        found = self.metrics.get(f"{self.split}.knn.balanced_accuracy")
        if found is None or not found.is_one:
            return 0.0
        return abs(found.difference) if found.difference is not None else float("inf")


def rank(key: str) -> tuple[int, ...]:
    """Return the importance of a metric: test before val, KNN before the head, balanced accuracy first."""
    parts = key.split(".")
    orders = (SPLITS, MODELS, METRICS)
    places = [order.index(part) if part in order else 99 for part, order in zip(parts, orders, strict=False)]
    return (0 if len(parts) == len(orders) else 1, *places)


def changed(metrics: Changes) -> list[System]:
    """Return the systems whose metrics changed, that of the largest change first."""
    found = [_system(path, metrics) for path in metrics if path.startswith(FOLDER)]
    return sorted((each for each in found if each.changed), key=lambda each: (-each.weight, each.name))


def table(systems: Iterable[System]) -> str:
    """Return one row per system whose KNN metrics of the last split changed."""
    rows = [_row(each) for each in systems if any(_is_shown(each, key) for key in each.changed)]
    return markdown.table(["system", "images", *SHOWN.values(), "beats baseline"], rows)


def is_phantom(keys: Mapping[str, Change]) -> bool:
    """Return whether the metrics of a file are of phantoms."""
    return "source" in keys and "phantom" in (keys["source"].old, keys["source"].new)


def every(systems: Iterable[System]) -> Iterator[list[str]]:
    """Yield a row for each changed metric: file, metric, before, after, change."""
    for system in systems:
        for key, found in system.changed.items():
            yield [markdown.code(system.name), *of_metric(key, found)]


def of_metric(key: str, found: Change) -> list[str]:
    """Return cells: the metric, before, after, change."""
    values = [markdown.number(value, ".4f") for value in (found.old, found.new)]
    return [markdown.code(key), *values, markdown.signed(found.difference)]


def _system(path: str, metrics: Changes) -> System:
    name = PurePosixPath(path).stem
    beats = metrics.get(SUMMARY, {}).get(f"{name}.beats_baseline")
    return System(name, metrics[path], is_phantom(metrics[path]), beats)


def _is_shown(system: System, key: str) -> bool:
    return key.startswith(f"{system.split}.knn.")


def _row(system: System) -> list[str]:
    images = system.metrics.get(f"n_{system.split}")
    told = [*([markdown.change(images)] if images else []), system.split, *["phantoms"] * system.is_phantom]
    cells = [markdown.change(system.metrics.get(f"{system.split}.knn.{name}")) for name in SHOWN]
    return [markdown.code(system.name), " ".join(told), *cells, markdown.change(system.beats)]
