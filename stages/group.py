"""Group the images of a dataset that come from the same patient, lesion, slide or file."""

from oncovec import groups, index, paths
from oncovec.params import Params
from oncovec.stage import run


def main(dataset: str, params: Params) -> None:
    """Write `data/groups/<dataset>.csv`."""
    groups.write(groups.join(index.read(paths.index(dataset))), paths.groups(dataset))


if __name__ == "__main__":
    run(main)
