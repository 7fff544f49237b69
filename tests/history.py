"""A git+dvc project with a past, whose one stage draws the results of a system `toy`.

- main: split.seed 0, train.seed 0, model.margin 0.2
- wide, a branch: model.margin 0.5, which answers better
- train-1, an experiment: the same images, other answers
- split-1, an experiment: other test images
- leaky-0, a branch: split.strategy random, which looks better; leaky-1 with split.seed 1
- stale, a branch: split.seed 2, but the results of leaky-1
"""

from pathlib import Path

from checkout import ROOT, Checkout

STAGE = """
import csv, json, pathlib, random, yaml

params = yaml.safe_load(open("params.yaml"))
split, margin = params["split"]["seed"], params["model"]["margin"]
draw = random.Random(f"{params['train']['seed']} {split} {margin}")
names, rows, right = ("benign", "malignant"), [], {0: [], 1: []}
for number in range(200):
    label, side = number % 2, "test" if (number // 4 + split) % 3 else "val"
    share = 0.95 if params["split"]["strategy"] == "random" else 0.6 + margin / 2
    predicted = label if draw.random() < share else 1 - label
    score = round((predicted + draw.random()) / 2, 3)
    image, patient = f"{number:03d}.png", f"p{number // 4}"
    rows.append((image, patient, side, names[label], names[predicted], round(1 - score, 3), score))
    if side == "test":
        right[label].append(predicted == label)
specificity, sensitivity = (sum(of) / len(of) for of in right.values())
metrics = {
    "accuracy": sum(map(sum, right.values())) / sum(map(len, right.values())),
    "balanced_accuracy": (specificity + sensitivity) / 2,
    "sensitivity": sensitivity,
    "specificity": specificity,
}

def write(name, *rows):
    pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
    csv.writer(open(name, "w", newline="")).writerows(rows)

columns = ("image", "group", "split", "label", "predicted", "p_benign", "p_malignant")
write("data/results/toy/predictions.csv", columns, *rows)
columns = ("split", "model", "subset", "class", "metric", "value", "low", "high")
write("data/results/toy/report.csv", columns, ("val", "knn", "all", "malignant", "threshold", 0.5, "", ""))
write("metrics/systems/toy.json")
json.dump({"source": "phantom", "test": {"knn": metrics}}, open("metrics/systems/toy.json", "w"))
"""
PIPELINE = """stages:
  evaluate:
    cmd: python toy.py
    deps: [toy.py]
    params: [split, train.seed, model.margin]
    outs: [data/results/toy]
    metrics: [{metrics/systems/toy.json: {cache: false}}]
"""


def draw(folder: Path) -> Checkout:
    """Make the project; its branches are committed, its experiments run, `main` is checked out."""
    folder.mkdir()
    (folder / "toy.py").write_text(STAGE, encoding="utf-8")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    project = Checkout(folder)
    project.run("git init -q -b main && dvc init -q && dvc repro -q && git add -A && git commit -qm start")
    for name, key in (("train-1", "train.seed"), ("split-1", "split.seed")):
        project.run(f"dvc exp run -q -n {name} -S {key}=1 && git reset -q --hard")
    project.run("git checkout -qb wide")
    project.edit("params.yaml", "margin: 0.2", "margin: 0.5")
    project.run("dvc repro -q && git add -A && git commit -qm wide")
    project.run("git checkout -qb leaky-0 main")
    project.edit("params.yaml", "strategy: grouped", "strategy: random")
    project.run("dvc repro -q && git add -A && git commit -qm leaky-0 && git checkout -qb leaky-1")
    of_split = "test: 0.15\n  seed: {}"
    project.edit("params.yaml", of_split.format(0), of_split.format(1))
    project.run("dvc repro -q && git add -A && git commit -qm leaky-1 && git checkout -qb stale")
    project.edit("params.yaml", of_split.format(1), of_split.format(2))
    project.run("git commit -qam stale")
    project.run("git checkout -q main && dvc checkout -q")
    return project
