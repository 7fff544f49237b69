"""The console command `oncovec`: use and compare trained systems, audit a split, pin what is fetched."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oncovec import compare, paths, repeats, split, tables
from oncovec.audit import options as audit
from oncovec.errors import OncovecError
from oncovec.files import replacing

if TYPE_CHECKING:
    from oncovec.predict import Prediction, System

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm")


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits with 1 and one line for a mistake, and with 1 if any image failed."""
    options = _parser().parse_args(arguments)
    try:
        failed = options.run(options)
    except OncovecError as error:
        sys.exit(f"oncovec: {error}")
    except KeyboardInterrupt:
        sys.exit("oncovec: interrupted")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(1 if failed else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oncovec",
        description="Use, compare trained systems, not for clinical use; audit splits; pin what is fetched.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, what in (
        ("predict", _predict, "name the class of images and show their nearest training images"),
        ("embed", _embed, "write the embeddings of images to an .npz file"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        command.set_defaults(run=run)
        command.add_argument("--system", required=True, metavar="NAME", help="a trained row of systems:")
        command.add_argument(
            "paths",
            nargs="*" if name == "predict" else "+",
            metavar="PATH",
            help="images, folders of images, or a CSV with a column `image` or `path`",
        )
        if name == "embed":
            command.add_argument("-o", "--output", required=True, type=Path, metavar="FILE.npz")
            continue
        command.add_argument("--format", choices=("table", "csv", "json"), default="table")
        command.add_argument(
            "--random", type=_positive, metavar="N", help="predict N images of the test side"
        )
        command.add_argument("--seed", type=_not_negative, default=0, help="which N (default 0)")
    audit.add_to(commands)
    compare.add_to(commands)
    repeats.add_to(commands)
    what = "fetch a dataset if need be and write manifests/DATASET.json, to which every later run holds it"
    trust = commands.add_parser("trust", help=what, description=what)
    trust.set_defaults(run=_trust)
    trust.add_argument("dataset", metavar="DATASET", help="a row of datasets: that is fetched")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _not_negative(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def _predict(options: argparse.Namespace) -> bool:
    from oncovec import answers

    if bool(options.paths) == bool(options.random):
        raise OncovecError("predict: give either PATHs or --random N")
    files = [] if options.random else images_of(options.paths)
    system = _load(options.system)
    if options.random:
        found, labels = _test_images(system, options.random, options.seed)
    else:
        found, labels = system.predict(files), None
    print(answers.FORMATS[options.format](found, system.classes, labels))
    return any(answer.error for answer in found)


def _embed(options: argparse.Namespace) -> bool:
    if options.output.suffix != ".npz":
        raise OncovecError(f"embed: --output {options.output} must end in .npz")
    files = images_of(options.paths)
    system = _load(options.system)
    good, vectors, failed = [], [], False
    for file, found in system.embed_each(files):
        if isinstance(found, str):
            print(f"oncovec: {file}: {found}", file=sys.stderr)
            failed = True
        else:
            vectors.append(found)
            good.append(Path(str(file)).as_posix())
    if not good:
        raise OncovecError("embed: none of the images could be read; nothing was written")
    try:
        with replacing(options.output) as part:
            np.savez(part, path=np.array(good), embedding=np.stack(vectors))
    except OSError as error:
        raise OncovecError(f"embed: cannot write {options.output} ({error.strerror})") from None
    print(f"{len(good)} embeddings of length {vectors[0].size} in {options.output}")
    return failed


def _trust(options: argparse.Namespace) -> bool:
    from oncovec import sources
    from oncovec.params import load

    for line in sources.trust(load(), options.dataset):
        print(line)
    return False


def _load(name: str) -> "System":
    from oncovec.predict import load

    return load(name)


def images_of(given: list[str]) -> list[Path]:
    """Files named on the command line: themselves, the images below a folder, those of a CSV.

    Raises:
        OncovecError: for a path that is not there, a folder without images, a CSV without a column of them.
    """
    files: list[Path] = []
    for name in given:
        path = Path(name)
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not below:
                raise OncovecError(f"{path}: no image below this folder; looked for {', '.join(SUFFIXES)}")
            files += below
        elif not path.is_file():
            raise OncovecError(f"{path}: no such file or folder")
        elif path.suffix.lower() == ".csv":
            files += _images_of_csv(path)
        else:
            files.append(path)
    return files


def _images_of_csv(path: Path) -> list[Path]:
    from oncovec.datasets.scan import read_rows
    from oncovec.tree import alone

    rows = read_rows(*alone(path), [])
    column = next((name for name in ("image", "path") if rows and name in rows[0].cells), None)
    if column is None:
        raise OncovecError(f"{path}: no rows, or no column `image` or `path`")
    for row in rows:
        if not row.cells[column]:
            raise OncovecError(f"{path}: row {row.number} has nothing in column {column!r}")
    return [path.parent / row.cells[column] for row in rows]


def _test_images(system: "System", count: int, seed: int) -> tuple[list["Prediction"], list[str]]:
    """Predictions of a random draw from the test side, beside what they truly are."""
    from dataclasses import replace

    from oncovec import prepare

    test = [row for row in split.read(paths.split(system.facts["task"])) if row["side"] == "test"]
    chosen = np.random.default_rng(seed).permutation(len(test))[:count]
    rows = [test[i] for i in sorted(chosen)]
    dataset = system.facts["dataset"]
    row_of = {r["image"]: i for i, r in enumerate(tables.read_table(paths.index(dataset), ("image",)))}
    array = prepare.open_prepared(dataset)[[row_of[row["image"]] for row in rows]]
    found = system.predict_prepared(array)
    named = [replace(answer, path=row["image"]) for answer, row in zip(found, rows, strict=True)]
    return named, [row["label"] for row in rows]


if __name__ == "__main__":
    main()
