"""The pipeline end to end, as its users type it, in a fresh git and DVC checkout on a tiny phantom."""

import json
import shutil

import pytest
import yaml
from checkout import clone

SYSTEMS = ["triplet_multi_organ", "resnet34_pcam", "cnn_pcam", "siamese_isic"]
"""The rows that DVC runs here, one of each kind; it knows no difference between them and the others."""

METRIC_LEARNING = ["triplet_multi_organ", "siamese_isic"]

RUN_ROWS = """
import importlib, sys
from pathlib import Path
import stages
from oncovec import params
every = params.load(Path("all.yaml"))
for row in sys.argv[1:]:
    for stage in ("train", "embed", "knn", "evaluate"):
        importlib.import_module(f"stages.{stage}").main(row, every)
"""

pytestmark = pytest.mark.slow


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
        assert ("head" in metrics["test"]) == (system not in METRIC_LEARNING)


def test_every_other_row_gives_metrics_too(checkout):
    rows = yaml.safe_load(checkout.read("all.yaml"))["systems"]
    others = [name for name in rows if name not in SYSTEMS]
    assert len(others) + len(SYSTEMS) == len(rows)
    (checkout.folder / "run_rows.py").write_text(RUN_ROWS, encoding="utf-8")
    checkout.run(f"PYTHONPATH=. python run_rows.py {' '.join(others)}")
    for name in others:
        metrics = json.loads(checkout.read(f"metrics/systems/{name}.json"))
        assert metrics["source"] == "phantom"
        assert 0 <= metrics["test"]["head"]["balanced_accuracy"] <= 1
        checkout.run(f"rm models/{name}.*")
    checkout.run("git clean -qfd")


def test_a_frozen_backbone_without_weights_says_that_it_trains_from_scratch(checkout):
    assert "from scratch, not the published protocol" in checkout.first


def test_no_picture_and_no_data_is_in_git(checkout):
    names = checkout.run("git ls-files").split()
    assert not [
        n for n in names if n.startswith(("data/", "models/")) or (n.endswith(".png") and "plots" in n)
    ]


def test_a_second_run_runs_nothing(checkout):
    output = checkout.run("dvc repro")
    assert not checkout.ran(output)
    assert "up to date" in output


def test_running_stages_again_gives_the_same_bytes(checkout):
    data = "phantom@pcam download@pcam features@pcam group@pcam split@pcam audit@pcam preprocess@pcam"
    systems = "train@cnn_pcam train@siamese_isic embed@cnn_pcam knn@cnn_pcam evaluate@cnn_pcam"
    checkout.run(
        f"dvc repro --force --single-item {data} preview@pcam {systems} evaluate@triplet_multi_organ"
    )
    assert checkout.run("git status --porcelain") == ""


def test_another_margin_reruns_metric_learning_alone_and_the_diff_shows_it_alone(checkout):
    output = checkout.run("dvc exp run -n wide -S model.margin=0.5")
    stages = ("train", "embed", "knn", "evaluate")
    expected = {f"{stage}@{system}" for stage in stages for system in METRIC_LEARNING}
    assert set(checkout.ran(output)) <= expected | {"check", "summary"}
    assert {f"train@{system}" for system in METRIC_LEARNING} <= set(checkout.ran(output))
    assert "resnet34" not in checkout.run("dvc metrics diff")
    diff = json.loads(checkout.run("dvc metrics diff --json"))
    changed = {path.split("/")[-1].removesuffix(".json") for path in diff.get("diff", diff)}
    assert changed <= {*METRIC_LEARNING, "summary"}
    assert changed & set(METRIC_LEARNING)
    assert "wide" in checkout.run("dvc exp show --only-changed --drop '^(metrics|data|models)/|params.yaml'")
    checkout.run("git checkout -q . && dvc checkout -q")


def test_the_experiment_is_compared_with_the_workspace_on_the_same_images(checkout):
    output = checkout.run("oncovec compare triplet_multi_organ triplet_multi_organ@wide")
    assert "knn on test: " in output
    assert "Balanced accuracy: the interval " in output


def test_the_pipelines_own_splits_are_audited_and_nothing_leaks(checkout):
    audits = sorted(path.stem for path in (checkout.folder / "metrics/audit").glob("*.json"))
    assert audits == ["malignancy", "melanoma", "multi_organ", "organ", "pcam"]
    for task in audits:
        found = json.loads(checkout.read(f"metrics/audit/{task}.json"))
        assert found["test"]["any"]["images"] == found["val"]["any"]["images"] == 0
        assert found["test"]["in_val"]["any"]["images"] == 0
    output = checkout.run("oncovec audit")
    assert output.count("No leak found") == len(audits)


def test_a_file_of_train_copied_into_test_is_a_leak_that_the_audit_finds(checkout):
    folder = "data/phantom/multi_organ/masoudnickparvar/brain-tumor-mri-dataset"
    output = checkout.run(
        "oncovec audit data/phantom/multi_organ/masoudnickparvar/brain-tumor-mri-dataset -o audit"
    )
    assert "a near copy (or byte-copy) in train" in output
    assert {path.name for path in (checkout.folder / "audit").iterdir()} == {
        *("audit.json", "pairs.csv", "pairs.png")
    }
    checkout.run(f"cp -r {folder} leaky && cp leaky/Training/glioma/*1.jpg leaky/Testing/glioma/")
    output = checkout.run("oncovec audit leaky -o audit --fail", code=1)
    assert "This split leaks" in output
    assert json.loads(checkout.read("audit/audit.json"))["test"]["byte_copy"]["images"] > 0
    checkout.run("rm -r audit leaky")


