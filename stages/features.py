"""Compute what near copies are found by: of every image a vector, keypoints and a small grey image."""

from oncovec.core import paths
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data import index
from oncovec.data.duplicates import extract
from oncovec.data.sources import open_raw
from oncovec.learning import systems


def main(dataset: str, params: Params) -> None:
    """Write `data/features/<dataset>/`, in the order of the index."""
    systems.use_threads(params.train.threads)
    raw = open_raw(params, dataset, check=False)  # download has checked
    images = {row["image"]: row["sha256"] for row in index.read(paths.index(dataset))}
    knobs = params.features
    device = systems.best_device()
    extract.write(raw.tree, images, paths.features(dataset), knobs.size, knobs.keypoints, device)


if __name__ == "__main__":
    run(main)
