"""The README keeps its word: its commands are run somewhere, its table is that of the metrics in Git."""

import json
import re

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from oncovec.core import params

RUN_BY_THE_TESTS = {
    "dvc plots show",
    "dvc repro evaluate@siamese_mine",
    "dvc repro",
    "dvc exp run -n wide -S model.margin=0.5",
    "dvc metrics diff",
    "dvc exp show --drop '.*' --keep 'Experiment|State|dvclive/cnn_pcam.*(step|loss)'",
    "dvc exp show --only-changed --drop '^(metrics|data|models)/|params.yaml'",
    "oncovec compare triplet_multi_organ@HEAD triplet_multi_organ@wide",
    "oncovec audit",
    "oncovec audit data/raw/multi_organ/masoudnickparvar/brain-tumor-mri-dataset -o audit",
    "oncovec trust pcam",
    "oncovec predict --system triplet_multi_organ --random 5",
    "oncovec predict --system triplet_multi_organ --format csv data/raw/multi_organ/masoudnickparvar",
    "oncovec embed --system triplet_multi_organ data/raw/multi_organ/adityamahimkar -o lungs.npz",
}
"""Typed by `test_pipeline.py` and `test_remote_pipeline.py`."""

RUN_BY_CI = {"make test"}

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md")


@pytest.fixture(scope="module")
def readme(repository):
    return (repository / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(repository):
    found = [path for pattern in PAGES for path in sorted(repository.glob(pattern))]
    return {path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8") for path in found}


def commands(readme):
    """Commands of its sh and console blocks, without those that a comment above marks as not run."""
    for kind, block in re.findall(r"```(sh|console)\n(.*?)```", readme, re.S):
        marked = False
        for line in block.splitlines():
            if line.startswith("# not run"):
                marked = True
            elif kind == "console" and line.startswith("$ "):
                yield line[2:], False
            elif kind == "sh" and line and not line.startswith("#"):
                yield line, marked


def test_every_command_is_run_by_a_test_or_by_ci_or_marked(pages):
    unknown = [line for text in pages.values() for line, marked in commands(text) if not marked]
    assert set(unknown) <= RUN_BY_THE_TESTS | RUN_BY_CI


def test_every_command_that_the_tests_type_stands_in_one(repository):
    files = ("test_pipeline.py", "test_remote_pipeline.py")
    text = " ".join((repository / "tests" / name).read_text(encoding="utf-8") for name in files)
    flat = re.sub(r"\s+", " ", text)
    assert not [command for command in RUN_BY_THE_TESTS if command not in flat]


def table(repository):
    """The table of phantom metrics, from the metrics in Git."""
    lines = ["| system | task | balanced accuracy | AUROC | protocol |", "|---|---|---|---|---|"]
    for system in json.loads((repository / "metrics" / "summary.json").read_text()):
        knn = json.loads((repository / "metrics" / "systems" / f"{system}.json").read_text())["test"]["knn"]
        lines.append(
            f"| {system} | {TASKS[system]} | {knn['balanced_accuracy']:.3f} | {knn['auroc']:.3f} "
            f"| {'from scratch, not the published protocol' if system in FROM_SCRATCH else ''} |"
        )
    return "\n".join(lines)


TASKS = {
    "triplet_multi_organ": "4 brain MRI, 3 breast ultrasound, 3 lung CT classes",
    "inception_organ": "organ, 9 classes",
    "inception_malignancy": "benign or malignant, over all organs",
    "resnet34_pcam": "tumour in the centre of a lymph node patch",
    "cnn_pcam": "the same",
    "siamese_isic": "melanoma in dermoscopy",
    "flagship_multi_organ": "as triplet_multi_organ",
    "flagship_organ": "as inception_organ",
    "flagship_malignancy": "as inception_malignancy",
    "flagship_pcam": "as resnet34_pcam and cnn_pcam",
    "flagship_melanoma": "as siamese_isic",
}
FROM_SCRATCH = {"inception_organ", "inception_malignancy", "resnet34_pcam"}


def test_the_table_of_phantom_metrics_is_that_of_the_metrics_in_git(readme, repository):
    shown = re.search(r"<!-- table: phantom -->\n(.*?)\n<!-- end -->", readme, re.S)
    assert shown, "README.md has lost its table"
    assert shown[1] == table(repository), f"the table should be:\n{table(repository)}"


def test_every_file_that_a_page_links_to_is_there(pages, repository):
    for name, text in pages.items():
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
        local = [link for link in links if link and not link.startswith("http")]
        assert not [link for link in local if not (repository / name).parent.joinpath(link).exists()], name


def test_the_rows_that_they_show_are_rows(pages, changed):
    text = "\n".join(pages.values())
    rows = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    shown = {
        f"{section}.{name}": row for rows in rows for section in rows for name, row in rows[section].items()
    }
    assert {
        "datasets.mine",
        "tasks.mine",
        "systems.siamese_mine",
        "external.theirs_brain",
        "downloads.theirs",
        "datasets.theirs",
    } <= set(shown)
    params.load(changed(shown))


def test_every_override_that_they_show_is_one_of_params_yaml(pages, repository, tmp_path):
    """Also in blocks that no test runs; a comment in blocks of an earlier commit names it."""
    shown = {
        override.strip("'\"")
        for text in pages.values()
        for block in re.findall(r"```(?:sh|console)\n(.*?)```", text, re.S)
        if not re.search(r"^#.*commit", block, re.M)
        for override in re.findall(r"-S ('[^']*'|\"[^\"]*\"|\S+)", block)
    }
    assert "model.margin=0.5" in shown
    for override in sorted(each for each in shown if "range(" not in each):  # ranges are several runs
        file = tmp_path / "params.yaml"
        file.write_bytes((repository / "params.yaml").read_bytes())
        apply_overrides(file, [override])
