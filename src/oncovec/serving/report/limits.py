"""The limitations of a run, each a sentence that its own metrics justify."""

from collections.abc import Iterator

from oncovec.data.audit import leaks
from oncovec.evaluation import summary
from oncovec.serving.report.read import Run

FEW, TRUSTED = 5, 30
"""Numbers of groups of a class: intervals are widened below the first, and trusted from the second on."""


def short(run: Run) -> Iterator[str]:
    """Yield the run in a few sentences: how much there is, what beats a baseline, what leaks."""
    counts = [
        _count(len(run.systems), "system"),
        _count(len(run.tasks), "task"),
        _count(len(run.datasets), "dataset"),
        _count(len(run.external), "external test set"),
    ]
    yield f"{', '.join(counts)}."
    better = [name for name, each in run.systems.items() if each.headline.get("beats_baseline")]
    named = f": {', '.join(better)}" if better else ""
    yield (
        f"{len(better)} of {_count(len(run.systems), 'system')} are shown to beat their best baseline by "
        f"balanced accuracy{named}."
    )
    leaking = [name for name, each in run.datasets.items() if leaks.is_leaking(each.splits["audit"])]
    yield (
        f"The audit found leaks between the splits of {', '.join(leaking)}."
        if leaking
        else "The audit found no leak between the splits of any dataset."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def limitations(run: Run) -> Iterator[str]:
    """Yield the limitations of the run, one sentence or two each."""
    yield from _of_images(run)
    yield from _of_splits(run)
    yield from _of_groups(run)
    yield from _of_systems(run)
    yield (
        "Probabilities are votes of neighbours, and not calibrated. Not every image that is unlike the "
        "training images is recognised as such."
    )


def phantoms(run: Run) -> list[str]:
    """Return the datasets and external test sets whose images are drawn by code."""
    of_data = [name for name, each in run.datasets.items() if each.data["source"] == "phantom"]
    return of_data + [name for name, each in run.external.items() if each["source"] == "phantom"]


def _of_images(run: Run) -> Iterator[str]:
    if drawn := phantoms(run):
        yield (
            f"Phantoms, drawn by code: {', '.join(drawn)}. Their metrics say that the pipeline works, and "
            "nothing about how good a model is."
        )
    tried = {run.params.external[name].task for name in run.external}
    if alone := [task for task in run.tasks if task not in tried]:
        yield (
            f"No external test set: {', '.join(alone)}. Test images are of the same collections as training "
            "images; how a system does on images of another hospital was not measured."
        )


def _of_splits(run: Run) -> Iterator[str]:
    for name, each in run.datasets.items():
        if (strategy := each.splits["strategy"]) != "grouped":
            yield f"{name}: the split is {strategy}, so groups may be in two splits: see the audit."
    if val := [name for name, each in run.systems.items() if each.split == "val"]:
        yield f"Not evaluated on test, so that all metrics are of val: {', '.join(val)}."


def _of_groups(run: Run) -> Iterator[str]:
    fewest: dict[int, list[str]] = {}
    for name, each in run.systems.items():
        table = summary.of_all_images(each.measured.report, each.split)
        if ("knn", "fewest_groups") in table.index:
            count = int(table.loc[("knn", "fewest_groups"), "value"])
            fewest.setdefault(count, []).append(name)
    for count in sorted(number for number in fewest if number < TRUSTED):
        what = "are widened, and still a rough guide" if count < FEW else "are too narrow"
        yield f"{_count(count, 'group')} in the smallest class of the split, so that intervals {what}: " + (
            f"{', '.join(fewest[count])}."
        )


def _of_systems(run: Run) -> Iterator[str]:
    for protocol in dict.fromkeys(each.facts.get("protocol", "") for each in run.systems.values()):
        if protocol:
            same = [name for name, each in run.systems.items() if each.facts.get("protocol") == protocol]
            yield f"Trained {protocol}: {', '.join(same)}."
    if worse := [name for name, each in run.systems.items() if each.headline.get("beats_baseline") is False]:
        yield f"Not shown to beat a baseline without learning: {', '.join(worse)}."
