"""Group the images of a dataset that come from the same patient, lesion, slide or original."""

from oncovec.core import files, paths
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data import groups, index
from oncovec.data.duplicates import copies
from oncovec.data.duplicates.features import open_features


def main(dataset: str, params: Params) -> None:
    """Write `data/groups/<dataset>.csv`, the pairs of near copies behind it, and the counts."""
    rows = index.read(paths.index(dataset))
    images = [row["image"] for row in rows]
    features = open_features(paths.features(dataset), len(rows))
    first = {row["sha256"]: number for number, row in reversed(list(enumerate(rows)))}
    found = copies.find(features, params.group, sorted(first.values()))
    pairs = [(images[pair.first], images[pair.second]) for pair in found]
    group_of = groups.join(rows, pairs=pairs)
    copies_of = groups.join(rows, groups.COPY_KEYS, pairs)
    files.write_csv(paths.copies(dataset), copies.COLUMNS, copies.table(found, images))
    groups.write(group_of, copies_of, paths.groups(dataset))
    files.write_json(paths.group_metrics(dataset), groups.table(group_of, copies_of, len(found)))


if __name__ == "__main__":
    run(main)
