"""Train a system and keep the epoch that does best on validation."""

from oncovec.core import paths
from oncovec.core.files import read_json, write_csv
from oncovec.core.params import Params
from oncovec.core.recipes import resolve
from oncovec.core.stage import row as find
from oncovec.core.stage import run
from oncovec.data import index, prepare, split
from oncovec.learning import systems, training
from oncovec.learning.launch import relaunch
from oncovec.learning.validation import Sides


def main(system: str, params: Params) -> None:
    """Write the model, its facts and `plots/history/<system>.csv`."""
    row = find(params.systems, "systems", system)
    if relaunch("stages.train", system, params.train.processes):
        return
    facts = prepare.prepared_facts(row.dataset)
    recipe = resolve(params, system, read_json(paths.split_facts(row.task)), facts)
    systems.use_threads(recipe.threads)
    accelerator = training.accelerator_for(recipe.precision)
    network, facts = systems.build(recipe)
    if accelerator.is_main_process:
        print(systems.description(network, facts))
    images = [r["image"] for r in index.read(paths.index(row.dataset))]
    sides = Sides.of(split.read(paths.split(row.task)), images, recipe.classes)
    array = prepare.open_prepared(row.dataset)
    state, history, best = training.train(recipe, network, facts, array, sides, accelerator)
    if accelerator.is_main_process:
        systems.save_system(system, state, facts | {"best_epoch": best})
        write_csv(
            paths.plot("history", system),
            training.HISTORY_COLUMNS,
            ([getattr(epoch, column) for column in training.HISTORY_COLUMNS] for epoch in history),
        )


if __name__ == "__main__":
    run(main)
