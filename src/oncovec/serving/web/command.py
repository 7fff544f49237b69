"""The command `oncovec serve`."""

from importlib.util import find_spec
from pathlib import Path

import click

from oncovec.core import checkout, paths
from oncovec.core.errors import OncovecError
from oncovec.core.exported import is_exported

PACKAGES = ("captum", "starlette", "uvicorn")
"""Packages that only this command needs: the extra `serve`."""


@click.command(short_help="Predict images in a web browser, or through a JSON interface.")
@click.option(
    "--system",
    "names",
    multiple=True,
    metavar="NAME",
    help="Trained system, or a file of `oncovec export`; repeatable; by default all.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free port."
)
def serve(names: tuple[str, ...], host: str, port: int) -> None:
    """Predict images in a web browser, or through a JSON interface, until Ctrl-C.

    The page shows probabilities, prediction set, nearest training images, and a heat map of what made the
    image similar to them. POST /api/predict?system=NAME with an image of at most 32 MiB as the body returns
    what `oncovec predict --format json` prints. Uploads stay in memory. Not for clinical use.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise OncovecError(f"serve: needs {', '.join(missing)}; run pip install 'oncovec[serve]'")
    from oncovec.serving.predict import load
    from oncovec.serving.web import app
    from oncovec.serving.web.limits import is_loopback

    # An exported file stays the same file when the working directory changes.
    names = tuple(str(Path(name).absolute()) if is_exported(name) else name for name in names)
    checkout.enter()  # thumbnails of training images are found from the root
    if not is_loopback(host):
        click.echo(f"oncovec: --host {host}: everybody in this network can use it", err=True)
    systems = [load(name) for name in dict.fromkeys(names) or _trained()]
    if len({system.name for system in systems}) < len(systems):
        raise OncovecError("serve: two systems of the same name; serve them on two ports")
    app.run(systems, host, port)


def _trained() -> list[str]:
    names = sorted(path.parent.name for path in checkout.find().glob(str(paths.gallery("*"))))
    if not names:
        raise OncovecError(
            "serve: no trained system here; make them (`dvc repro`) or fetch them (`dvc pull`)"
        )
    return names
