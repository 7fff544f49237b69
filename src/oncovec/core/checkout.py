"""The checkout: its root folder, found from a folder inside, and the library that belongs to it."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from oncovec.core import paths
from oncovec.core.errors import OncovecError

DVC_FILE = "dvc.yaml"

RESTARTED = "ONCOVEC_RESTARTED"
"""Environment variable of a command that was started again with the library of its checkout."""


def find() -> Path:
    """Return the root of the checkout that contains the working directory; relative if it is the same.

    Raises:
        OncovecError: if the working directory is in no checkout.
    """
    try:
        here = Path.cwd()
    except OSError as error:
        raise OncovecError(
            f"the working directory is not there ({error.strerror}); go into another"
        ) from None
    for folder in (here, *here.parents):
        if (folder / paths.PARAMS).is_file() and (folder / DVC_FILE).is_file():
            return Path() if folder == here else folder
    raise OncovecError(
        f"{here}: in no checkout: no {paths.PARAMS} beside a {DVC_FILE} here or above; go into one, or give "
        "its folder: oncovec.load(name, root=...)"
    )


def enter() -> None:
    """Make the root of the checkout the working directory; outside of a checkout, nothing is done."""
    with suppress(OncovecError):
        os.chdir(find())


def use_its_own_library() -> None:
    """Start the command again with the library of the checkout, if another one runs.

    One environment may serve two checkouts, but it has the library of only one of them installed.
    """
    try:
        source = (find() / "src").absolute()
    except OncovecError:
        return
    library = (source / "oncovec").resolve()
    another = (library / "__init__.py").is_file() and library != Path(__file__).resolve().parents[1]
    if another and RESTARTED not in os.environ:
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{source}{os.pathsep}{others}" if others else str(source)
        os.environ[RESTARTED] = "1"
        os.execv(sys.executable, [sys.executable, "-P", "-m", "oncovec.serving.cli", *sys.argv[1:]])


def in_copy() -> bool:
    """Whether the working directory is the copy of a checkout in which `--queue` and `--temp` run."""
    return ".dvc" in Path.cwd().parts
