"""The pipeline end to end, as its users type it, in a fresh git and DVC checkout on a tiny phantom."""

import json
import re
import shutil

import pytest
import yaml
from checkout import Checkout, clone

from oncovec.evaluation import overlay

SYSTEMS = ["triplet_multi_organ", "cnn_pcam"]
"""The rows that DVC runs here, one with a margin and one without."""

RUN_ALL = """
import importlib
import stages
from oncovec.core import params
every = params.load()
rows = {
    ("check",): [()],
    ("download",): every.downloads,
    ("preprocess", "group", "split"): every.datasets,
    ("train", "embed", "evaluate"): every.systems,
    ("explain",): [()],
    ("external",): every.external,
    ("report",): [()],
}
for names, keys in rows.items():
    for key in keys:
        for name in names:
            importlib.import_module(f"stages.{name}").main(*([key] if key else []), every)
"""

PLOT = "dvclive/cnn_pcam/plots/custom/history.json"
"""The plot that DVCLive writes."""

SHOWN = "dvc exp show --drop '.*' --keep 'Experiment|State|dvclive/cnn_pcam.*(step|loss)'"

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    made = clone(tmp_path_factory.mktemp("checkout"), SYSTEMS)
    made.first = made.run("dvc repro")
    made.run("git add -A && git commit -qm results")
    return made


def test_the_first_run_gives_metrics_of_all_systems_and_a_headline_of_each(checkout):
    assert list(json.loads(checkout.read("metrics/summary.json"))) == SYSTEMS
    for system in SYSTEMS:
        metrics = json.loads(checkout.read(f"metrics/systems/{system}.json"))
        assert metrics["source"] == "phantom"
        assert 0 <= metrics["test"]["knn"]["balanced_accuracy"] <= 1
        assert ("head" in metrics["test"]) == (system == "cnn_pcam")


@slow
def test_every_row_gives_metrics(tmp_path):
    every = clone(tmp_path)
    (every.folder / "run_all.py").write_text(RUN_ALL, encoding="utf-8")
    output = every.run("PYTHONPATH=. python run_all.py")
    assert "from scratch, not the published protocol" in output
    rows = yaml.safe_load(every.read("params.yaml"))["systems"]
    assert list(json.loads(every.read("metrics/summary.json"))) == list(rows)
    for name, row in rows.items():
        metrics = json.loads(every.read(f"metrics/systems/{name}.json"))
        assert metrics["source"] == "phantom"
        assert 0 <= metrics["test"]["knn"]["balanced_accuracy"] <= 1
        assert ("head" in metrics["test"]) == (row["base"] != "model")


def test_no_picture_and_no_data_is_in_git(checkout):
    names = checkout.run("git ls-files").split()
    assert not [n for n in names if n.startswith(("data/", "models/", "dvclive/", "plots/pictures/"))]


def test_a_second_run_runs_nothing(checkout):
    output = checkout.run("dvc repro")
    assert not checkout.ran(output)
    assert "up to date" in output


@slow
def test_running_stages_again_gives_the_same_bytes(checkout):
    data = "download@pcam preprocess@pcam group@pcam split@pcam"
    systems = "train@cnn_pcam embed@cnn_pcam evaluate@cnn_pcam evaluate@triplet_multi_organ"
    checkout.run(f"dvc repro --force --single-item {data} {systems} report")
    assert checkout.run("git status --porcelain") == ""


@pytest.fixture(scope="module")
def wide(checkout):
    """What an experiment with another margin printed; its results are in the cache alone."""
    output = checkout.run("dvc exp run -n wide -S model.margin=0.5")
    checkout.wide = json.loads(checkout.run("dvc metrics diff --json"))
    checkout.run("git checkout -q . && dvc checkout -q")
    return output


