"""Fit a system's gallery on train; choose k and the operating point on val."""

from typing import TYPE_CHECKING

from oncovec import embeddings, knn, paths
from oncovec.stage import run
from oncovec.threads import limited

if TYPE_CHECKING:
    from oncovec.params import Params


def main(name: str, params: "Params") -> None:
    """Write `models/<system>.knn.npz`."""
    table = embeddings.read(paths.embeddings(name))
    with limited(params.train.threads):
        gallery = knn.fit(table, params.knn.k, params.evaluate.sensitivity)
    gallery.save(paths.gallery(name))


if __name__ == "__main__":
    run(main)
