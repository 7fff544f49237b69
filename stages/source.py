"""Fingerprint a published dataset's folder below data.root, so that a change in it is noticed."""

from oncovec.core import paths
from oncovec.core.files import read_json, write_json
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data.sources import fingerprint


def main(dataset: str, params: Params) -> None:
    """Write number and sha256 of the files to `data/source/<dataset>.json`; for remote ones, their pins."""
    if params.data.source == "remote":
        found = read_json(paths.pin(dataset))
    else:
        found = fingerprint(paths.below(params.data.root, dataset))
    write_json(paths.source(dataset), found)


if __name__ == "__main__":
    run(main)
