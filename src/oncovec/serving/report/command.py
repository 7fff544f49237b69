"""The command `oncovec report`."""

from pathlib import Path

import click

from oncovec.core import checkout

OUTPUT = Path("data/report.html")


@click.command(short_help="Write a page about the present run: data, metrics, pictures, model cards.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help=f"File to write; by default {OUTPUT}, which Git ignores.",
)
@click.option("--no-images", is_flag=True, help="Leave out the pictures that show images; charts stay.")
def report(output: Path | None, no_images: bool) -> None:
    """Write one HTML page about the present run: data, metrics with intervals, pictures, model cards.

    The page works from a file, without a network. It shows images of the datasets, which may be patients',
    and has all of params.yaml, which may name folders. After a change of params.yaml, run `dvc repro` first.
    """
    from oncovec.serving import pages
    from oncovec.serving.report import page, read

    pages.refuse_other_suffix("report", output)
    target = output.absolute() if output else OUTPUT
    checkout.enter()
    run = read.run()
    size = pages.write("report", target, page.html(run, not no_images))
    shown = "no images" if no_images else "with images of the datasets, which may be patients'"
    click.echo(f"{output or OUTPUT}: {len(run.systems)} systems, {size / 1e6:.1f} MB, {shown}")
