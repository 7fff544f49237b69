"""The console command `oncovec`: use and compare trained systems, audit a split, pin what is fetched."""

import io
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import numpy as np
import typer

from oncovec.core import paths
from oncovec.core.errors import OncovecError
from oncovec.core.files import replacing
from oncovec.data import splitting
from oncovec.data.split_names import HOW
from oncovec.serving.named_files import Listed, find, labels_of

if TYPE_CHECKING:
    from oncovec.serving.predict import Prediction, System

app = typer.Typer(
    help="Use and compare trained systems, not for clinical use; audit splits; pin what is fetched.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Split(StrEnum):
    """A split on which predictions are kept."""

    TEST = "test"
    VAL = "val"


class Model(StrEnum):
    """Which of a system's two models answers."""

    KNN = "knn"
    HEAD = "head"


IMAGES = "images, folders of images, or a CSV with a column `image` or `path`, relative to the CSV"

SystemName = Annotated[str, typer.Option("--system", metavar="NAME", help="a trained row of systems:")]
FormatOption = Annotated[Format, typer.Option("--format", help="how to print the result")]
ModelOption = Annotated[Model, typer.Option("--model", help="the model whose predictions are read")]


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits with 1 and one line for a mistake, and with 1 if any image failed."""
    for stream in (sys.stdout, sys.stderr):
        # The name of a file need not be text: it is printed as it is.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    try:
        failed = app(arguments, prog_name="oncovec", standalone_mode=False)
    except click.UsageError as error:
        print(f"oncovec: {error.format_message()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OncovecError as error:
        sys.exit(f"oncovec: {error}")
    except (KeyboardInterrupt, click.Abort):
        sys.exit("oncovec: interrupted")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(1 if failed else 0)


@app.command()
def predict(
    system: SystemName,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help=f"{IMAGES}; with `label`, metrics are reported"),
    ] = None,
    form: FormatOption = Format.TABLE,
    random: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="predict N images of the test split")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="random seed of the choice")] = 0,
) -> bool:
    """Name the class of images and show their nearest training images."""
    from oncovec.serving import answers

    if bool(paths) == bool(random):
        raise OncovecError("predict: give either PATHs or --random N")
    images = find(paths or [])
    trained = _load(system)
    labels: list[str] | None
    if random:
        found, labels = _test_images(trained, random, seed)
    else:
        labels = labels_of(images, trained.name, trained.classes)
        found = trained.predict(image.path for image in images)
    print(answers.FORMATS[form](found, trained.classes, labels))
    if images and labels:
        _print_metrics(trained, images, labels, found, form)
    return any(answer.error for answer in found)


def _print_metrics(
    system: "System",
    images: list[Listed],
    labels: list[str],
    found: list["Prediction"],
    form: Format,
) -> None:
    """Print metrics below a table; csv and json have standard output to themselves."""
    from oncovec.core.params import load
    from oncovec.serving import outside

    evaluate = load().evaluate
    metrics = outside.evaluate(images, labels, found, system.gallery, evaluate.bootstrap, evaluate.seed)
    if form == Format.TABLE:
        print(f"\n{outside.as_text(metrics)}")
    else:
        print(outside.as_text(metrics), file=sys.stderr)


@app.command()
def embed(
    system: SystemName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help=IMAGES)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.npz", help="file to write")],
) -> bool:
    """Write the embeddings of images to an .npz file."""
    if output.suffix != ".npz":
        raise OncovecError(f"embed: --output {output} must end in .npz")
    files = [image.path for image in find(paths)]
    good, vectors, failed = [], [], False
    for file, found in _load(system).embed_each(files):
        if isinstance(found, str):
            print(f"oncovec: {file}: {found}", file=sys.stderr)
            failed = True
        else:
            vectors.append(found)
            good.append(Path(str(file)).as_posix())
    if not good:
        raise OncovecError("embed: none of the images could be read; nothing was written")
    try:
        with replacing(output) as part:
            np.savez(part, path=np.array(good), embedding=np.stack(vectors))
    except OSError as error:
        raise OncovecError(f"embed: cannot write {output} ({error.strerror})") from None
    print(f"{len(good)} embeddings of length {vectors[0].size} in {output}")
    return failed


def _column(usual: str) -> typer.models.OptionInfo:
    return typer.Option(metavar="COLUMN", help=f"column of the CSV; by default {usual}")


@app.command(
    help="Find duplicates, patients, lesions and slides that are in two splits. Of your own images; or, "
    f"without PATH, of this checkout's own splits. {HOW[0].upper()}{HOW[1:]} (which is val beside another "
    "test). With fewer than two splits there is no verdict, and the exit status is 1."
)
def audit(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PATH]",
            help="a folder with one folder per split (train, val, Testing …), with or without class folders; "
            "or a CSV with columns of paths (relative to it; or names without suffix) and of splits",
        ),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="CSV", help="a CSV whose paths are relative to PATH")
    ] = None,
    image: Annotated[str | None, _column("image, path, id …")] = None,
    split: Annotated[str | None, _column("split, side, fold …")] = None,
    label: Annotated[str | None, _column("label, class …")] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="column of the CSV whose values must not be in two splits; by default patient_id, lesion, "
            "slide …; repeatable",
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="without PATH: a row of datasets:; repeatable"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="write audit.json, pairs.csv and pairs.png there"
        ),
    ] = None,
    fail: Annotated[
        bool,
        typer.Option("--fail", help="exit with 1 if anything leaks, cannot be read or is in no known split"),
    ] = False,
) -> bool:
    """Audit a split, and tell whether the command is to fail."""
    from oncovec.data.audit import command, given

    columns = given.Columns(image, split, label, tuple(group or ()))
    if path is None:
        if table or output or columns != given.Columns():
            raise OncovecError(
                "audit: give a PATH; --dataset alone says what was found of a split of this checkout"
            )
        return command.datasets(dataset or []) and fail
    if dataset:
        raise OncovecError("audit: give either a PATH or --dataset")
    return command.own(given.read(path, table, columns), output) and fail


@app.command()
def compare(
    a: Annotated[
        str, typer.Argument(metavar="A", help="SYSTEM, or SYSTEM@REV: a git revision or experiment")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="likewise")],
    split: Annotated[Split, typer.Option(help="the split on which they are compared")] = Split.TEST,
    model: ModelOption = Model.KNN,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say by how much B differs from A on the same images, with an interval."""
    from oncovec.core.params import load
    from oncovec.evaluation import compare as comparison

    evaluate = load().evaluate
    found = comparison.compare((a, b), split, model, evaluate.bootstrap, evaluate.seed)
    print(comparison.FORMATS[form](found))


@app.command()
def repeats(
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="a row of systems:")],
    revs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REV]...", help="revisions or experiments; default: the experiments of this commit"
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="PARAM", help="group the runs by this param, such as split.strategy"),
    ] = None,
    model: ModelOption = Model.KNN,
    form: FormatOption = Format.TABLE,
) -> None:
    """Give mean and spread of a system's test metrics over runs with different random seeds."""
    from oncovec.evaluation import repeats as runs

    found = runs.repeats(system, revs or [], model, by)
    print(runs.FORMATS[form](found, by))


