"""Bring a dataset to hand: decode every image once and write its index."""

from oncovec import datasets, index, paths
from oncovec.params import Params
from oncovec.sources import locate
from oncovec.stage import run


def main(dataset: str, params: Params) -> None:
    """Write `data/index/<dataset>.csv`, the files that do not decode, and the counts."""
    source, root = locate(params, dataset)
    row = params.datasets[dataset]
    listing = datasets.read(row.layout, root, row.columns)
    found = index.build(root, listing)
    index.write(found, source, paths.index(dataset), paths.unreadable(dataset), paths.data_metrics(dataset))
    for line in index.summary(found):
        print(f"{dataset}: {line}")


if __name__ == "__main__":
    run(main)
