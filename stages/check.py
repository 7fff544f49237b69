"""Refuse bad params before any other stage runs, and tell DVC which stages' code has changed."""

from oncovec import code
from oncovec.core import paths
from oncovec.core.files import replacing
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data.sources import check_roots, write_pins
from oncovec.learning.vocabulary import check_backbones, check_weights


def main(params: Params) -> None:
    """Check what the types of params.yaml cannot, then write what stages depend on instead of all of it."""
    check_roots(params)
    check_backbones(params)
    check_weights(params)
    write_pins(params)
    with replacing(paths.SYSTEMS) as part:
        part.write_text("".join(f"{name}\n" for name in params.systems))
    prints = {paths.code(stage): code.fingerprint(stage) for stage in code.stages()}
    for left in set(paths.code("any").parent.glob("*.txt")) - set(prints):
        left.unlink()
    for path, fingerprint in prints.items():
        with replacing(path) as part:
            part.write_text(fingerprint + "\n")


if __name__ == "__main__":
    run(main)
