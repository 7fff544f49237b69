"""dvc.yaml tells the truth: what stages declare is what they import, read and write, in every mode.

The stages run here in process, on tiny phantoms and images, so this is the library end to end as well.
"""

import math
import shutil
from collections import defaultdict
from pathlib import Path

import loopback
import pytest
import yaml
from rehearsal import ROWS, Project, below, code_of, resolve

from oncovec.core import paths, tables
from oncovec.core.files import read_json
from oncovec.core.recipes import BASES, METRIC_OBJECTIVES
from oncovec.data import download, embeddings, phantoms, prepare
from oncovec.learning import systems
from oncovec.serving import predict

CODE = ("src/", "stages/")
NO_RESULT = {"mlflow"}  # where epochs are sent to, too: no stage runs again for it
ARCHIVES = "data/archives"  # no output, so that a download that was interrupted resumes

DOWNLOADS = {
    "multi_organ": {"kaggle": ["an-owner/organs/1"]},
    "pcam": {"competition": "histopathologic-cancer-detection"},
    "fetched": {"kaggle": ["an-owner/folders/3"]},
    "brain_elsewhere": {"kaggle": ["navoneel/brain-mri-images-for-brain-tumor-detection/1"]},
}
DATASETS = {
    "multi_organ": {"layout": "multi_organ", "root": "data/raw/multi_organ", "image_size": 24},
    "patches": {"layout": "pcam", "root": "data/raw/pcam", "image_size": 16},
    "fetched": {
        "layout": "folders",
        "root": "data/raw/fetched/an-owner/folders/images/all",
        "image_size": 16,
    },
    "folders": {"layout": "folders", "root": "OWN/folders", "image_size": 24},
    "table": {
        "layout": "csv",
        "root": "OWN/table",
        "image_size": 16,
        "columns": {"file": "all.csv", "image": "path", "label": "kind", "group": "patient", "split": "part"},
    },
}
EXTERNAL = {
    "drawn": {
        "task": "multi_organ",
        "dataset": "multi_organ",
        "root": f"data/raw/brain_elsewhere/{phantoms.IMAGES['brain_elsewhere']}",
        "layout": "folders",
        "labels": {"yes": ["brain_glioma", "brain_meningioma", "brain_pituitary"], "no": "brain_notumor"},
    },
    "mine": {
        "task": "kind",
        "dataset": "table",
        "root": "OWN/table",
        "layout": "csv",
        "columns": {"file": "all.csv", "image": "path", "label": "kind", "group": "patient"},
    },
}
TASKS = {
    "multi_organ": {
        "dataset": "multi_organ",
        "label": "label",
        "normal": ["brain_notumor", "breast_normal", "lung_normal"],
    },
    "tumor": {"dataset": "patches", "label": "label", "positive": "tumor"},
    "folders": {"dataset": "folders", "label": "label"},
    "kind": {"dataset": "table", "label": "label", "positive": "b"},
}
EVERY = {"hidden": [8], "input_size": 16, "lr": 0.001, "batch_size": 16, "epochs": 2}
OF_TWO = {"task": "tumor", "objective": "contrastive", "balanced": True, "patience": 1}
SYSTEMS = {
    "triplet": {"task": "multi_organ", "backbone": "triplet_cnn", "objective": "triplet", "augment": "none"},
    "contrastive": {"backbone": "siamese_cnn", **OF_TWO},
    "mined": {"task": "kind", "backbone": "siamese_cnn", "objective": "triplet", "mining": "semihard"},
    "sigmoid": {
        "task": "tumor",
        "backbone": "pcam_cnn",
        "objective": "binary_cross_entropy",
        "augment": {"flip_horizontal": 0.5, "rotation": 5.0},
    },
    "frozen": {"task": "folders", "backbone": "resnet10t", "frozen": True, "objective": "cross_entropy"},
    "softmax": {
        "task": "kind",
        "backbone": "pcam_cnn",
        "objective": "cross_entropy",
        "weights": "none",
        "tta": True,
    },
}
SMALL = {
    "data.phantom": {"images": 100, "size": 16, "image_size": 16, "epochs": 1, "batch_size": 16, "seed": 0},
    "model.augment": {"noise": 0.01, "erasing": 0.2, "rotation": 5.0},
    "model.embedding_dim": 8,
    "knn.k": [1, 3],
    "evaluate.scatter_points": 10,
    "evaluate.neighbours": 2,
    "evaluate.bootstrap": 100,
}
SEARCHING = {
    "preprocess.resize": "squash",
    "model.mining": "hard",
    "train.epochs": 1,
    "train.patience": None,
    "embed.tta": True,
    "evaluate.test": False,
    "evaluate.sensitivity": 0.8,
    "evaluate.specificity": 0.8,
}
FEW_SHOT = {"tasks.multi_organ.few_shot_classes": ["lung_malignant", "brain_glioma"]}
LOCAL = {"datasets.patches.root": "OWN/published/pcam"}
REMOTE = {"data.source": "remote", "data.limit": 40}