@app.command()
def trust(
    download: Annotated[str, typer.Argument(metavar="DOWNLOAD", help="a row of downloads:")],
) -> None:
    """Fetch a row of downloads: if need be and write manifests/DOWNLOAD.json, which later runs must meet."""
    from oncovec.core.params import load
    from oncovec.data import download as downloads

    for line in downloads.trust(load(), download):
        print(line)


def _load(name: str) -> "System":
    from oncovec.serving.predict import load

    return load(name)


def _test_images(system: "System", count: int, seed: int) -> tuple[list["Prediction"], list[str]]:
    """Predictions of a random draw of test images of the system's classes, beside what they truly are."""
    from oncovec.data import index, prepare

    dataset, again = system.facts["dataset"], f"run `dvc repro evaluate@{system.name}`"
    table = splitting.of_task(dataset, system.facts["label"])
    test = table[table["label"].isin(system.classes) & (table["split"] == "test")]
    if trained_on := set(test["image"]) & set(system.gallery.images.tolist()):
        raise OncovecError(
            f"{paths.split(dataset)}: drawn anew since {system.name} was trained, which so knows "
            f"{len(trained_on)} of its test images; {again}"
        )
    prepared = prepare.prepared_facts(dataset)
    if any(prepared[key] != system.facts[key] for key in ("image_size", "resize")):
        raise OncovecError(f"{paths.images(dataset)}: prepared anew since {system.name} was trained; {again}")
    chosen = np.random.default_rng(seed).permutation(len(test))[:count]
    shown = test.iloc[sorted(chosen)]
    rows = index.rows_of(index.read(paths.index(dataset)), shown["image"])
    found = system.predict_prepared(prepare.open_prepared(dataset)[rows])
    named = [replace(answer, path=image) for answer, image in zip(found, shown["image"], strict=True)]
    return named, shown["label"].tolist()


if __name__ == "__main__":
    main()
