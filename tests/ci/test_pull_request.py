"""The comment on a pull request, printed by `.ci/pull_request` in real projects."""

import json
import re
import subprocess

import pytest
import reviewed
from checkout import ROOT, Checkout

pytestmark = pytest.mark.slow

COMMAND = f"env -u GITHUB_REPOSITORY {ROOT}/.ci/pull_request"
STALE = "**Out of date**"
FILES = ("systems/cnn_pcam.json", "external/brain_elsewhere.json")
UNEXPLAINED = "**Changed for no recorded cause**"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return reviewed.draw(tmp_path_factory.mktemp("reviewed") / "project")


@pytest.fixture(scope="module")
def wider(project):
    """A branch whose margin changed, run and committed; main moved on meanwhile."""
    reviewed.on_branch(project, "wider")
    project.edit("params.yaml", "margin: 0.2", "margin: 0.5")
    project.run("dvc repro -q && git add -A && git commit -qm wider")
    project.run("git checkout -q main && git commit -q --allow-empty -m later && git checkout -q wider")
    return project


@pytest.fixture(scope="module")
def comment(wider):
    wider.run("git checkout -q wider")
    return wider.run(COMMAND)


def test_a_change_of_a_param_is_told_with_its_metrics(comment):
    assert "| `model.margin` | `0.2` | `0.5` |" in comment
    row = "| `toy` | 10 test phantoms | 0.600 → 0.750 (+0.150) | 0.750 | - | - | no → yes |"
    assert row in comment
    assert "| `toy` | `val.knn.balanced_accuracy` | 0.6000 | 0.7500 | +0.150 |" in comment


def test_what_did_not_change_has_no_row(comment):
    assert "`other`" not in comment
    assert "knn.accuracy" not in comment and "knn.auroc" not in comment


def test_metrics_of_single_epochs_have_no_row(comment, wider):
    assert "dvclive" in wider.run("dvc metrics diff main")
    assert "dvclive" not in comment and "train_loss" not in comment


def test_metrics_of_phantoms_are_named_so(comment):
    assert "**Phantom metrics**" in comment


def test_a_run_that_was_committed_whole_has_no_warning(comment):
    assert STALE not in comment and UNEXPLAINED not in comment and "**Leak**" not in comment
    assert "No image of val or test leaks in 1 dataset." in comment


def test_it_has_no_path_of_this_machine_and_is_the_same_in_a_clone_without_a_cache(comment, wider, tmp_path):
    assert str(wider.folder) not in comment
    wider.run(f"git clone -q --no-local {wider.folder} {tmp_path}/clone")
    assert wider.run(f"cd {tmp_path}/clone && git checkout -q wider && {COMMAND} origin/main") == comment


def test_pictures_are_shown_from_github_before_and_after(wider):
    wider.run("git checkout -q wider")
    github = "GITHUB_SERVER_URL=https://github.example GITHUB_REPOSITORY=who/what"
    comment = wider.run(f"{github} {ROOT}/.ci/pull_request main")
    before, after = (wider.run(f"git rev-parse {rev}").strip() for rev in ("main~1", "wider"))
    address = "(https://github.example/who/what/raw/{}/plots/overview/toy.png)"
    assert f"| ![before]{address.format(before)} | ![after]{address.format(after)} |" in comment


def test_pictures_are_files_of_the_checkout_elsewhere(comment):
    assert "![after](plots/overview/toy.png)" in comment and "![before]" not in comment


def test_code_that_changed_since_the_run_makes_its_metrics_out_of_date(project):
    reviewed.on_branch(project, "edited")
    project.edit("code/model.py", "# of", "# another one of")
    project.run("git commit -qam edited")
    comment = project.run(COMMAND)
    assert STALE in comment and "the metrics of `other`, `toy` do not belong to them" in comment
    assert "| `code` | `evaluate` |" in comment
    assert "No metric of a system changed." in comment


