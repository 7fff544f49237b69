"""Train a system and keep the epoch with the best result on validation."""

from oncovec.core import paths, sheets
from oncovec.core.params import Params
from oncovec.core.stage import row, run
from oncovec.data import index, prepare, splitting
from oncovec.learning import systems, tracking, training
from oncovec.learning.augment import preview
from oncovec.learning.config import resolve
from oncovec.learning.images import Images
from oncovec.learning.launch import relaunch
from oncovec.learning.validation import Splits


def main(name: str, params: Params) -> None:
    """Write `models/<system>/`, `dvclive/<system>/` and a picture of the augmentation of some images."""
    system = row(params.systems, "systems", name)
    if relaunch("stages.train", name, params.train.processes):
        return
    table = splitting.of_task(system.dataset, params.tasks[system.task].label)
    config = resolve(params, name, table["label"].tolist(), prepare.prepared_facts(system.dataset))
    systems.use_threads(config.threads)
    accelerator = training.accelerator_for(config.precision, tracking.trackers(name, params.mlflow))
    network, facts = systems.build(config)
    if accelerator.is_main_process:
        print(systems.description(network, facts))
    splits = Splits.of(table, index.read(paths.index(system.dataset)), config.classes)
    array = prepare.open_prepared(system.dataset)
    prepared = Images(array, accelerator.device, facts["input_size"], systems.preprocessing_of(facts))
    with tracking.tracked(accelerator, config):
        state, history, best = training.train(config, network, prepared, splits, accelerator)
    if accelerator.is_main_process:
        systems.save_system(name, state, facts | {"best_epoch": best}, history)
        shown = sheets.preview(*preview(array, splits.train_rows, config.augment))
        sheets.save(shown, paths.picture("augmentation", name))


if __name__ == "__main__":
    run(main)
