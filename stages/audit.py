"""Audit a task's split: what its val and test images have in train, and which images carry two labels."""

from typing import TYPE_CHECKING

from oncovec.core import files, paths, sheets
from oncovec.core.stage import row, run
from oncovec.data import groups, index, prepare, split
from oncovec.data import layouts as datasets
from oncovec.data.audit import leaks, pairs

if TYPE_CHECKING:
    from oncovec.core.params import Params


def main(task: str, params: "Params") -> None:
    """Write `metrics/audit/<task>.json`, and draw the worst pairs into `plots/audit/<task>.png`."""
    learned = row(params.tasks, "tasks", task)
    dataset = params.datasets[learned.dataset]
    rows = index.read(paths.index(learned.dataset))
    copies = groups.read_copies(paths.groups(learned.dataset))
    group = leaks.key_of(datasets.GROUPS.get(dataset.layout) or dataset.columns.group or "")
    audited = leaks.of_split(rows, split.read(paths.split(task)), copies, learned.label, group)
    row_of = {image: number for number, image in enumerate(audited.images)}
    found = pairs.pairs(audited, pairs.read(paths.copies(learned.dataset), row_of))
    pixels = prepare.open_prepared(learned.dataset)
    content = leaks.table(audited)
    files.write_json(paths.audit_metrics(task), content)
    sheets.save(pairs.sheet(audited, found, pixels.__getitem__), paths.picture("audit", task))
    print(
        f"{task}: {leaks.leak_count(content)} images of val and test have something of theirs in train, "
        f"{leaks.in_val_count(content)} of test in val"
    )


if __name__ == "__main__":
    run(main)
