"""Embed every image of every side with a trained system."""

from oncovec.core import paths
from oncovec.core.params import Params
from oncovec.core.progress import progress
from oncovec.core.stage import run
from oncovec.data import embeddings, index, prepare, split
from oncovec.learning import systems
from oncovec.learning.images import Images
from oncovec.learning.inference import embed


def main(system: str, params: Params) -> None:
    """Write `data/embeddings/<system>.npz`."""
    systems.use_threads(params.train.threads)
    device = systems.best_device()
    network, facts = systems.load_system(system, device)
    array = prepare.open_prepared(facts["dataset"])
    images = Images(array, device, facts["input_size"], systems.preprocessing_of(facts))
    row_of = {r["image"]: row for row, r in enumerate(index.read(paths.index(facts["dataset"])))}
    table = split.read(paths.split(facts["task"]))
    rows = [row_of[r["image"]] for r in table]
    knobs = params.embed
    tta = knobs.tta or facts.get("tta", False)
    with progress((), f"embed {system}", total=len(rows)) as bar:
        embedded = embed(network, images, rows, knobs.batch_size, tta, bar.update)
    embeddings.write(paths.embeddings(system), table, facts, embedded, tta)


if __name__ == "__main__":
    run(main)