def test_another_threshold_groups_anew_and_computes_no_feature(checkout):
    checkout.edit("params.yaml", "correlation: 0.85", "correlation: 0.95")
    assert set(checkout.ran(checkout.run("dvc repro group@pcam"))) == {"check", "group@pcam"}
    checkout.run("git checkout -q . && dvc checkout -q")


def test_a_bad_margin_is_one_line_and_everything_of_the_last_run_is_still_there(checkout):
    before = checkout.tracked()
    output = checkout.run("dvc exp run -S model.margin=-1", code=255)
    lines = [line for line in output.splitlines() if "margin" in line]
    assert len(lines) == 1
    assert "model.margin = -1" in lines[0]
    assert "greater than 0" in lines[0]
    assert "Traceback" not in output
    assert checkout.tracked() == before
    checkout.run("git checkout -q . && dvc checkout -q")


def test_plots_show_draws_every_kind_of_plot(checkout):
    checkout.run("dvc plots show -q")
    page = checkout.read("dvc_plots/index.html")
    for kind in (
        "history",
        "confusion",
        "roc",
        "precision_recall",
        "class_distribution",
        "reliability",
        "scatter",
        "samples",
    ):
        assert f"plots/{kind}" in page or f"plots_{kind}" in page, kind
    checkout.run("dvc plots diff -q HEAD")


def test_predict_answers_for_a_folder_and_names_the_corrupt_file(checkout):
    folder = (
        "'data/phantom/multi_organ/aryashah2k/breast-ultrasound-images-dataset/Dataset_BUSI_with_GT/benign'"
    )
    (checkout.folder / "mixed").mkdir()
    checkout.run(f"cp {folder}/*' (1).png' {folder}/*' (2).png' mixed/ && echo no image > mixed/wrong.jpg")
    output = checkout.run("oncovec predict --system triplet_multi_organ mixed", code=1)
    assert output.count("mixed/benign") == 2
    assert "mixed/wrong.jpg" in output
    assert "error" in output
    shutil.rmtree(checkout.folder / "mixed")


def test_the_commands_of_the_readme_use_a_trained_system(checkout):
    output = checkout.run("oncovec predict --system triplet_multi_organ --random 5")
    assert "of 5 right" in output
    output = checkout.run(
        "oncovec predict --system triplet_multi_organ --format csv data/phantom/multi_organ/masoudnickparvar",
        code=1,
    )
    assert output.startswith("path,predicted,probability,p_brain_glioma")
    output = checkout.run(
        "oncovec embed --system triplet_multi_organ data/phantom/multi_organ/adityamahimkar -o lungs.npz"
    )
    assert "embeddings of length 128" in output


def test_a_folder_of_ones_own_needs_rows_alone_and_a_new_image_in_it_is_noticed(checkout, tmp_path, picture):
    for number, name in enumerate(("red", "green", "blue")):
        for image in range(12):
            picture(tmp_path / "mine" / name / f"{image}.png", 32, 32, seed=100 * number + image)
    checkout.edit(
        "params.yaml",
        "\ntasks:\n",
        f"""
  mine: {{layout: folders, root: {tmp_path}/mine, image_size: 32}}
tasks:
  mine: {{dataset: mine, label: label}}
""",
    )
    checkout.edit(
        "params.yaml",
        "\nsystems:\n",
        """
systems:
  siamese_mine:
    {task: mine, dataset: mine, backbone: siamese_cnn, hidden: [32], objective: contrastive, input_size: 32,
     lr: 0.001, batch_size: 16, epochs: 1, reads_model: model, reads_augment: augment}
""",
    )
    ran = checkout.ran(checkout.run("dvc repro evaluate@siamese_mine"))
    assert {stage for stage in ran if stage != "check"} == {
        *("download@mine", "features@mine", "group@mine", "split@mine", "preprocess@mine"),
        *(f"{stage}@siamese_mine" for stage in ("train", "embed", "knn", "evaluate")),
    }
    assert json.loads(checkout.read("metrics/systems/siamese_mine.json"))["source"] == "local"
    assert not checkout.ran(checkout.run("dvc repro evaluate@siamese_mine"))
    picture(tmp_path / "mine" / "red" / "new.png", 32, 32, seed=999)
    assert "download@mine" in checkout.ran(checkout.run("dvc repro split@mine"))

    def kept():
        listed = ("data/index", "metrics/data/mine", "metrics/groups/mine")
        return {name: text for name, text in checkout.tracked().items() if not name.startswith(listed)}

    before = kept()
    for image in range(2, 12):
        (tmp_path / "mine" / "blue" / f"{image}.png").unlink()
    output = checkout.run("dvc repro evaluate@siamese_mine", code=255)
    assert "split@mine: too small for train, val, test: class 'blue' has 2 images in 2 groups" in output
    assert kept() == before
    checkout.run("git checkout -q . && git clean -qfd && dvc checkout -q")
