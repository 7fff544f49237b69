"""Draw a phantom dataset in its published layout, with the caps that keep a phantom run short."""

import shutil

from oncovec.core import paths
from oncovec.core.files import write_json
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data import phantoms
from oncovec.data.sources import CAPS


def main(dataset: str, params: Params) -> None:
    """Draw into `data/phantom/<dataset>/`."""
    knobs = params.data.phantom
    folder = paths.phantoms(dataset)
    # By hand, without DVC: what lies there may be links into the cache, and of another size.
    shutil.rmtree(folder, ignore_errors=True)
    phantoms.draw(dataset, folder, knobs.images, knobs.size, knobs.seed)
    write_json(folder / CAPS, {"image_size": knobs.image_size, "epochs": knobs.epochs})


if __name__ == "__main__":
    run(main)
