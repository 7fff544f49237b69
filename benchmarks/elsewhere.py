"""What a system is worth on images of other hospitals: runs that differ in a few params and in the seed.

    python benchmarks/elsewhere.py --data DIR --elsewhere DIR [--seeds 0 1 …] [--set KEY=VALUE …]
        [--runs FILE] [-o FILE.csv]

Each run is a `dvc exp run --temp` of flagship_multi_organ alone on the images below --data (the roots). It
predicts the three sets below --elsewhere, with `evaluate.test=false`: the test split is not looked at. The
words of --set and of each line of --runs are as in `ablation.py`. A row per run and set is appended to the
csv, with the command that repeats it at the commit that is named. Means over the seeds are printed. Run it in
a clone of its own, which takes the params of these runs and loses the metrics of other rows.

The sets are looked at while parameters are chosen, so what is chosen by them flatters on them. Choose on two
of them and judge on the third.
"""

import argparse
import csv
import json
import shlex
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import ablation
import experiments

from oncovec.core import params, paths
from oncovec.evaluation import revisions

SYSTEM = "flagship_multi_organ"
SETS = {
    "brain_yesno": "{tumour:[brain_glioma,brain_meningioma,brain_pituitary]}",
    "breast_crops": "{breast_normal:breast_normal}",
    "chest_ct": "{lung_benign:lung_benign}",
}
"""Each set, with its labels that are no classes, and the classes of its organ that it does not have."""

SHOWN = ("coverage", "auroc", "wrong_and_answered", "elsewhere_and_answered")
COLUMNS = (
    *("change", "seed", "set", "n", "near_duplicates", *SHOWN, "balanced_accuracy", "risk_coverage_area"),
    *("val_knn_f1_macro", "val_head_f1_macro", "commit", "command"),
)


def settings_of(data: str, elsewhere: str) -> list[str]:
    """Settings that all runs share: one system, the three sets, the roots."""
    content = params.load()
    below, row = Path(elsewhere).resolve(), "task:multi_organ,dataset:multi_organ,layout:csv"
    settings = [*experiments.roots(data), "evaluate.test=false"]
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
    val = {f"val_{model}_f1_macro": system["val"][model]["f1_macro"] for model in ("knn", "head")}
    return [
        {**told, "set": each, **found["left_out"], **found["systems"][SYSTEM], **val}
        for each, found in zip(SETS, sets, strict=True)
    ]


def table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Means of `SHOWN` over the seeds with their standard deviation, in Markdown: a line per change."""
    lines = [
        "| change | seeds | val macro F1 | "
        + " | ".join(f"{name}: {', '.join(SHOWN)}" for name in SETS)
        + " |",
        "| --- " * (3 + len(SETS)) + "|",
    ]
    for change in dict.fromkeys(row["change"] for row in rows):
        own = [row for row in rows if row["change"] == change]
        seeds = {row["seed"]: row for row in own}
        cells = [f"`{change}`" if change else "none", str(len(seeds))]
        cells.append(_mean([row["val_knn_f1_macro"] for row in seeds.values()]))
        for name in SETS:
            of_set = [row for row in own if row["set"] == name]
            cells.append(", ".join(_mean([row[each] for row in of_set if row[each]]) for each in SHOWN))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _mean(values: Sequence[str]) -> str:
    numbers = [float(value) for value in values]
    if not numbers:
        return "-"
    spread = f" ± {statistics.stdev(numbers):.3f}" if len(numbers) > 1 else ""
    return f"{statistics.fmean(numbers):.3f}{spread}"


def main() -> None:
    """Make all runs and append their rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--elsewhere", required=True, metavar="DIR")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", dest="always")
    parser.add_argument("--runs", type=argparse.FileType(), metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/knobs.csv"))
    options = parser.parse_args()
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    shared = settings_of(options.data, options.elsewhere)
    forget_others()
    experiments.prepare(shared, ["multi_organ"])
    rest = settings_of(options.data, options.elsewhere)  # rows that are gone or there already are not named
    runs = [line.split() for line in options.runs or [""] if not line.startswith("#")]
    rows = []
    for words in runs:
        for seed in options.seeds:
            words_of_run = [*options.always, *words]
            name, _ = experiments.run(command_of(rest, words_of_run, seed))
            told = shlex.join(command_of(shared, words_of_run, seed))
            for given, shown in ((options.data, "DIR"), (options.elsewhere, "ELSEWHERE")):
                told = told.replace(str(Path(given).resolve()), shown)
            change = " ".join(words_of_run)
            found = rows_of(name, {"change": change, "seed": str(seed), "commit": commit, "command": told})
            rows += [{column: str(row.get(column, "")) for column in COLUMNS} for row in found]
            new = not options.output.exists()
            with options.output.open("a", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
                if new:
                    writer.writeheader()
                writer.writerows(rows[-len(SETS) :])
            print(change, seed, *(f"{row['set']} {row['auroc']}" for row in rows[-len(SETS) :]), flush=True)
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