def test_another_margin_reruns_metric_learning_alone_and_the_diff_shows_it_alone(checkout, wide):
    expected = {f"{stage}@triplet_multi_organ" for stage in ("train", "embed", "evaluate")}
    assert set(checkout.ran(wide)) <= expected | {"check", "explain", "external@brain_elsewhere", "report"}
    assert "train@triplet_multi_organ" in checkout.ran(wide)
    paths = checkout.wide.get("diff", checkout.wide)
    changed = {path.removesuffix("/metrics.json").split("/")[-1].removesuffix(".json") for path in paths}
    assert changed == {"triplet_multi_organ", "brain_elsewhere", "summary"}
    assert "wide" in checkout.run("dvc exp show --only-changed --drop '^(metrics|data|models)/|params.yaml'")


@slow
def test_the_experiment_is_compared_with_the_workspace_on_the_same_images(checkout, wide):
    output = checkout.run("oncovec compare triplet_multi_organ@HEAD triplet_multi_organ@wide")
    assert "knn on test: " in output
    assert "Balanced accuracy: the interval " in output


@slow
def test_going_back_computes_nothing(checkout, wide):
    output = checkout.run("dvc exp run -S model.margin=0.5")
    assert checkout.ran(output) == ["report"]
    assert "wide" in checkout.run("dvc exp show")
    output = checkout.run("dvc exp run -S model.margin=0.2")
    assert checkout.ran(output) == ["report"]
    assert checkout.run("git status --porcelain") == ""


@slow
def test_a_clone_that_shares_the_cache_computes_nothing_but_the_report(checkout, tmp_path):
    checkout.run(f"git clone -q . {tmp_path}/other")
    other = Checkout(tmp_path / "other")
    other.run(f"dvc cache dir --local {checkout.folder}/.dvc/cache")
    other.run("git rm -q --cached dvc.lock && rm dvc.lock")
    assert other.ran(other.run("dvc repro")) == ["report"]
    assert other.run("git diff HEAD --stat -- metrics plots") == ""


@slow
def test_an_edit_of_the_training_code_is_noticed_by_training_and_not_by_data(checkout):
    script = checkout.folder / "src/oncovec/learning/training.py"
    text = script.read_text(encoding="utf-8")
    script.write_text(text + "# edited\n", encoding="utf-8")
    changed = checkout.run("dvc status")
    script.write_text(text, encoding="utf-8")
    assert "train@cnn_pcam" in changed and "embed@cnn_pcam" in changed
    for other in ("download@", "preprocess@", "group@", "split@", "evaluate@"):
        assert other not in changed, changed


@slow
def test_the_pipelines_own_splits_are_audited_and_nothing_leaks(checkout):
    found = {path.stem: path for path in (checkout.folder / "metrics/splits").glob("*.json")}
    assert sorted(found) == ["multi_organ", "pcam"]
    for path in found.values():
        audit = json.loads(path.read_text(encoding="utf-8"))["audit"]
        assert audit["test"]["any"]["images"] == audit["val"]["any"]["images"] == 0
    assert checkout.run("oncovec audit").count("No leak found") == len(found)


@slow
def test_a_file_of_train_copied_into_test_is_a_leak_that_the_audit_finds(checkout):
    folder = "data/raw/multi_organ/masoudnickparvar/brain-tumor-mri-dataset"
    output = checkout.run(
        "oncovec audit data/raw/multi_organ/masoudnickparvar/brain-tumor-mri-dataset -o audit"
    )
    assert "in train" in output
    assert {path.name for path in (checkout.folder / "audit").iterdir()} == {
        *("audit.json", "pairs.csv", "pairs.png")
    }
    checkout.run(f"cp -r {folder} leaky && cp leaky/Training/glioma/*1.jpg leaky/Testing/glioma/")
    output = checkout.run("oncovec audit leaky -o audit --fail", code=1)
    assert "This split leaks" in output
    assert json.loads(checkout.read("audit/audit.json"))["test"]["exact_duplicate"]["images"] > 0
    checkout.run("rm -r audit leaky")


