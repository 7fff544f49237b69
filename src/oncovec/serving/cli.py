"""The console command `oncovec`: use and compare trained systems, audit a split, pin what is fetched."""

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing
from oncovec.data import listing, splitting
from oncovec.data.audit import options as audit
from oncovec.evaluation import compare, repeats

if TYPE_CHECKING:
    from oncovec.serving.predict import Prediction, System


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits with 1 and one line for a mistake, and with 1 if any image failed."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # The name of a file need not be text: it is printed as it is.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
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
        description="Use and compare trained systems, not for clinical use; audit splits; "
        "pin what is fetched.",
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
            help="images, folders of images, or a CSV with a column `image` or `path`, relative to the CSV"
            + ("; with `label`, and perhaps `group`, metrics are reported" if name == "predict" else ""),
        )
        if name == "embed":
            command.add_argument("-o", "--output", required=True, type=Path, metavar="FILE.npz")
            continue
        command.add_argument("--format", choices=("table", "csv", "json"), default="table")
        command.add_argument(
            "--random", type=_positive, metavar="N", help="predict N images of the test split"
        )
        command.add_argument("--seed", type=_not_negative, default=0, help="which N (default 0)")
    audit.add_to(commands)
    compare.add_to(commands)
    repeats.add_to(commands)
    what = (
        "fetch a row of downloads: if need be and write manifests/DOWNLOAD.json, which later runs must meet"
    )
    trust = commands.add_parser("trust", help=what, description=what)
    trust.set_defaults(run=_trust)
    trust.add_argument("download", metavar="DOWNLOAD", help="a row of downloads:")
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
    from oncovec.serving import answers

    if bool(options.paths) == bool(options.random):
        raise OncovecError("predict: give either PATHs or --random N")
    images = listing.find(options.paths)
    system = _load(options.system)
    labels: list[str] | None
    if options.random:
        found, labels = _test_images(system, options.random, options.seed)
    else:
        labels = listing.labels_of(images, system.name, system.classes)
        found = system.predict(image.path for image in images)
    print(answers.FORMATS[options.format](found, system.classes, labels))
    if images and labels:
        _print_figures(system, images, labels, found, options.format)
    return any(answer.error for answer in found)


def _print_figures(
    system: "System",
    images: list[listing.Listed],
    labels: list[str],
    found: list["Prediction"],
    form: str,
) -> None:
    """Print metrics below a table; csv and json have standard output to themselves."""
    from oncovec.core.params import load
    from oncovec.serving import outside

    evaluate = load().evaluate
    metrics = outside.evaluate(images, labels, found, system.gallery, evaluate.bootstrap, evaluate.seed)
    if form == "table":
        print(f"\n{outside.as_text(metrics)}")
    else:
        print(outside.as_text(metrics), file=sys.stderr)


def _embed(options: argparse.Namespace) -> bool:
    if options.output.suffix != ".npz":
        raise OncovecError(f"embed: --output {options.output} must end in .npz")
    files = [image.path for image in listing.find(options.paths)]
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
    from oncovec.core.params import load
    from oncovec.data import download

    for line in download.trust(load(), options.download):
        print(line)
    return False


def _load(name: str) -> "System":
    from oncovec.serving.predict import load

    return load(name)


def _test_images(system: "System", count: int, seed: int) -> tuple[list["Prediction"], list[str]]:
    """Predictions of a random draw of test images of the system's classes, beside what they truly are."""
    from dataclasses import replace

    from oncovec.data import index, prepare

    dataset, again = system.facts["dataset"], f"run `dvc repro evaluate@{system.name}`"
    table = [
        row for row in splitting.of_task(dataset, system.facts["label"]) if row["label"] in system.classes
    ]
    test = [row for row in table if row["split"] == "test"]
    if trained_on := {row["image"] for row in test} & set(system.gallery.images.tolist()):
        raise OncovecError(
            f"{paths.split(dataset)}: drawn anew since {system.name} was trained, which so knows "
            f"{len(trained_on)} of its test images; {again}"
        )
    prepared = prepare.prepared_facts(dataset)
    if any(prepared[key] != system.facts[key] for key in ("image_size", "resize")):
        raise OncovecError(f"{paths.images(dataset)}: prepared anew since {system.name} was trained; {again}")
    chosen = np.random.default_rng(seed).permutation(len(test))[:count]
    rows = [test[i] for i in sorted(chosen)]
    row_of = {row["image"]: number for number, row in enumerate(index.read(paths.index(dataset)))}
    array = prepare.open_prepared(dataset)[[row_of[row["image"]] for row in rows]]
    found = system.predict_prepared(array)
    named = [replace(answer, path=row["image"]) for answer, row in zip(found, rows, strict=True)]
    return named, [row["label"] for row in rows]


if __name__ == "__main__":
    main()
