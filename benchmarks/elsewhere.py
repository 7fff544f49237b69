"""What a system is worth on images of other hospitals: runs that differ in a few params and in the seed.

    python benchmarks/elsewhere.py --data DIR --elsewhere DIR [--seeds 0 1 …] [--set KEY=VALUE …]
        [--runs FILE] [--test] [-o FILE.csv]
    python benchmarks/elsewhere.py --table [-o FILE.csv]

Each run is a `dvc exp run --temp` of flagship_multi_organ alone on the images below --data (the roots). It
predicts the three sets below --elsewhere. Without --test the test split is not looked at. The words of --set
and of each line of --runs are as in `ablation.py`. A row per run and set is appended to the csv, with the
command that repeats it at the commit that is named, and the table of all rows is printed; --table prints it
alone. Run it in a clone of its own, which takes the params of these runs and loses the metrics of other rows.

The table has the mean over trainings with a 95 % interval. It knows the draw of images, by a bootstrap of
each run, and that of trainings, by their spread. The columns `_se` have the standard errors of the bootstrap;
rows from before they were there count without.

The sets are looked at while parameters are chosen, so what is chosen by them flatters on them. Choose on two
of them and judge on the third.
"""

import argparse
import csv
import io
import json
import shlex
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import ablation
import experiments
import yaml

from oncovec.core import datasets, params, paths, tables
from oncovec.core.files import replacing
from oncovec.evaluation import external, revisions

SYSTEM = "flagship_multi_organ"
SETS = {
    "brain_yesno": "{tumour:[brain_glioma,brain_meningioma,brain_pituitary]}",
    "breast_crops": "{breast_normal:breast_normal}",
    "chest_ct": "{lung_benign:lung_benign}",
}
"""Each set, with its labels that are no classes, and the classes of its organ that it does not have."""

REPLICATES, Z = 1000, 1.96
"""Replicates of the bootstrap; standard errors in half of a 95 % interval."""

SHOWN = ("coverage", "auroc", "wrong_and_answered", "elsewhere_and_answered")
HOME = ("val_knn_f1_macro", "test_knn_f1_macro")
COLUMNS = (
    *("change", "seed", "set", "n", "near_duplicates", *SHOWN, "balanced_accuracy", "risk_coverage_area"),
    *("val_knn_f1_macro", "val_head_f1_macro", "commit", "command"),
    *(f"{name}_se" for name in SHOWN),
    *("test_knn_f1_macro", "test_head_f1_macro", "test_coverage"),
)


def settings_of(data: str, elsewhere: str, test: bool = False) -> list[str]:
    """Settings that all runs share: one system, the three sets, the roots."""
    content = params.load()
    below, row = Path(elsewhere).resolve(), "task:multi_organ,dataset:multi_organ,layout:csv"
    settings = [*experiments.roots(data), f"evaluate.test={str(test).lower()}"]
    settings += [f"~external.{name}" for name in content.external if name not in SETS]
    settings += [f"~systems.{name}" for name in content.systems if name != SYSTEM]
    return settings + [
        f"+external.{name}={{{row},root:{below / name},labels:{labels}}}"
        for name, labels in SETS.items()
        if name not in content.external
    ]


def command_of(shared: Sequence[str], words: Sequence[str], seed: int) -> list[str]:
    """The command of one run."""
    own = [f"train.seed={seed}", *(ablation.key_of(word, SYSTEM) for word in words)]
    return experiments.command([*shared, *own], [f"external@{name}" for name in SETS])


def forget_others() -> None:
    """Delete the metrics of other systems and sets, which have no row in these runs."""
    for path in (*paths.SYSTEM_METRICS.glob("*.json"), *paths.EXTERNAL_METRICS.glob("*.json")):
        if path.stem not in (SYSTEM, *SETS):
            path.unlink()


def rows_of(name: str, told: Mapping[str, str]) -> list[dict[str, str]]:
    """The rows of an experiment, one per set."""
    files = [paths.system_metrics(SYSTEM), *map(paths.external_metrics, SETS)]
    system, *sets = map(json.loads, revisions.read(name, files))
    home = {
        f"{split}_{model}_f1_macro": system[split][model]["f1_macro"]
        for split in ("val", "test")
        for model in ("knn", "head")
        if split in system
    }
    (report,) = revisions.read(name, [paths.report(SYSTEM)])
    for row in csv.DictReader(io.StringIO(report)):
        if (row["split"], row["metric"]) == ("test", "ood_share"):
            home["test_coverage"] = 1 - float(row["value"])
    tables_of = revisions.read(name, list(map(paths.external, SETS)))
    return [
        {
            **told,
            "set": each,
            **found["left_out"],
            **found["systems"][SYSTEM],
            **home,
            **errors_of(each, text),
        }
        for each, found, text in zip(SETS, sets, tables_of, strict=True)
    ]