def test_a_bad_margin_is_one_line_and_everything_of_the_last_run_is_still_there(checkout):
    before = checkout.tracked()
    output = checkout.run("dvc exp run -S model.margin=-1", code=255)
    lines = [line for line in output.splitlines() if "margin" in line]
    assert len(lines) == 1
    assert "model.margin = -1" in lines[0]
    assert "greater than 0" in lines[0]
    assert "Traceback" not in output
    assert checkout.tracked() == before
    # DVC writes params.yaml with the same length within the second in which it asked Git about the file.
    checkout.run("git checkout -q . && dvc checkout -q")


@slow
def test_plots_show_draws_every_kind_of_plot(checkout):
    checkout.run("dvc plots show -q")
    page = checkout.read("dvc_plots/index.html")
    drawn = [kind for kind in overlay.COLUMNS if kind not in overlay.MAY_BE_EMPTY]
    for kind in (*drawn, "overview", "pictures/samples", "pictures/confused", "pictures/heatmaps"):
        assert f"plots/{kind}" in page or f"plots_{kind}" in page, kind
    assert "<DVC_METRIC" not in page
    checkout.run("dvc plots diff -q HEAD")


@slow
def test_predict_answers_for_a_folder_and_names_the_corrupt_file(checkout):
    folder = "'data/raw/multi_organ/aryashah2k/breast-ultrasound-images-dataset/Dataset_BUSI_with_GT/benign'"
    (checkout.folder / "mixed").mkdir()
    checkout.run(f"cp {folder}/*' (1).png' {folder}/*' (2).png' mixed/ && echo no image > mixed/wrong.jpg")
    output = checkout.run("oncovec predict --system triplet_multi_organ mixed", code=1)
    assert output.count("mixed/benign") == 2
    assert "mixed/wrong.jpg" in output
    assert "error" in output
    shutil.rmtree(checkout.folder / "mixed")


@slow
def test_the_commands_of_the_readme_use_a_trained_system(checkout):
    output = checkout.run("oncovec predict --system triplet_multi_organ --random 5")
    assert "of 5 right" in output
    output = checkout.run(
        "oncovec predict --system triplet_multi_organ --format csv data/raw/multi_organ/masoudnickparvar",
        code=1,
    )
    assert output.startswith("path,predicted,probability,p_brain_glioma")
    output = checkout.run(
        "oncovec embed --system triplet_multi_organ data/raw/multi_organ/adityamahimkar -o lungs.npz"
    )
    assert "embeddings of length 128" in output


ROWS = """
  mine:
    root: {root}
    layout: folders
    image_size: 32

external:"""
TASK = """
  mine:
    dataset: mine
    label: label

model:"""
SYSTEM = """
  siamese_mine:
    base: model
    task: mine
    dataset: mine
    backbone: siamese_cnn
    hidden:
    - 32
    objective: contrastive
    batch_size: 16
    epochs: 1
    lr: 0.001

train:"""
RESTORE = "git restore metrics plots dvc.lock && dvc checkout"


@slow
def test_epochs_are_shown_while_a_training_runs(checkout):
    command = "dvc exp run -n long train@cnn_pcam -S train.epochs=100000 -S train.patience=null"
    file, seen = "dvclive/cnn_pcam/metrics.json", {}
    with checkout.running(command) as started:
        while not seen:
            assert started.poll() is None
            _, base = json.loads(checkout.run("dvc exp show --json 2>/dev/null"))
            running = [each for each in base["experiments"] or () if each["executor"]]
            for each in running:
                seen = each["revs"][0]["data"]["metrics"][file].get("data")
        shown = checkout.run(f"COLUMNS=200 {SHOWN}")
        plots = json.loads(checkout.run(f"dvc plots show --json {PLOT} 2>/dev/null"))["data"][PLOT]
    checkout.run("git reset -q --hard && dvc checkout -q")  # a killed run leaves its params in the index
    assert "Running" in shown and "step" in shown and "val_loss" in shown and "val_auroc" not in shown
    assert 1 <= seen["step"] < 100000 and {"train_loss", "val_loss", "val_auroc"} < set(seen)
    epochs = [row["epoch"] for row in plots[0]["content"]["data"]["values"]]
    assert epochs == list(range(1, len(epochs) + 1)) and epochs