def test_a_param_that_changed_without_a_run_makes_all_that_follows_out_of_date(project):
    reviewed.on_branch(project, "unrun")
    project.edit("params.yaml", "leaked: 0", "leaked: 3")
    project.run("git commit -qam unrun")
    comment = project.run(COMMAND)
    assert "the metrics of all systems and datasets do not belong to them" in comment
    assert "| `split` | `split` |" in comment


def test_a_run_of_one_stage_alone_leaves_those_after_it_out_of_date(project):
    reviewed.on_branch(project, "partly")
    project.edit("params.yaml", "leaked: 0", "leaked: 3")
    project.run("dvc checkout -q --force && dvc repro -q split && git commit -qam partly")
    assert "| `data/splits/toy` | `evaluate` |" in project.run(COMMAND)


def test_metrics_that_were_edited_by_hand_are_told(project):
    reviewed.on_branch(project, "by-hand")
    project.edit("metrics/systems/toy.json", "0.75", "0.95")
    project.run("git commit -qam by-hand")
    comment = project.run(COMMAND)
    assert f"{UNEXPLAINED}: metrics of `toy`" in comment and STALE in comment
    assert "0.750 → 0.950 (+0.200)" in comment


def test_a_leak_is_told_and_that_the_images_are_others(project):
    reviewed.on_branch(project, "leaky")
    project.edit("params.yaml", "leaked: 0", "leaked: 3")
    project.run("dvc checkout -q --force && dvc repro -q && git commit -qam leaky")
    comment = project.run(COMMAND)
    assert "**Leak**: `splits/toy`: 3 images of test have their group in train; 0 before." in comment
    assert "**Other images**: the splits of `toy` changed" in comment
    assert STALE not in comment


def test_nothing_changed_is_said(project):
    reviewed.on_branch(project, "nothing")
    comment = project.run(COMMAND)
    assert "No metric of a system changed." in comment
    assert not [title for title in ("Params", "Pictures", "External") if f"### {title}" in comment]


def test_a_clone_whose_history_is_cut_says_what_to_do(wider, tmp_path):
    wider.run(f"git clone -q --depth 1 -b wider file://{wider.folder} {tmp_path}/cut")
    said = wider.run(f"cd {tmp_path}/cut && {COMMAND} main~1", code=1)
    assert said.count("\n") == 1 and "`git fetch --unshallow origin`" in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("true", "nowhere: there is no such revision here"),
        ("echo '<<<<<<< HEAD' >> dvc.lock", "dvc.lock"),
        ("echo ']' >> params.yaml", "params.yaml"),
    ],
)
def test_an_error_is_one_line(project, change, told):
    reviewed.on_branch(project, "broken")
    base = "nowhere" if change == "true" else "main"
    said = project.run(f"{change} && {COMMAND} {base}", code=1)
    assert said.startswith("pull_request: ") and said.count("\n") == 1 and told in said


def test_the_metrics_in_git_of_this_repository_can_be_reviewed(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("no history here")
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], check=True)
    project = Checkout(tmp_path / "clone")
    system, of_set = (project.folder / "metrics" / name for name in FILES)
    images = json.loads(system.read_text())["n_test"]
    content = json.loads(of_set.read_text())
    content["systems"]["triplet_multi_organ"]["coverage"] = 0.0005
    of_set.write_text(json.dumps(content))
    project.run("rm metrics/systems/cnn_pcam.json plots/overview/cnn_pcam.png && git commit -qam change")
    comment = project.run(f"{COMMAND} HEAD~1")
    assert f"| `cnn_pcam` | {images} → - test phantoms |" in comment
    assert re.search(r"\| `brain_elsewhere` \| `triplet_multi_organ` \| 0\.\d+ → 0\.001 ", comment)
    datasets = len(list((ROOT / "metrics/splits").glob("*.json")))
    assert f"No image of val or test leaks in {datasets} datasets." in comment
