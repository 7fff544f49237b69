"""Refuse mistakes in params.yaml, in manifests and in roots before any other stage runs."""

from oncovec.core import paths, rows
from oncovec.core.files import replacing
from oncovec.core.params import Params
from oncovec.core.stage import run
from oncovec.data.roots import check_roots
from oncovec.learning.vocabulary import check_backbones, check_mlflow, check_weights


def main(params: Params) -> None:
    """Run checks beyond the types of params.yaml, then write `data/checked.txt` and the tables of rows."""
    rows.refuse_left_over(params)
    check_roots(params)
    check_backbones(params)
    check_weights(params)
    check_mlflow(params)
    rows.write_systems(params)
    rows.write_external(params)
    with replacing(paths.CHECKED) as part:
        part.write_text("params.yaml is sound\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
