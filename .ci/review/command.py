"""The command line of `.ci/pull_request`."""

import argparse
import os
import sys

from review import comment, history, pictures
from review.errors import ReviewError


def main() -> None:
    """Print the comment; an error is one line, with exit code 1."""
    parser = argparse.ArgumentParser(
        prog=".ci/pull_request",
        description="Print, as Markdown, what the working tree changed since its branch left BASE: metrics, "
        "params, pictures, leaks, stages that are out of date. It runs no stage and needs no cache.",
    )
    parser.add_argument("base", nargs="?", metavar="BASE", help="a branch or commit (default: main)")
    given = parser.parse_args()
    try:
        print(comment.written(history.opened(given.base), pictures.address_of(os.environ)), end="")
    except ReviewError as error:
        sys.exit(f"pull_request: {error}")