@pytest.fixture(scope="module")
def pipeline(repository, tmp_path_factory):
    """The repository's own stages."""
    folder = tmp_path_factory.mktemp("pipeline")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(repository / name, folder)
    return resolve(folder)


def data_of(stage):
    return {dep for dep in stage.deps if not dep.startswith(CODE)}


def test_every_stage_depends_on_its_script_and_on_the_rooms_that_it_imports(pipeline, repository):
    for address, stage in pipeline.items():
        script = repository / "stages" / f"{address.partition('@')[0]}.py"
        assert stage.deps - data_of(stage) == code_of(script, repository / "src"), address


def test_no_stage_depends_on_more_than_four_rooms_and_data_on_no_networks(pipeline):
    for address, stage in pipeline.items():
        rooms = {dep for dep in stage.deps if dep.startswith("src/")}
        assert len(rooms) <= 4, address
        assert ("src/oncovec" in rooms) == address.startswith("external@"), address
        if address.partition("@")[0] in ("download", "preprocess", "group", "split", "evaluate", "report"):
            assert "src/oncovec/learning" not in rooms, address


def test_every_script_is_a_stage_and_every_stage_a_script(pipeline, repository):
    scripts = {path.stem for path in (repository / "stages").glob("[a-z]*.py")}
    assert {address.partition("@")[0] for address in pipeline} == scripts


def test_every_other_dependency_is_written_by_a_stage(pipeline):
    outs = {out for stage in pipeline.values() for out in stage.outs}
    folders = {parent.as_posix() for out in outs for parent in Path(out).parents}
    rest = apart(set().union(*map(data_of, pipeline.values())) - folders, outs)
    assert rest == {"params.yaml", "manifests"}


def reading(pipeline, key):
    """Stages to which a param matters."""
    return {address for address, stage in pipeline.items() if any(below(key, each) for each in stage.params)}


def stages(pipeline, *names):
    return {address for address in pipeline if address.partition("@")[0] in names} - {"check"}


def test_another_mlflow_server_trains_nothing_again(pipeline):
    assert reading(pipeline, "mlflow") == set()


def test_a_threshold_of_near_duplicates_groups_anew_and_decodes_nothing(pipeline):
    assert reading(pipeline, "near_duplicates.correlation") == stages(pipeline, "group", "external") != set()


def test_another_seed_of_the_split_decodes_nothing(pipeline):
    assert reading(pipeline, "split.seed") == stages(pipeline, "split") != set()


def test_a_parameter_of_the_flagships_matters_to_them_alone(pipeline, repository):
    rows = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))["systems"]
    flagships = {f"train@{name}" for name, row in rows.items() if row["base"] == "flagship"}
    assert reading(pipeline, "flagship.lr") == flagships != set()


def test_a_size_or_a_way_to_resize_never_groups_anew(pipeline):
    changed = reading(pipeline, "preprocess.resize")
    assert changed == stages(pipeline, "preprocess")
    for address in stages(pipeline, "group"):
        dataset = address.partition("@")[2]
        assert data_of(pipeline[address]) == {
            f"data/prepared/{dataset}/index.csv",
            f"data/prepared/{dataset}/copies.npy",
        }


def test_every_output_but_those_of_report_is_cached(repository):
    declared = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in declared.items():
        body = stage.get("do", stage)
        if name != "report":
            assert all(isinstance(out, str) for out in body["outs"]), name
        assert "persist" not in str(body), name


def test_a_margin_reruns_the_training_of_systems_with_a_margin_and_nothing_else(pipeline, repository):
    rows = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))["systems"]
    metric = {f"train@{name}" for name, row in rows.items() if row["base"] == "model"}
    assert reading(pipeline, "model.margin") == metric != set()


