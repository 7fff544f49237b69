"""Store every image of a dataset as a uint8 square in one memory-mapped array."""

from oncovec.core import paths
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data import index, prepare
from oncovec.data.sources import open_raw


def main(dataset: str, params: Params) -> None:
    """Write `data/prepared/<dataset>.npy`, in the order of the index, and the facts beside it."""
    raw = open_raw(params, dataset, check=False)  # download has checked
    row = params.datasets[dataset]
    rows = index.read(paths.index(dataset))
    sides = [max(int(r["width"]), int(r["height"])) for r in rows]
    limits = dict(raw.caps)
    size = prepare.stored_size(sides, row.image_size, row.enlarge, limits.pop("image_size", None))
    resize = params.preprocess.resize
    images = {r["image"]: r["sha256"] for r in rows}
    prepare.prepare(raw.tree, images, size, resize, paths.prepared(dataset))
    prepare.write_facts(
        dataset, {"source": raw.source, "images": len(rows), "image_size": size, "resize": resize, **limits}
    )


if __name__ == "__main__":
    run(main)
