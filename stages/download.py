"""Bring a dataset to hand: fetch what is remote, decode every image once, and write the index."""

from oncovec.core import paths
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data import index
from oncovec.data import layouts as datasets
from oncovec.data.limit import limit
from oncovec.data.sources import open_raw


def main(dataset: str, params: Params) -> None:
    """Write `data/index/<dataset>.csv`, the files that do not decode, and the counts."""
    raw = open_raw(params, dataset)
    row = params.datasets[dataset]
    listing = limit(datasets.read(row.layout, raw.tree, row.columns), params.data.limit)
    found = index.build(raw.tree, listing)
    outputs = (paths.index(dataset), paths.unreadable(dataset), paths.data_metrics(dataset))
    index.write(found, *outputs, raw.source)
    counts = f"{listing.masks} masks dropped, {len(found.unreadable)} unreadable"
    print(f"{dataset}: {len(found.rows)} images, {counts}")
    if listing.missing_classes:
        print(f"{dataset}: no image of {', '.join(listing.missing_classes)}")
    for note in listing.notes:
        print(f"{dataset}: {note}")


if __name__ == "__main__":
    run(main)
