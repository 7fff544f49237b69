"""Group the images of a dataset that come from the same patient, lesion, slide or original."""

import numpy as np

from oncovec.core import files, paths, tables
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data import duplicates, groups, index, prepare


def main(dataset: str, params: Params) -> None:
    """Write `data/groups/<dataset>/` (groups and the pairs of near-duplicates behind them) and the counts."""
    table = index.read(paths.index(dataset))
    images = table["image"].tolist()
    copies, shapes = prepare.open_copies(dataset)
    blank = prepare.blank(copies, shapes)
    table.loc[blank, "sha256"] = ""  # images that show nothing are no copies of each other
    first = np.flatnonzero(~table["sha256"].duplicated() & ~blank).tolist()
    # The system's temporary folder may be in memory, and the keypoints of a large dataset could fill it.
    beside = paths.prepared(dataset).parent
    found = duplicates.find(copies, shapes, params.near_duplicates, first, beside)
    named = [(images[pair.first], images[pair.second]) for pair in found]
    group_of = groups.join(table, pairs=named)
    duplicates_of = groups.join(table, groups.COPY_KEYS, named)
    duplicates_of |= dict.fromkeys(table.loc[blank, "image"], "")
    with files.new_folder(paths.groups(dataset)) as folder:
        groups.write(group_of, duplicates_of, folder / paths.group_table(dataset).name)
        pairs = duplicates.table(found, images)
        tables.write(folder / paths.pair_table(dataset).name, tables.of(duplicates.COLUMNS, pairs))
    files.write_json(paths.group_metrics(dataset), groups.table(group_of, duplicates_of, len(found)))
    if blank.any():
        print(f"group@{dataset}: {blank.sum()} blank images join no other image")
    if joined := groups.bridges(table, named):
        print(
            f"group@{dataset}: {len(joined)} near-duplicates make one group of two, "
            f"such as {' and '.join(joined[0])}"
        )


if __name__ == "__main__":
    run(main)