def errors_of(name: str, text: str) -> dict[str, float]:
    """The standard error of each metric of `SHOWN` over draws of the images of a set, by a bootstrap."""
    table = tables.parse(io.StringIO(text, newline=""), name, external.COLUMNS)
    classes_of = datasets.External.model_validate(
        {"task": "t", "dataset": "d", "root": "r", "layout": "csv", "labels": labels_of(name)}
    ).labels
    bounded = external.with_intervals(external.predictions(table, classes_of), REPLICATES, 0)
    return {
        f"{metric}_se": (bounded[metric].high - bounded[metric].low) / (2 * Z)
        for metric in SHOWN
        if metric in bounded
    }


def labels_of(name: str) -> dict[str, list[str]]:
    """The labels of a set that are no classes, each with its classes."""
    found = yaml.safe_load(SETS[name].replace(":", ": "))
    return {label: each if isinstance(each, list) else [each] for label, each in found.items()}


def read(path: Path) -> list[dict[str, str]]:
    """The rows of the csv."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Means of `SHOWN` over the trainings with their intervals, in Markdown: a line per change and commit."""
    lines = [
        "| change | commit | trainings | macro F1 of val and test | set | " + " | ".join(SHOWN) + " |",
        "| --- " * (5 + len(SHOWN)) + "|",
    ]
    for change, commit in dict.fromkeys((row["change"], row["commit"]) for row in rows):
        own = [row for row in rows if (row["change"], row["commit"]) == (change, commit)]
        runs = {row["seed"]: row for row in own}.values()
        home = ", ".join(_mean(runs, name, spread=True) for name in HOME)
        told = [f"`{change}`" if change else "none", commit, str(len(runs)), home]
        for name in SETS:
            of_set = [row for row in own if row["set"] == name]
            cells = [*told, name, *(_mean(of_set, each) for each in SHOWN)]
            lines.append(f"| {' | '.join(cells)} |")
            told = [""] * len(told)
    return lines


def _mean(rows: Iterable[Mapping[str, str]], name: str, spread: bool = False) -> str:
    """The mean over trainings with its 95 % interval, or with the standard deviation of trainings."""
    own = [row for row in rows if row.get(name)]
    if not own:
        return "-"
    values = [float(row[name]) for row in own]
    mean, deviation = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    if spread:
        return f"{mean:.3f} ± {deviation:.3f}"
    errors = [float(row.get(f"{name}_se") or 0) ** 2 for row in own]
    half = Z * (statistics.fmean(errors) + deviation**2 / len(values)) ** 0.5
    return f"{mean:.3f} ({max(0, mean - half):.3f} to {min(1, mean + half):.3f})"


def main() -> None:
    """Make the runs that the command line asks for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--elsewhere", metavar="DIR")
    parser.add_argument("--table", action="store_true", help="print the table of the csv, and run nothing")
    parser.add_argument("--test", action="store_true", help="look at the test split")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", dest="always")
    parser.add_argument("--runs", type=argparse.FileType(), metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/knobs.csv"))
    options = parser.parse_args()
    if not options.table:
        if not (options.data and options.elsewhere):
            parser.error("give --data and --elsewhere, or --table")
        run_all(options)
    print("\n".join(table(read(options.output))))


def run_all(options: argparse.Namespace) -> None:
    """Make all runs and append their rows to the csv."""
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    shared = settings_of(options.data, options.elsewhere, options.test)
    forget_others()
    experiments.prepare(shared, ["multi_organ"])
    rest = settings_of(options.data, options.elsewhere, options.test)  # rows that are gone are not named
    for words in [line.split() for line in options.runs or [""] if not line.startswith("#")]:
        for seed in options.seeds:
            words_of_run = [*options.always, *words]
            name, _ = experiments.run(command_of(rest, words_of_run, seed))
            told = shlex.join(command_of(shared, words_of_run, seed))
            for given, shown in ((options.data, "DIR"), (options.elsewhere, "ELSEWHERE")):
                told = told.replace(str(Path(given).resolve()), shown)
            change = " ".join(words_of_run)
            found = rows_of(name, {"change": change, "seed": str(seed), "commit": commit, "command": told})
            append(options.output, found)
            print(name, change, seed, *(f"{row['set']} {row['auroc']}" for row in found), flush=True)


def append(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Append rows to the csv, in the place of those of the same run and set: a run may be repeated."""
    new = {_of(row) for row in rows}
    before = [row for row in read(path) if _of(row) not in new] if path.exists() else []
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*before, *rows])


def _of(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("change", "commit", "seed", "set"))


if __name__ == "__main__":
    main()
