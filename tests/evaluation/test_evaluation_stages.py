"""The stages evaluate and report on drawn embeddings of three systems of two tasks; nothing is trained."""

import csv
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkout import Checkout
from PIL import Image
from synthetic import embeddings, kept_out, write

from oncovec.core import files, params, paths, rows, tables
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.data import embeddings as table
from oncovec.evaluation import overlay, overview, predictions
from oncovec.evaluation.gallery import Gallery
from stages import evaluate, report

INDEX = ("image", "label", "group", "width", "height", "mode", "sha256", "sex")
BINARY = {"classes": ("ant", "bee"), "positive": "bee", "head": True}
SYSTEMS = {"near": "zoo", "far": "zoo", "binary": "bees"}


def drawn(system):
    content = embeddings(**BINARY) if system == "binary" else embeddings(classes=("ant", "bee", "cat", "dog"))
    content = replace(content, task=SYSTEMS[system], weights=f"weights of {system}")
    return kept_out(content, ["dog"]) if system == "far" else content


@pytest.fixture(scope="module")
def project(tmp_path_factory, repository):
    """A checkout after evaluate and report."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare(repository)
        settings = params.load()
        for system in SYSTEMS:
            evaluate.main(system, settings)
        report.main(settings)
    return folder


def prepare(repository):
    """Write params.yaml, what preprocess made, embeddings and histories."""
    content = params.read(repository / "params.yaml") | {"external": {}}
    content["datasets"] = {"zoo": {"layout": "folders", "root": "zoo", "image_size": 16}}
    content["tasks"] = {name: {"dataset": "zoo", "label": "label"} for name in set(SYSTEMS.values())}
    row = content["systems"]["triplet_multi_organ"] | {"dataset": "zoo"}
    content["systems"] = {name: row | {"task": task} for name, task in SYSTEMS.items()}
    content["knn"] = {"k": [1, 5]}
    content["evaluate"] |= {"bootstrap": 100, "scatter_points": 40, "neighbours": 2}
    paths.PARAMS.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    rows.write_systems(params.load())
    rows.write_external(params.load())
    images = embeddings().images.tolist()
    sexes = ("female", "male", "")
    listed = [
        (image, "", f"g{number // 2}", 8, 8, "RGB", str(number), sexes[number // 2 % 3])
        for number, image in enumerate(images)
    ]
    tables.write(paths.index("zoo"), tables.of(INDEX, listed))
    facts = {"source": "phantom", "images": len(images), "image_size": 8, "resize": "keep"}
    files.write_json(paths.prepared_facts("zoo"), facts)
    np.save(paths.images("zoo"), np.random.default_rng(0).integers(0, 255, (len(images), 8, 8, 3), np.uint8))
    for system in SYSTEMS:
        write(paths.embeddings(system), drawn(system))
        epochs = ((epoch, 1 / epoch, 2 / epoch, None, 0.5, 0.5) for epoch in (1, 2, 3))
        tables.write(paths.history(system), tables.of((*overlay.COLUMNS["history"], "val_auroc"), epochs))


def read(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def metrics_of(folder, system):
    return json.loads((folder / paths.system_metrics(system)).read_text(encoding="utf-8"))


@pytest.fixture
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    return project


def test_a_systems_folder_holds_gallery_predictions_report_and_a_table_a_kind(inside):
    names = {path.name for path in paths.results("near").iterdir()}
    kinds = {f"{kind}.csv" for kind in overlay.COLUMNS if kind != "history"}
    assert names == {"gallery.npz", "predictions.csv", "queries.csv", "report.csv", *kinds}
    for kind in overlay.COLUMNS:
        assert not overlay.read("near", kind).empty or kind in overlay.MAY_BE_EMPTY


def test_the_gallery_is_bound_to_the_weights_that_made_the_embeddings(inside):
    content, gallery = table.read(paths.embeddings("binary")), Gallery.load(CheckoutParts("binary", Path()))
    assert gallery.weights == content.weights == "weights of binary"
    assert predictions.of_splits(content, gallery, ["test"])
    with pytest.raises(OncovecError, match="other weights; run `dvc repro`"):
        predictions.of_splits(replace(content, weights="weights of a later training"), gallery, ["test"])


def test_metrics_have_the_agreed_form(inside):
    content = metrics_of(inside, "binary")
    assert list(content) == ["source", "n_val", "n_test", "val", "test"]
    assert [*content["test"]] == ["knn", "head"]
    metrics = ["accuracy", "balanced_accuracy", "f1_macro", "auroc", "average_precision"]
    assert [*content["test"]["head"]] == [*metrics, "sensitivity", "specificity"]
    assert [*metrics_of(inside, "near")["val"]["knn"]] == metrics[:4]


def test_few_shot_recall_stands_beside_the_models_where_a_task_has_such_classes(inside):
    assert set(metrics_of(inside, "far")["test"]["few_shot"]) == {"recall_1", "recall_5"}
    assert "few_shot" not in metrics_of(inside, "near")["test"]


def test_predictions_name_the_split_and_every_probability(inside):
    found = read(paths.predictions("binary"))
    assert [*found[0]] == [
        *("image", "group", "split", "label", "predicted", "p_ant", "p_bee", "head_p_ant", "head_p_bee")
    ]
    assert [row["split"] for row in found] == ["test"] * 30 + ["val"] * 30


def test_the_report_has_the_accuracy_on_its_own_training_images_and_the_metrics_have_not(inside):
    own = [row for row in read(paths.report("near")) if row["subset"] == "own training images"]
    assert [(row["split"], row["metric"]) for row in own] == [("train", "accuracy")]
    assert "train" not in metrics_of(inside, "near")


def test_every_kind_has_a_table_a_task_with_the_systems_one_below_the_other(inside):
    for kind, columns in overlay.COLUMNS.items():
        assert {path.name for path in (paths.PLOTS / kind).iterdir()} == {"zoo.csv", "bees.csv"}
        text = paths.plot(kind, "zoo").read_text(encoding="utf-8")
        assert text.startswith(",".join(["system", *columns]) + "\n")
        found = read(paths.plot(kind, "zoo"))
        assert [*dict.fromkeys(row["system"] for row in found)] == [
            system for system in ("near", "far") if not overlay.read(system, kind).empty
        ]


def test_the_summary_has_the_rows_in_order(inside):
    summary = files.read_json(paths.SUMMARY)
    assert list(summary) == list(SYSTEMS)
    assert summary["far"]["auroc"] == metrics_of(inside, "far")["test"]["knn"]["auroc"]
    assert all(row["baseline"] and row["beats_baseline"] in (True, False) for row in summary.values())


def test_every_system_has_a_page_of_the_same_size_without_metadata(inside):
    for system in SYSTEMS:
        with Image.open(paths.overview(system)) as page:
            assert page.size == (overview.WIDTH, overview.HEIGHT) and page.info == {}
            assert len(page.getcolors(2**16)) > 20
        assert paths.overview(system).stat().st_size < 100_000


def test_a_second_run_writes_the_same_bytes(inside, tmp_path, monkeypatch):
    copy = Checkout(tmp_path / "copy")
    subprocess.run(["cp", "-r", str(inside), str(copy.folder)], check=True)
    monkeypatch.chdir(copy.folder)
    for system in SYSTEMS:
        evaluate.main(system, params.load())
    report.main(params.load())
    written = [path for path in inside.rglob("*") if path.is_file()]
    assert len(written) > 60
    for path in written:
        assert path.read_bytes() == (copy.folder / path.relative_to(inside)).read_bytes(), path
    assert not [path for path in copy.folder.rglob("*") if path.name.startswith(".")]


def test_what_belongs_to_a_row_that_is_gone_is_neither_drawn_nor_left_over(inside, tmp_path, monkeypatch):
    subprocess.run(["cp", "-r", str(inside), str(tmp_path / "copy")], check=True)
    monkeypatch.chdir(tmp_path / "copy")
    lines = paths.SYSTEMS.read_text(encoding="utf-8").splitlines(keepends=True)
    paths.SYSTEMS.write_text("".join(line for line in lines if "bees" not in line), encoding="utf-8")
    report.main(params.load())
    assert list(files.read_json(paths.SUMMARY)) == ["near", "far"]
    left = {path.name for kind in overlay.COLUMNS for path in (paths.PLOTS / kind).iterdir()}
    assert left == {"zoo.csv"}
    assert {path.name for path in paths.overview("near").parent.iterdir()} == {"near.png", "far.png"}


@pytest.mark.parametrize(
    "lost", [paths.system_metrics("far"), paths.report("far"), paths.table("far", "roc")]
)
def test_a_result_that_is_missing_is_one_line(inside, tmp_path, monkeypatch, lost):
    subprocess.run(["cp", "-r", str(inside), str(tmp_path / "copy")], check=True)
    monkeypatch.chdir(tmp_path / "copy")
    lost.unlink()
    with pytest.raises(OncovecError, match=f"^{lost}: not there; fetch it"):
        report.main(params.load())
    lost.write_text("{")
    with pytest.raises(OncovecError, match=str(lost)):
        report.main(params.load())


def test_the_stage_says_which_model_does_not_beat_the_baselines_on_the_last_split(
    inside, tmp_path, monkeypatch, capsys
):
    subprocess.run(["cp", "-r", str(inside), str(tmp_path / "copy")], check=True)
    monkeypatch.chdir(tmp_path / "copy")
    evaluate.main("binary", params.load())
    line = capsys.readouterr().out.strip()
    assert line.startswith("evaluate@binary: head is not shown to beat ") and "\n" not in line
    assert " on test: balanced accuracy " in line


def test_the_report_has_what_was_chosen_on_val_and_the_share_out_of_distribution(inside):
    rows = [row for row in read(paths.report("near")) if row["model"] == "knn"]
    shares = ("ood_share", "set_coverage", "set_size")
    chosen = ("k", "ood_limit")
    found = [(row["split"], row["metric"]) for row in rows if row["metric"] in (*shares, *chosen)]
    limit = Gallery.load(CheckoutParts("near", Path())).ood_limit
    assert found == [
        *(("val", name) for name in shares),
        *(("test", name) for name in shares),
        *(("val", name) for name in chosen),
    ]
    written = [float(row["value"]) for row in rows if row["metric"] == "ood_limit"]
    assert written == pytest.approx([limit], abs=1e-6)
    assert 0 <= float(next(row["value"] for row in rows if row["metric"] == "ood_share")) < 0.2


def test_the_stage_says_which_class_is_never_predicted_on_the_last_split(
    inside, tmp_path, monkeypatch, capsys
):
    subprocess.run(["cp", "-r", str(inside), str(tmp_path / "copy")], check=True)
    monkeypatch.chdir(tmp_path / "copy")
    fitted = evaluate.knn.fit

    def strict(*arguments):
        return replace(fitted(*arguments), thresholds=np.array([1.1, np.nan]))

    monkeypatch.setattr(evaluate.knn, "fit", strict)
    evaluate.main("binary", params.load())
    lines = [line for line in capsys.readouterr().out.splitlines() if " KNN never predicts " in line]
    assert lines == ["evaluate@binary: KNN never predicts on test: bee (all 15 missed), of 30 images"]


def test_a_stage_that_fails_leaves_nothing_half_done(inside, tmp_path, monkeypatch):
    subprocess.run(["cp", "-r", str(inside), str(tmp_path / "copy")], check=True)
    monkeypatch.chdir(tmp_path / "copy")

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate.report, "predictions", fail)
    with pytest.raises(KeyboardInterrupt):
        evaluate.main("near", params.load())
    assert {path.name for path in paths.RESULTS.iterdir()} == {*SYSTEMS} - {"near"}


def test_dvc_draws_all_systems_of_a_task_into_one_chart_in_our_colours(inside, repository, tmp_path):
    project = Checkout(tmp_path / "drawn")
    subprocess.run(["cp", "-r", str(inside), str(project.folder)], check=True)
    project.run("git init -q -b main && dvc init -q")
    subprocess.run(["cp", "-r", str(repository / ".dvc/plots"), str(project.folder / ".dvc")], check=True)
    entries = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    kept = [each for each in entries if isinstance(each, dict)]
    (project.folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": kept}), encoding="utf-8")
    shown = json.loads(project.run("dvc plots show --json 2>/dev/null"))["data"]
    for kind in overlay.COLUMNS:
        own = shown[f"plots/{kind}/zoo.csv"]
        content = read(paths.plot(kind, "zoo"))
        if content:
            assert json.dumps(own).count('"rev": "workspace"') >= len(content), kind
            if kind not in ("embedding", "confusion"):
                assert '"color": {"field": "system"' in json.dumps(own[0]["content"]), kind
