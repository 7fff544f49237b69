"""What a parameter gives: runs of one system that differ in a few params, in validation metrics only.

    python benchmarks/ablation.py SYSTEM --data DIR [--set KEY=VALUE …] [--runs FILE] [-o FILE.csv]

Each run is a `dvc exp run --temp` on the images below DIR (the roots), with `evaluate.test=false`: the
test split is not looked at. --set holds for every run; FILE has one run a line, as KEY=VALUE words below
`systems.SYSTEM` (with a leading dot: from the root of params.yaml; with a leading plus: a key that the row
lacks); an empty line is the row as it is, and a line that begins with # a comment (`ablation.txt`). A row is
appended to the csv for each run, with the command that repeats it at the commit that is named, and a table of
them printed. Best run in a clone of its own, which takes the params of these runs: what all of them need is
made there first.
"""

import argparse
import csv
import io
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import experiments

from oncovec.core import params, paths
from oncovec.core.params import Params
from oncovec.evaluation import revisions

PLOTTED = (
    ("knn", "f1_macro"),
    ("knn", "balanced_accuracy"),
    ("knn", "auroc"),
    ("head", "f1_macro"),
    ("head", "balanced_accuracy"),
    ("head", "auroc"),
)
COLUMNS = (
    *("system", "change", "best_epoch"),
    *(f"{model}_{name}{suffix}" for model, name in PLOTTED for suffix in ("", "_low", "_high")),
    *("commit", "command"),
)


def key_of(word: str, system: str) -> str:
    """The whole key=value of a word of a run."""
    if word.startswith("."):
        return word[1:]
    return f"+systems.{system}.{word[1:]}" if word.startswith("+") else f"systems.{system}.{word}"


def command_of(system: str, data: str, words: list[str]) -> list[str]:
    """The command of one run."""
    settings = [*experiments.roots(data), "evaluate.test=false"]
    return experiments.command([*settings, *(key_of(word, system) for word in words)], [f"evaluate@{system}"])


def metrics(system: str, name: str) -> dict[str, str]:
    """An experiment's validation metrics with their intervals, and its best epoch."""
    report, history = revisions.read(name, [paths.report(system), paths.history(system)])
    found = {}
    for row in csv.DictReader(io.StringIO(report)):
        if (row["split"], row["subset"], row["class"]) == ("val", "all", "all"):
            for end in ("", "_low", "_high"):
                found[f"{row['model']}_{row['metric']}{end}"] = row[end[1:] or "value"]
    epochs = list(csv.DictReader(io.StringIO(history)))
    best = max(
        epochs,
        key=lambda row: (float(row["val_auroc"] or row["val_balanced_accuracy"]), -float(row["val_loss"])),
    )
    return found | {"best_epoch": f"{best['epoch']} of {len(epochs)}"}


def table(rows: Sequence[Mapping[str, str]], always: Sequence[str], settings: Params) -> list[str]:
    """KNN's macro F1, or AUROC where the task is binary, in Markdown: a line a change, a column a system.

    Args:
        rows: of the csv.
        always: the first words of every change, which are left out.
        settings: tell the tasks of the systems.
    """
    prefix, systems = " ".join(always), list(dict.fromkeys(row["system"] for row in rows))
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        binary = settings.tasks[settings.systems[row["system"]].task].positive
        name = "knn_auroc" if binary else "knn_f1_macro"
        value, low, high = (float(row[name + end]) for end in ("", "_low", "_high"))
        change = row["change"].removeprefix(prefix).strip()
        cells.setdefault(change, {})[row["system"]] = f"{value:.3f} ({low:.3f} to {high:.3f})"
    lines = [f"| change | {' | '.join(systems)} |", "| --- " * (1 + len(systems)) + "|"]
    for change, values in cells.items():
        name = f"`{change}`" if change else "none"
        lines.append(f"| {name} | {' | '.join(values.get(system, '') for system in systems)} |")
    return lines


def main() -> None:
    """Make all runs and append their rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("system")
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", dest="always")
    parser.add_argument("--runs", type=argparse.FileType(), metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/ablation.csv"))
    options = parser.parse_args()
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    settings = params.load()
    system = settings.systems[options.system]
    shared = [word[1:] for word in options.always if word.startswith(".")]
    experiments.prepare([*experiments.roots(options.data), *shared], [system.dataset])
    lines = options.runs or [""]
    runs = [line.split() for line in lines if not line.startswith("#")]
    rows = []
    for words in runs:
        command = command_of(options.system, options.data, [*options.always, *words])
        name, _ = experiments.run(command)
        row = metrics(options.system, name) | {
            "system": options.system,
            "change": " ".join([*options.always, *words]),
            "commit": commit,
            "command": shlex.join(command).replace(str(Path(options.data).resolve()), "DIR"),
        }
        rows.append(row)
        new = not options.output.exists()
        with options.output.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore", lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(row["change"], *(row.get(f"{m}_{n}") for m, n in PLOTTED), flush=True)
    print("\n".join(table(rows, options.always, settings)))


if __name__ == "__main__":
    main()
