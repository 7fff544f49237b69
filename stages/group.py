"""Group the images of a dataset that come from the same patient, lesion, slide or original."""

from oncovec.core import files, paths
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data import duplicates, groups, index, prepare


def main(dataset: str, params: Params) -> None:
    """Write `data/groups/<dataset>/`, groups and the pairs of near-duplicates behind them, and the counts."""
    rows = index.read(paths.index(dataset))
    images = [row["image"] for row in rows]
    copies, shapes = prepare.open_copies(dataset)
    first = {row["sha256"]: number for number, row in reversed(list(enumerate(rows)))}
    # The system's temporary folder may lie in memory, which the keypoints of a large dataset would fill.
    beside = paths.prepared(dataset).parent
    found = duplicates.find(copies, shapes, params.near_duplicates, sorted(first.values()), beside)
    named = [(images[pair.first], images[pair.second]) for pair in found]
    group_of = groups.join(rows, pairs=named)
    duplicates_of = groups.join(rows, groups.COPY_KEYS, named)
    with files.replacing_folder(paths.groups(dataset)) as folder:
        groups.write(group_of, duplicates_of, folder / paths.group_table(dataset).name)
        pairs = duplicates.table(found, images)
        files.write_csv(folder / paths.pair_table(dataset).name, duplicates.COLUMNS, pairs)
    files.write_json(paths.group_metrics(dataset), groups.table(group_of, duplicates_of, len(found)))


if __name__ == "__main__":
    run(main)
