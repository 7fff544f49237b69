"""Fit a system's gallery on train; choose k and the operating point on val."""

from typing import TYPE_CHECKING

from oncovec.core import paths
from oncovec.core.stage import run
from oncovec.core.threads import limited
from oncovec.data import embeddings
from oncovec.evaluation import knn

if TYPE_CHECKING:
    from oncovec.core.params import Params


def main(name: str, params: "Params") -> None:
    """Write `models/<system>.knn.npz`."""
    table = embeddings.read(paths.embeddings(name))
    with limited(params.train.threads):
        gallery = knn.fit(table, params.knn.k, params.evaluate.sensitivity)
    gallery.save(paths.gallery(name))


if __name__ == "__main__":
    run(main)