@pytest.fixture(scope="module")
def own(tmp_path_factory, picture):
    """Images of the user's own: class folders, and a table with patients."""
    folder = tmp_path_factory.mktemp("own").resolve()
    lines = ["path,kind,patient,age,part"]
    for number in range(24):
        name = "ab"[number % 2]
        picture(folder / "folders" / name / f"{number}.png", 20, 14 + number % 3, number)
        picture(folder / "table" / f"{number}.jpg", 20, 20, 100 + number)
        patient, part = f"p{number // 4 * 2 + number % 2}", ("Training", "Testing")[number // 2 % 2]
        lines.append(f"{number}.jpg,{name},{patient},{number},{part}")
    (folder / "table" / "all.csv").write_text("\n".join(lines) + "\n")
    return folder


def settings_of(own, changes):
    """Every key that differs from the repository's params.yaml, its rows among them."""

    def placed(value):
        return value.replace("OWN", str(own)) if isinstance(value, str) else value

    trained = {}
    for name, row in SYSTEMS.items():
        trained[name] = EVERY | row | {"dataset": TASKS[row["task"]]["dataset"]}
        trained[name]["base"] = "model" if row["objective"] in METRIC_OBJECTIVES else "classifier"
    datasets = {name: {key: placed(value) for key, value in row.items()} for name, row in DATASETS.items()}
    external = {name: {key: placed(value) for key, value in row.items()} for name, row in EXTERNAL.items()}
    rows = {
        "downloads": DOWNLOADS,
        "datasets": datasets,
        "external": external,
        "tasks": TASKS,
        "systems": trained,
    }
    return SMALL | rows | {key: placed(value) for key, value in changes.items()}


@pytest.fixture(scope="module")
def project(repository, own, changed, tmp_path_factory):
    """Every stage, run in every mode that reads something else."""
    import torch

    root = tmp_path_factory.mktemp("checkout").resolve()
    shutil.copy(repository / "dvc.yaml", root)
    found = Project(root, own)
    found.strategies = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        found.use(changed(settings_of(own, {})))
        run_all(found, [name for name in DATASETS if name != "fetched"], SYSTEMS, external=True)
        found.external = read_json(paths.external_metrics("drawn"))
        found.asked = tables.read(paths.external("mine"))
        found.strategies["drawn"] = tables.read(paths.split("table")).to_dict("records")
        found.shares = tables.read(paths.plot("external", "multi_organ")).to_dict("records")
        found.tta = {name: embeddings.read(paths.embeddings(name)).tta for name in SYSTEMS}
        found.results = {path.stem: read_json(path) for path in paths.SYSTEM_METRICS.iterdir()}
        found.summary = read_json(paths.SUMMARY)
        found.report = tables.read(paths.report("softmax")).to_dict("records")
        found.history = tables.read(paths.history("frozen")).to_dict("records")
        found.facts = {name: read_json(paths.model_facts(name)) for name in SYSTEMS}
        found.metrics = tables.read(paths.plot("metrics", "multi_organ")).to_dict("records")
        few_shot = sorted(paths.plot("few_shot", "x").parent.glob("*.csv"))
        found.few_shot_plots = [path.stem for path in few_shot if len(tables.read(path))]

        shutil.copytree(root / "data/raw", own / "published", ignore=shutil.ignore_patterns("phantom.json"))
        found.use(changed(settings_of(own, SEARCHING)))
        run_all(found, ["patches"], ["contrastive", "sigmoid"])
        found.searched = read_json(paths.system_metrics("sigmoid"))

        found.use(changed(settings_of(own, FEW_SHOT)))
        run_all(found, [], ["triplet"])
        found.few_shot = {
            "facts": read_json(paths.model_facts("triplet")),
            "result": read_json(paths.system_metrics("triplet")),
            "report": tables.read(paths.report("triplet")).to_dict("records"),
            "plot": tables.read(paths.plot("few_shot", "multi_organ")).to_dict("records"),
            "answer": predict.load("triplet").predict_prepared(prepare.open_prepared("multi_organ")[:1])[0],
        }

        for strategy in ("random", "published"):
            found.use(changed(settings_of(own, {"split.strategy": strategy})))
            found.run("split", "table")
            found.strategies[strategy] = read_json(paths.split_metrics("table"))

        found.use(changed(settings_of(own, LOCAL)))
        run_all(found, ["patches"], [], download=False)
        found.local = read_json(paths.prepared_facts("patches"))

        with server(own, tmp_path_factory.mktemp("served"), patch) as kaggle:
            patch.setenv("ONCOVEC_KAGGLE_URL", kaggle.url)
            found.use(changed(settings_of(own, REMOTE)))
            list(download.trust(found.params, "pcam"))
            run_all(found, ["patches", "fetched"], [])
        found.remote = read_json(paths.prepared_facts("patches"))
    torch.use_deterministic_algorithms(False)
    return found


def server(own, folder, patch):
    """A server with the drawn patches and the user's class folders."""
    zips = loopback.published(own / "published", folder)
    mine = loopback.zip_of(own / "folders", folder / "mine.zip", "images/all/")
    found = loopback.Server("token", {("an-owner", "folders", 3): mine}, zips["competitions"])
    patch.setenv("KAGGLE_API_TOKEN", "token")
    return found


def run_all(project, datasets, trained, download=True, external=False):
    """Run the stages of these rows, in the pipeline's order."""
    project.run("check")
    for name in datasets:
        root = Path(DATASETS[name]["root"])
        if download and root.is_relative_to("data/raw"):
            project.run("download", root.parts[2])
        for stage in ("preprocess", "group", "split"):
            project.run(stage, name)
    for name in trained:
        for stage in ("train", "embed", "evaluate"):
            project.run(stage, name)
    if trained:
        project.run("explain")
    if external:
        project.run("download", "brain_elsewhere")
        for name in EXTERNAL:
            project.run("external", name)
    project.run("report")


def apart(names, known):
    """Names that no known one covers."""
    return {name for name in names if not any(below(name, other) for other in known)}


def faults(found):
    """What is left of a dict of sets after dropping the empty ones."""
    return {name: sorted(content) for name, content in found.items() if content}


def test_a_stage_reads_no_param_that_it_does_not_declare(project):
    runs = [run for run in project.runs if "params.yaml" not in run.declared.deps]
    assert faults({run.address: apart(run.read, run.declared.params | NO_RESULT) for run in runs}) == {}


def test_every_declared_param_is_read_in_some_mode(project):
    declared, read = defaultdict(set), defaultdict(set)
    leaves = set(leaves_of(project.params.model_dump()))
    for run in project.runs:
        stage = run.address.partition("@")[0]
        # Rows that declare the same shared params are one template of dvc.yaml.
        template = stage, *sorted(key for key in run.declared.params if key.partition(".")[0] not in ROWS)
        declared[template] |= leaves - apart(leaves, run.declared.params)
        read[template] |= run.read
    assert faults({template: keys - read[template] for template, keys in declared.items()}) == {}


def leaves_of(content, prefix=""):
    """Dotted keys of every value; a row is one value, and so is a recipe."""
    for name, value in content.items():
        whole = prefix.rstrip(".") in ROWS or prefix + name in BASES
        if isinstance(value, dict) and not whole:
            yield from leaves_of(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_a_stage_opens_no_file_that_it_does_not_depend_on(project):
    runs = {run.address: apart(run.opened, {*run.declared.deps, ARCHIVES}) for run in project.runs}
    assert faults(runs) == {}


def test_every_dependency_on_data_is_opened_in_some_mode(project, own):
    opened = defaultdict(set)
    for run in project.runs:
        opened[run.address] |= run.opened
    # Not seen here: what stands for an order or a folder, what other processes open, and safetensors.
    unseen = ("params.yaml", "data/checked.txt", "manifests", "data/raw", str(own))
    found = {}
    for run in project.runs:
        seen = {dep for dep in data_of(run.declared) if not dep.startswith(unseen)}
        seen = {dep for dep in seen if not dep.endswith(".safetensors")}
        found[run.address] = {
            dep for dep in seen if not any(below(path, dep) for path in opened[run.address])
        }
    assert faults(found) == {}


def test_a_stage_writes_its_outputs_and_nothing_else(project):
    for run in project.runs:
        assert apart(run.written, {*run.declared.outs, ARCHIVES}) == set(), run.address
        assert {
            out for out in run.declared.outs if not any(below(path, out) for path in run.written)
        } == set()


def values_of(block):
    return [value for value in block.values() if not isinstance(value, dict)]


def test_every_system_has_finite_metrics_on_val_and_test(project):
    assert set(project.results) == set(SYSTEMS)
    for name, result in project.results.items():
        heads = {"knn"} if SYSTEMS[name]["objective"] in METRIC_OBJECTIVES else {"knn", "head"}
        assert set(result["val"]) == set(result["test"]) == heads
        assert result["source"] == ("local" if name in ("mined", "frozen", "softmax") else "phantom")
        for split in ("val", "test"):
            assert result[f"n_{split}"] > 0
            assert all(0 <= value <= 1 for block in result[split].values() for value in values_of(block))


def test_the_summary_has_every_system_in_the_order_of_its_rows(project):
    assert list(project.summary) == list(SYSTEMS)
    for headline in project.summary.values():
        assert math.isfinite(headline["balanced_accuracy"]) and math.isfinite(headline["auroc"])
        assert headline["baseline"]["name"] in ("majority", "thumbnail", "histogram")
        assert 0 <= headline["baseline"]["balanced_accuracy"] <= 1
        assert headline["beats_baseline"] in (True, False)


def test_reports_have_intervals_and_what_the_index_knows_of_the_people(project):
    shown = {(row["model"], row["subset"]) for row in project.report if row["split"] == "test"}
    assert {(name, "all") for name in ("knn", "head", "majority", "thumbnail", "histogram")} <= shown
    assert {subset for model, subset in shown if model == "head"} >= {"all", "per patient", "age=0-19"}
    bounded = [row for row in project.report if row["low"]]
    most = {"nll": 16, "nll_calibrated": 16, "set_size": 10}
    for row in bounded:
        assert -1 <= float(row["low"]) <= float(row["high"]) <= most.get(row["metric"], 1), row
    assert {row["metric"] for row in bounded} >= {
        *("sensitivity_at_95_specificity", "ece", *most),
        "mean_average_precision",
    }


def test_every_system_of_the_task_is_asked_for_an_external_test_set(project):
    of_task = [name for name, row in SYSTEMS.items() if row["task"] == "multi_organ"]
    assert project.external["source"] == "phantom" and list(project.external["systems"]) == of_task
    assert project.external["left_out"]["unreadable"] == 2
    for found in project.external["systems"].values():
        assert found["n"] > 40 and 0 <= found["wrong_and_answered"] <= found["coverage"] <= 1
        assert {"accuracy", "balanced_accuracy", "auroc", "answered"} <= set(found)
    assert {row["metric"] for row in project.shares} >= {"coverage", "wrong_and_answered", "auroc"}


def test_images_that_were_trained_on_are_left_out_of_an_external_test_set(project):
    test = {row["image"] for row in project.strategies["drawn"] if row["split"] == "test"}
    assert set(project.asked["image"]) == test
    assert set(project.asked["system"]) == {"mined", "softmax"}


def test_test_is_left_out_while_searching(project):
    assert "test" not in project.searched and "n_test" not in project.searched
    assert set(project.searched["val"]) == {"knn", "head"}


def test_other_strategies_split_the_same_images_and_say_what_leaks(project):
    for strategy in ("random", "published"):
        counts = project.strategies[strategy]
        assert (counts["strategy"], counts["images"], counts["groups"]) == (strategy, 24, 12)
    assert project.strategies["random"]["test"]["leaked"]["images"] > 0
    # Each patient has an image in both published splits, and val takes whole patients from train.
    test, val = (project.strategies["published"][split] for split in ("test", "val"))
    assert test["images"] == 12 and val["leaked"]["images"] == 0
    assert test["leaked"]["images"] == 12 - val["images"] < 12


def test_classes_kept_out_of_training_are_recognised_by_a_few_examples(project):
    new, found = ["brain_glioma", "lung_malignant"], project.few_shot
    assert sorted(found["facts"]["few_shot_classes"]) == new
    assert set(found["facts"]["classes"]) == set(project.facts["triplet"]["classes"]) - set(new)
    assert found["result"]["n_test"] < project.results["triplet"]["n_test"]
    assert list(found["answer"].probabilities) == found["facts"]["classes"]
    for split in ("val", "test"):
        assert set(found["result"][split]["few_shot"]) == {"recall_1", "recall_5", "recall_20"}
    assert {row["examples"] for row in found["plot"]} == {"1", "5", "20"} and project.few_shot_plots == []


def test_a_phantom_s_limits_hold_for_phantoms_only(project):
    assert [row["epoch"] for row in project.history] == ["1", "2"]
    assert project.facts["sigmoid"]["best_epoch"] == 1
    assert "epochs" not in project.local and project.local["source"] == "local"


def test_a_fetched_dataset_says_so_and_is_limited(project):
    assert project.remote["source"] == "remote"
    assert 2 * REMOTE["data.limit"] - project.remote["images"] in (0, 1, 2)  # two drawn files are damaged


def test_a_row_asks_for_test_time_augmentation_for_itself(project):
    assert project.tta == {name: name == "softmax" for name in SYSTEMS}


def test_a_frozen_backbone_without_weights_says_that_it_is_trained(project):
    assert project.facts["frozen"]["protocol"] == systems.FROM_SCRATCH
    assert not project.facts["frozen"]["frozen"]
