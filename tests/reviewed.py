"""A git+dvc project to review: a dataset is split, two systems are evaluated, a page is drawn; in seconds.

main has a recorded run. `on_branch` starts a change of it.
"""

from pathlib import Path

from checkout import Checkout

STAGE = """
import json, pathlib, sys, yaml

params = yaml.safe_load(open("params.yaml"))
margin, leaked = params["model"]["margin"], params["split"]["leaked"]

def write(name, content):
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))

if sys.argv[1] == "split":
    write("data/splits/toy/splits.csv", f"{leaked}")
    found = {"images": leaked, "share": leaked / 10}
    splits = {"val": {"leaked": {"images": 0}}, "test": {"images": 10, "leaked": found}}
    write("metrics/splits/toy.json", splits)
if sys.argv[1] == "evaluate":
    write("data/results/toy/report.csv", f"{margin}")
    write("dvclive/toy/metrics.json", {"step": 3, "train_loss": margin})
    knn = {"accuracy": 0.5, "balanced_accuracy": 0.5 + margin / 2, "auroc": 0.75}
    content = {"source": "phantom", "n_val": 5, "n_test": 10, "val": {"knn": knn}, "test": {"knn": knn}}
    write("metrics/systems/toy.json", content)
    other = {"source": "phantom", "n_test": 10, "test": {"knn": {"balanced_accuracy": 0.5}}}
    write("metrics/systems/other.json", other)
if sys.argv[1] == "report":
    write("plots/overview/toy.png", pathlib.Path("metrics/systems/toy.json").read_text())
    write("metrics/summary.json", {"toy": {"beats_baseline": margin > 0.4}})
"""
PIPELINE = """stages:
  split:
    cmd: python toy.py split
    params: [split]
    outs: [data/splits/toy]
    metrics: [{metrics/splits/toy.json: {cache: false}}]
  evaluate:
    cmd: python toy.py evaluate
    deps: [code, data/splits/toy]
    params: [model.margin]
    outs: [data/results/toy]
    metrics:
    - dvclive/toy/metrics.json
    - metrics/systems/toy.json: {cache: false}
    - metrics/systems/other.json: {cache: false}
  report:
    cmd: python toy.py report
    deps: [data/results, metrics/systems]
    outs: [{plots/overview: {cache: false}}]
    metrics: [{metrics/summary.json: {cache: false}}]
"""
PARAMS = """model:
  margin: 0.2
split:
  leaked: 0
"""


def draw(folder: Path) -> Checkout:
    """Make the project and its recorded run."""
    (folder / "code").mkdir(parents=True)
    files = {
        "toy.py": STAGE,
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "code/model.py": "# of the model\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    project = Checkout(folder)
    project.run("git init -q -b main && dvc init -q && dvc repro -q && git add -A && git commit -qm start")
    return project


def on_branch(project: Checkout, name: str) -> None:
    """Start a branch from main."""
    project.run(f"git reset -q --hard && git checkout -qB {name} main")
