"""Split a task's images into train, val and test; no group on two sides, unless asked otherwise."""

from oncovec.core import paths
from oncovec.core.params import Params
from oncovec.core.stage import row, run
from oncovec.data import index, split
from oncovec.data.groups import read as groups_of


def main(task: str, params: Params) -> None:
    """Write `data/splits/<task>.csv`, and images and groups a side and class."""
    learned = row(params.tasks, "tasks", task)
    rows = index.read(paths.index(learned.dataset))
    groups = groups_of(paths.groups(learned.dataset))
    data = split.labelled(rows, groups, learned.label)
    sides = split.assign(data, params.split, learned.dataset)
    split.write(data, sides, task, learned.positive, params.split)
    for line in (
        split.warning(data, sides, task, params.split.strategy),
        split.no_classes(data, params.split, task),
    ):
        if line:
            print(line)


if __name__ == "__main__":
    run(main)
