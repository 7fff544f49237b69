"""Draw what each system looked at, for its most confident mistakes and for right predictions."""

from oncovec.core import files, paths, rows, sheets
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.learning import heat_sheet, systems


def main(params: Params) -> None:
    """Write `plots/pictures/heatmaps/<system>.png`."""
    systems.use_threads(params.train.threads)
    device = systems.best_device()
    with files.new_folder(paths.picture("heatmaps", "").parent) as folder:
        for name in rows.read_systems()["system"]:
            sheets.save(heat_sheet.draw(name, device), folder / paths.picture("heatmaps", name).name)


if __name__ == "__main__":
    run(main)
