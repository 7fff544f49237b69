"""The options of `oncovec audit`; what is slow to import waits until it is asked for."""

import argparse
from pathlib import Path

from oncovec.core.errors import OncovecError
from oncovec.data.audit.named import HOW


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `audit` to a parser's commands."""
    what = "does a split leak? find duplicates, patients, lesions and slides that are in two splits"
    command = commands.add_parser(
        "audit",
        help=what,
        description=f"{what}. Of your own images; or, without PATH, of this checkout's own splits. "
        f"{HOW[0].upper()}{HOW[1:]} (which is val beside another test). "
        "With fewer than two splits there is no verdict, and the exit status is 1.",
    )
    command.set_defaults(run=run)
    command.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PATH",
        help="a folder with one folder per split (train, val, Testing …), with or without class folders; "
        "or a CSV with columns of paths (relative to it; or names without suffix) and of splits",
    )
    command.add_argument("--table", type=Path, metavar="CSV", help="a CSV whose paths are relative to PATH")
    for column, usual in (
        ("image", "image, path, id …"),
        ("split", "split, side, fold …"),
        ("label", "label, class …"),
    ):
        command.add_argument(f"--{column}", metavar="COLUMN", help=f"of the CSV; by default {usual}")
    command.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="COLUMN",
        help="of the CSV: what must not be in two splits; by default patient_id, lesion, slide …; repeatable",
    )
    command.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="NAME",
        help="without PATH: a row of datasets:; repeatable",
    )
    command.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="write audit.json, pairs.csv and pairs.png there"
    )
    command.add_argument(
        "--fail",
        action="store_true",
        help="exit with 1 if anything leaks, cannot be read or is on no known split (else 0)",
    )


def run(options: argparse.Namespace) -> bool:
    """Audit what the options say; whether the command is to fail.

    Raises:
        OncovecError: for options that contradict each other, and whatever else is wrong.
    """
    from oncovec.data.audit import command, given

    columns = given.Columns(options.image, options.split, options.label, tuple(options.group))
    if options.path is None:
        if options.table or options.output or columns != given.Columns():
            raise OncovecError(
                "audit: give a PATH; --dataset alone says what was found of a split of this checkout"
            )
        leaking = command.datasets(options.dataset)
    elif options.dataset:
        raise OncovecError("audit: give either a PATH or --dataset")
    else:
        leaking = command.own(given.read(options.path, options.table, columns), options.output)
    return leaking and bool(options.fail)
