"""Embed every image of every split with a trained system."""

from pathlib import Path

from oncovec.core import paths
from oncovec.core.params import Params
from oncovec.core.parts import CheckoutParts
from oncovec.core.progress import progress
from oncovec.core.stage import run
from oncovec.data import embeddings, index, prepare, splitting
from oncovec.learning import systems
from oncovec.learning.images import Images
from oncovec.learning.inference import embed


def main(name: str, params: Params) -> None:
    """Write `data/embeddings/<system>.npz`."""
    systems.use_threads(params.train.threads)
    device = systems.best_device()
    network, facts = systems.load_system(CheckoutParts(name, Path()), device)
    array = prepare.open_prepared(facts["dataset"])
    images = Images(array, device, facts["input_size"], systems.preprocessing_of(facts))
    table = splitting.of_task(facts["dataset"], facts["label"])
    rows = index.rows_of(index.read(paths.index(facts["dataset"])), table["image"]).tolist()
    tta = params.embed.tta or facts["tta"]
    with progress((), f"embed {name}", total=len(rows)) as bar:
        embedded = embed(network, images, rows, params.embed.batch_size, tta, bar.update)
    embeddings.write(paths.embeddings(name), table, facts, embedded, tta)


if __name__ == "__main__":
    run(main)
