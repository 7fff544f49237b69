"""The command `oncovec atlas`."""

from collections.abc import Sequence
from pathlib import Path

import click

from oncovec.core import checkout, paths
from oncovec.core.errors import not_there
from oncovec.core.params import Params, load
from oncovec.core.threads import limited

OUTPUT = Path("data/atlas.html")


@click.command(short_help="Write a page that shows every evaluated image in the embedding.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help=f"File to write; by default {OUTPUT}, which Git ignores.",
)
@click.option(
    "--system",
    "systems",
    multiple=True,
    metavar="NAME",
    help="A row of systems:; repeatable; by default all that are evaluated.",
)
@click.option("--no-images", is_flag=True, help="Leave out the thumbnails; names of files stay.")
def atlas(output: Path | None, systems: tuple[str, ...], no_images: bool) -> None:
    """Write one HTML page of every evaluated image in the embedding, with its nearest training images.

    The page works from a file, without a network. It holds thumbnails of the images, which may be patients',
    and the names of their files, which may tell of patients, too.
    """
    from oncovec.serving import pages
    from oncovec.serving.atlas import page, view

    pages.refuse_other_suffix("atlas", output)
    target = output.absolute() if output else OUTPUT
    checkout.enter()
    params = load()
    chosen = list(dict.fromkeys(systems)) or _evaluated(params)
    with limited(params.train.threads):
        shown = [view.read(name, params.evaluate.seed) for name in chosen]
    size = pages.write("atlas", target, page.html(shown, not no_images))
    _say(output or OUTPUT, [len(each.rows) for each in shown], size, no_images)


def _evaluated(params: Params) -> list[str]:
    """Return the rows that have predictions, in the order of params.yaml; name the others."""
    found = [name for name in params.systems if paths.predictions(name).is_file()]
    if not found:
        raise not_there(paths.RESULTS)
    others = [name for name in params.systems if name not in found]
    if others:
        missing = ", ".join(others)
        click.echo(f"oncovec: left out, since not evaluated (`dvc repro evaluate@NAME`): {missing}", err=True)
    return found


def _say(path: Path, points: Sequence[int], size: int, no_images: bool) -> None:
    shown = "no thumbnails" if no_images else "with thumbnails of the images, which may be patients'"
    click.echo(f"{path}: {len(points)} systems, {sum(points)} points, {size / 1e6:.1f} MB, {shown}")
