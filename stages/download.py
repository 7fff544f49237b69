"""Write the files of a row of downloads to `data/raw`: draw phantoms, or fetch from Kaggle and ISIC."""

from oncovec.core import paths
from oncovec.core.files import new_folder, write_json
from oncovec.core.params import Params
from oncovec.core.stage import row, run
from oncovec.data import download, phantoms
from oncovec.data.roots import CAPS, LIMITS, is_fetched, refuse_links_out


def main(name: str, params: Params) -> None:
    """Write `data/raw/<name>/` in the published layout; for phantoms, also limits that keep a run short."""
    wanted = row(params.downloads, "downloads", name)
    refuse_links_out()
    if is_fetched(params, name):
        download.fetch(name, wanted, paths.raw(name))
        return
    settings = params.data.phantom
    with new_folder(paths.raw(name)) as folder:
        phantoms.draw(name, folder, settings.images, settings.size, settings.seed)
        write_json(
            folder / phantoms.IMAGES.get(name, "") / CAPS,
            {limit: getattr(settings, limit) for limit in sorted(LIMITS)},
        )


if __name__ == "__main__":
    run(main)