@slow
@slow
def test_a_run_is_reported_until_a_param_is_changed_and_nothing_is_missing_for_it(checkout):
    assert "data/report.html: 2 systems" in checkout.run("oncovec report")
    assert "nothing is missing for `dvc repro`" in checkout.run("oncovec doctor")
    checkout.run("sed -i 's/margin: 0.2/margin: 0.3/' params.yaml")
    told = checkout.run("oncovec report", code=1)
    checkout.run("git checkout -q params.yaml")
    assert "train@triplet_multi_organ did not run when model changed" in told


@slow
def test_a_folder_of_ones_own_needs_rows_alone_and_a_new_image_in_it_is_noticed(checkout, tmp_path, picture):
    folder = tmp_path / "meine Bilder ü"
    for number, name in enumerate(("red", "green", "blue")):
        for image in range(12):
            picture(folder / name / f"{image}.png", 32, 32, seed=100 * number + image)
    checkout.edit("params.yaml", "\nexternal:", ROWS.format(root=folder))
    checkout.edit("params.yaml", "\nmodel:", TASK)
    checkout.edit("params.yaml", "\ntrain:", SYSTEM)
    ran = checkout.ran(checkout.run("dvc repro evaluate@siamese_mine"))
    assert {stage for stage in ran if stage != "check"} == {
        *("preprocess@mine", "group@mine", "split@mine"),
        *(f"{stage}@siamese_mine" for stage in ("train", "embed", "evaluate")),
    }
    assert json.loads(checkout.read("metrics/systems/siamese_mine.json"))["source"] == "local"
    assert not checkout.ran(checkout.run("dvc repro evaluate@siamese_mine"))
    picture(folder / "red" / "new.png", 32, 32, seed=999)
    assert "preprocess@mine" in checkout.ran(checkout.run("dvc repro split@mine"))
    checkout.run("dvc repro && git add -A && git commit -qm mine")

    before = checkout.tracked()
    for image in range(2, 12):
        (folder / "blue" / f"{image}.png").unlink()
    checkout.edit("params.yaml", "bootstrap: 1000", "bootstrap: 999")
    output = checkout.run("dvc repro", code=255)
    assert "split@mine: too small for train, val, test: class 'blue' has 2 images in 2 groups" in output
    assert RESTORE in output
    checkout.run(RESTORE)
    assert checkout.tracked() == before
    assert "bootstrap: 999" in checkout.read("params.yaml")
    checkout.run("git checkout -q .")

    checkout.edit("params.yaml", SYSTEM.removesuffix("train:"), "\n")
    output = checkout.run("dvc repro", code=255)
    command = re.search(r"`(rm -r [^`]+)`", output)
    assert "no row of systems: or external: is called siamese_mine" in output and command
    checkout.run(command[1])
    assert checkout.ran(checkout.run("dvc repro report")) == ["check", "report"]
    checkout.run("git reset -q --hard HEAD~1 && git clean -qfd && dvc checkout -q")


KILLED = (
    *("check", "download@pcam", "preprocess@pcam", "group@pcam", "split@pcam"),
    *("train@cnn_pcam", "embed@cnn_pcam", "evaluate@cnn_pcam", "explain"),
    *("external@brain_elsewhere", "report"),
)
"""One stage of each kind."""


@slow
@pytest.mark.parametrize("row", KILLED)
def test_a_killed_run_leaves_no_process_and_no_file_and_the_next_one_ends_with_the_same_bytes(checkout, row):
    before = checkout.tracked()
    kind = row.partition("@")[0]
    checkout.kill(f"dvc repro --force --single-item {row}", f"stages.{kind}", orphans=kind == "preprocess")
    checkout.run("dvc repro")
    assert checkout.tracked() == before
    assert not list(checkout.folder.rglob(".*.part*"))
    assert checkout.run("git status --porcelain") == ""
