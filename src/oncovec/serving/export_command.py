"""The command `oncovec export`."""

from pathlib import Path

import click

from oncovec.core.errors import OncovecError
from oncovec.core.exported import SUFFIX, is_exported
from oncovec.core.parts import CheckoutParts
from oncovec.serving.options import SYSTEM, Path_


@click.command(short_help="Write a trained system to one file that works anywhere.")
@SYSTEM
@click.option("-o", "--output", type=Path_, metavar=f"FILE{SUFFIX}", help="File to write.")
@click.option(
    "--names", is_flag=True, help="Keep the paths of training images; otherwise each is a number in the file."
)
@click.option(
    "--onnx", type=Path_, metavar="FILE.onnx", help="Write the network as ONNX; needs oncovec[onnx]."
)
def export(system: str, output: Path | None, names: bool, onnx: Path | None) -> None:
    """Write a trained system to one file that works anywhere, without a checkout.

    The file has weights, gallery, model card, limits and temperatures, and no image. --system of predict and
    embed, and oncovec.load, take it in place of a name.
    """
    if output is None and onnx is None:
        raise OncovecError(f"export: give -o FILE{SUFFIX}, --onnx FILE.onnx, or both")
    for file, suffix in ((output, SUFFIX), (onnx, ".onnx")):
        if file is not None and file.suffix != suffix:
            raise OncovecError(f"export: {file} must end in {suffix}")
    if output is not None and is_exported(system):
        raise OncovecError(f"export: {system} is an exported file already; copy it")
    if output is not None:
        _write(system, output, names)
    if onnx is not None:
        _write_onnx(system, onnx)


def _write(name: str, file: Path, names: bool) -> None:
    from oncovec.serving import exporting
    from oncovec.serving.predict import System

    parts = CheckoutParts(name)
    size = exporting.write(System(parts), parts, file, names)
    kept = "with" if names else "without"
    print(f"{file}: {size / 1e6:.1f} MB, {kept} the names of training images")


def _write_onnx(system: str, file: Path) -> None:
    from oncovec.serving import onnx_export
    from oncovec.serving.predict import load

    size, difference = onnx_export.write(load(system), file)
    print(
        f"{file}: {size / 1e6:.1f} MB; its embeddings of {onnx_export.CHECKED} images differ from those of "
        f"{system} by at most {difference:.1e}"
    )
