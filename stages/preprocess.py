"""Read every image of a dataset once, for the index, the stored square image and the small grey copy."""

from pathlib import Path

from oncovec.core import files, paths, sheets
from oncovec.core.params import Params
from oncovec.core.stage import row, run
from oncovec.data import layouts, prepare
from oncovec.data.decode import Square
from oncovec.data.limit import limit
from oncovec.data.roots import caps, source_of
from oncovec.data.tree import Folder


def main(name: str, params: Params) -> None:
    """Write `data/prepared/<dataset>/`, the counts, and a picture of some images per class."""
    dataset = row(params.datasets, "datasets", name)
    tree = Folder(Path(dataset.root))
    resize, source = params.preprocess.resize, source_of(dataset)
    limits = caps(tree.root) if source == "phantom" else {}
    size = min(dataset.image_size, limits.pop("image_size", dataset.image_size))
    listing = limit(layouts.read(dataset.layout, tree, dataset.columns, dataset.group), params.data.limit)
    with files.new_folder(paths.prepared(name)) as folder:
        table = prepare.prepare(tree, listing, folder, Square(size, resize, dataset.window))
        facts = {"source": source, "images": len(table.table), "image_size": size, "resize": resize, **limits}
        prepare.write_facts(folder, facts | ({"window": dataset.window} if dataset.window else {}))
    files.write_json(paths.data_metrics(name), {"source": source, **table.counts})
    labels = table.table[listing.label_columns[0]].tolist()
    sheets.save(sheets.samples(prepare.open_prepared(name), labels), paths.picture("samples", name))
    counts = f"{listing.masks} masks dropped, {len(table.unreadable)} unreadable"
    print(f"{name}: {len(table.table)} images, {counts}")
    if listing.missing_classes:
        print(f"{name}: no image of {', '.join(listing.missing_classes)}")
    for note in (*listing.notes, *prepare.depths(table.table)):
        print(f"{name}: {note}")


if __name__ == "__main__":
    run(main)
