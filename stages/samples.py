"""Show some images of every class of a dataset."""

from typing import TYPE_CHECKING

from oncovec import index, paths, pictures, prepare
from oncovec.stage import run

if TYPE_CHECKING:
    from oncovec.params import Params


def main(name: str, params: "Params") -> None:
    """Draw `plots/samples/<dataset>.png`, by the index's first label column."""
    rows = index.read(paths.index(name))
    label = list(rows[0])[1]
    picture = pictures.samples(prepare.open_prepared(name), [row[label] for row in rows])
    pictures.save(picture, paths.picture("samples", name))


if __name__ == "__main__":
    run(main)
