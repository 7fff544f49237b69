"""The console command `oncovec`: use and compare trained systems, audit a split, pin fetched files."""

import codecs
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from oncovec.core import checkout
from oncovec.core.errors import OncovecError
from oncovec.core.exported import is_exported
from oncovec.core.files import replacing, write_npz
from oncovec.core.progress import progress
from oncovec.data.split_names import HOW
from oncovec.serving.atlas.command import atlas
from oncovec.serving.doctor.command import doctor
from oncovec.serving.export_command import export
from oncovec.serving.named_files import Listed, find, labels_of
from oncovec.serving.options import SYSTEM, Path_
from oncovec.serving.report.command import report
from oncovec.serving.web.command import serve

if TYPE_CHECKING:
    from oncovec.serving.predict import Prediction, System

Command = Callable[..., bool]

ANY_NAME = "oncovec-any-name"
"""Name of the handler that makes any file name printable on any terminal."""

MODEL = click.option("--model", type=click.Choice(["knn", "head"]), default="knn", show_default=True)
FORMAT = click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def app() -> None:
    """Use and compare trained systems, not for clinical use; audit splits; pin what is fetched."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exit with 1 and one line for a mistake, and with 1 if any image failed."""
    codecs.register_error(ANY_NAME, _any_name)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ANY_NAME)
    if arguments is None:
        checkout.use_its_own_library()
    try:
        failed = app(arguments, prog_name="oncovec", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        print(f"oncovec: {error.format_message()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OncovecError as error:
        sys.exit(f"oncovec: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"oncovec: this needs the package {error.name}: pip install 'oncovec[pipeline]'")
    except (KeyboardInterrupt, click.Abort):
        sys.exit("oncovec: interrupted")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(1 if failed else 0)


def _any_name(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode the name of any file: bytes that are no text unchanged, escapes for what a terminal lacks."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


@app.command()
@SYSTEM
@click.argument("inputs", nargs=-1, metavar="[PATH]...")
@FORMAT
@click.option("--random", type=click.IntRange(1), metavar="N", help="Predict N images of the test split.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of the choice."
)
def predict(system: str, inputs: tuple[str, ...], form: str, random: int | None, seed: int) -> bool:
    """Name the class of images and show their nearest training images.

    PATH: images, folders of images, or a CSV with a column `image` or `path`, relative to the CSV; with a
    column `label`, and perhaps `group`, metrics are reported.
    """
    from oncovec.evaluation import external
    from oncovec.serving import formats, sample

    if bool(inputs) == bool(random):
        raise OncovecError("predict: give either PATHs or --random N")
    if random and is_exported(system):
        raise OncovecError(f"predict: --random needs the test images of a checkout; {system} has none")
    notes: list[str] = []
    if random:
        checkout.enter()  # no path is given, and the test images are found from the root
    images = find(inputs, notes)
    trained = _load(system)
    known = external.told(trained.parts) if form == "table" else []
    labels: list[str] | None
    if random:
        found, labels = sample.predict(trained, random, seed)
    else:
        labels = labels_of(images, trained.name, trained.classes)
        files = [image.path for image in images]
        with progress(trained.predict_each(files), "predict", total=len(files)) as each:
            found = list(each)
    print(formats.FORMATS[form](found, trained.classes, labels))
    if images and labels:
        _print_metrics(trained, images, labels, found, form)
    for line in known:
        print(line)
    for line in notes:
        print(line, file=sys.stderr)
    return any(each.error for each in found)


def _print_metrics(
    system: "System",
    images: list[Listed],
    labels: list[str],
    found: list["Prediction"],
    form: str,
) -> None:
    """Print metrics below a table; with csv and json, print them on standard error."""
    from oncovec.serving import outside

    metrics = outside.evaluate(images, labels, found, system.gallery, *system.parts.bootstrap())
    if form == "table":
        print(f"\n{outside.as_text(metrics)}")
    else:
        print(outside.as_text(metrics), file=sys.stderr)


@app.command()
@SYSTEM
@click.argument("inputs", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", type=Path_, required=True, metavar="FILE.npz", help="File to write.")
def embed(system: str, inputs: tuple[str, ...], output: Path) -> bool:
    """Write the embeddings of images to an .npz file.

    PATH: images, folders of images, or a CSV with a column `image` or `path`, relative to the CSV.
    """
    if output.suffix != ".npz":
        raise OncovecError(f"embed: --output {output} must end in .npz")
    notes: list[str] = []
    files = [image.path for image in find(inputs, notes)]
    good, vectors, failed = [], [], False
    with progress(_load(system).embed_each(files), "embed", total=len(files)) as each:
        for file, found in each:
            if isinstance(found, str):
                each.write(f"oncovec: {file}: {found}", file=sys.stderr)
                failed = True
            else:
                vectors.append(found)
                good.append(Path(str(file)).as_posix())
    if not good:
        raise OncovecError("embed: none of the images could be read; nothing was written")
    try:
        with replacing(output) as part:
            write_npz(part, {"path": np.array(good), "embedding": np.stack(vectors)})
    except OSError as error:
        raise OncovecError(f"embed: cannot write {output} ({error.strerror})") from None
    print(f"{len(good)} embeddings of length {vectors[0].size} in {output}")
    for line in notes:
        print(line, file=sys.stderr)
    return failed


def _column(name: str, usual: str) -> Callable[[Command], Command]:
    return click.option(f"--{name}", metavar="COLUMN", help=f"Column of the CSV; by default {usual}")


@app.command(
    short_help="Find what is in two splits: duplicates, patients, lesions, slides.",
    help=f"""Find duplicates, patients, lesions and slides that are in two splits.

    PATH: a folder with one folder per split (train, val, Testing ...), with or without class folders; or a
    CSV with columns of paths (relative to it; or names without suffix) and of splits. Without PATH: this
    checkout's own splits.

    {HOW[0].upper()}{HOW[1:]} (which is val beside another test). With fewer than two splits there is no
    verdict, and the exit status is 1.
    """,
)
@click.argument("path", type=Path_, required=False)
@click.option("--table", type=Path_, metavar="CSV", help="A CSV whose paths are relative to PATH.")
@_column("image", "image, path, id ...")
@_column("split", "split, side, fold ...")
@_column("label", "label, class ...")
@click.option(
    "--group",
    multiple=True,
    metavar="COLUMN",
    help="Column of the CSV whose values must not be in two splits; by default patient_id, lesion, "
    "slide ...; repeatable.",
)
@click.option(
    "--dataset", multiple=True, metavar="NAME", help="Without PATH: a row of datasets:; repeatable."
)
@click.option(
    "-o", "--output", type=Path_, metavar="FOLDER", help="Write audit.json, pairs.csv and pairs.png there."
)
@click.option(
    "--fail",
    is_flag=True,
    help="Exit with 1 if anything leaks, cannot be read, or is in a folder or cell of no known split.",
)
def audit(
    path: Path | None,
    table: Path | None,
    image: str | None,
    split: str | None,
    label: str | None,
    group: tuple[str, ...],
    dataset: tuple[str, ...],
    output: Path | None,
    fail: bool,
) -> bool:
    """Audit a split, and return whether the command must fail."""
    from oncovec.data.audit import command, given

    columns = given.Columns(image, split, label, group)
    if path is None:
        if table or output or columns != given.Columns():
            raise OncovecError(
                "audit: give a PATH; --dataset alone says what was found of a split of this checkout"
            )
        checkout.enter()
        return command.datasets(list(dataset)) and fail
    if dataset:
        raise OncovecError("audit: give either a PATH or --dataset")
    return command.own(given.read(path, table, columns), output) and fail


@app.command(short_help="Say by how much a system B differs from A, with an interval.")
@click.argument("a")
@click.argument("b")
@click.option("--split", type=click.Choice(["test", "val"]), default="test", show_default=True)
@MODEL
@FORMAT
def compare(a: str, b: str, split: str, model: str, form: str) -> None:
    """Say by how much B differs from A on the same images, with an interval.

    A and B: SYSTEM, or SYSTEM@REV of a git revision or experiment.
    """
    from oncovec.core.params import load
    from oncovec.evaluation import compare as comparison

    checkout.enter()
    evaluate = load().evaluate
    found = comparison.compare((a, b), split, model, evaluate.bootstrap, evaluate.seed)
    print(comparison.FORMATS[form](found))


@app.command(short_help="Give mean and spread of test metrics over several runs.")
@click.argument("system")
@click.argument("revs", nargs=-1, metavar="[REV]...")
@click.option("--by", metavar="PARAM", help="Group the runs by this param, such as split.strategy.")
@MODEL
@FORMAT
def repeats(system: str, revs: tuple[str, ...], by: str | None, model: str, form: str) -> None:
    """Give mean and spread of a system's test metrics over runs with different random seeds.

    Where the runs have one split, the mean has an interval that knows the draw of test images and that of
    trainings.

    SYSTEM: a row of systems:. REV: revisions or experiments; by default the experiments of this commit.
    """
    from oncovec.core.params import load
    from oncovec.evaluation import repeats as runs

    checkout.enter()
    evaluate = load().evaluate
    found = runs.repeats(system, revs, model, by, evaluate.bootstrap, evaluate.seed)
    print(runs.FORMATS[form](found, by))


@app.command(short_help="Fetch a row of downloads: and pin its files.")
@click.argument("download")
def trust(download: str) -> None:
    """Fetch a row of downloads: if need be and write manifests/DOWNLOAD.json, which later runs must meet."""
    from oncovec.core.params import load
    from oncovec.data import download as downloads

    checkout.enter()
    for line in downloads.trust(load(), download):
        print(line)


for _command in (atlas, doctor, export, report, serve):
    app.add_command(_command)


def _load(name: str) -> "System":
    from oncovec.serving.batches import claim_process
    from oncovec.serving.predict import load

    claim_process()
    return load(name)


if __name__ == "__main__":
    main()
