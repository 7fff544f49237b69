"""Bring a dataset to hand: decode every image once and write its index."""

from oncovec import datasets, index, paths
from oncovec.params import Params
from oncovec.sources import locate
from oncovec.stage import run


def main(dataset: str, params: Params) -> None:
    """Write `data/index/<dataset>.csv`, the files that do not decode, and the counts."""
    source, root = locate(params, dataset)
    row = params.datasets[dataset]
    names = row.columns
    columns = datasets.CsvColumns(names.file, names.image, names.label, names.group)
    listing = datasets.read(row.layout, root, columns)
    found = index.build(root, listing)
    index.write(found, paths.index(dataset), paths.unreadable(dataset), paths.data_metrics(dataset), source)
    counts = f"{listing.masks} masks dropped, {len(found.unreadable)} unreadable"
    print(f"{dataset}: {len(found.rows)} images, {counts}")
    if listing.missing_classes:
        print(f"{dataset}: no image of {', '.join(listing.missing_classes)}")
    for note in listing.notes:
        print(f"{dataset}: {note}")


if __name__ == "__main__":
    run(main)
