"""Fingerprint a published dataset's folder below data.root, so that a change in it is noticed."""

from oncovec import paths
from oncovec.files import write_json
from oncovec.params import Params
from oncovec.sources import fingerprint
from oncovec.stage import run


def main(dataset: str, params: Params) -> None:
    """Write number and sha256 of the files to `data/source/<dataset>.json`."""
    write_json(paths.source(dataset), fingerprint(paths.below(params.data.root, dataset)))


if __name__ == "__main__":
    run(main)
