"""Refuse bad params before any other stage runs, so that no earlier output is lost."""

from oncovec import paths
from oncovec.files import replacing
from oncovec.params import Params
from oncovec.sources import check_roots
from oncovec.stage import run
from oncovec.vocabulary import check_backbones, check_weights


def main(params: Params) -> None:
    """Check what the types of params.yaml cannot: folders, and names of backbones and weights."""
    check_roots(params)
    check_backbones(params)
    check_weights(params)
    with replacing(paths.CHECKED) as part:
        part.write_text("params.yaml is sound\n")


if __name__ == "__main__":
    run(main)
