import importlib.metadata
import io
import json
import pickle
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import packages
import pytest
import tiny
from packaging.utils import canonicalize_name
from PIL import Image

import oncovec
from oncovec.core import files, paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.exported import ABOUT, CARD, ExportedParts, pack
from oncovec.core.parts import CheckoutParts
from oncovec.evaluation.external import PLOTS
from oncovec.serving import cli, exporting, onnx_export
from oncovec.serving.predict import System

SYSTEMS = ("nearest", "head")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A trained checkout in which one external test set was measured."""
    folder = tiny.copied(tiny.trained(tmp_path_factory), tmp_path_factory.mktemp("export"))
    own = {"n": 40, "coverage": 0.75, "wrong_and_answered": 0.25, "auroc": 0.625}
    content = {"source": "local", "systems": {"head": own, "nearest": {"n": 0}}}
    files.write_json(folder / paths.external_metrics("far"), content)
    rows = [("head", "far", "auroc", 0.625, 0.5, 0.7), ("nearest", "far", "auroc", 0.1, 0.0, 0.2)]
    tables.write(folder / paths.plot("external", "colour"), tables.of(("system", *PLOTS["external"]), rows))
    return folder


@pytest.fixture(scope="module")
def exported(checkout, tmp_path_factory):
    """Both systems, each in a file in a folder without a checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in SYSTEMS:
        write(checkout, name, folder / f"{name}.oncovec")
    return folder


def write(checkout, name, file, names=False):
    parts = CheckoutParts(name, checkout)
    return exporting.write(System(parts), parts, file, names)


def pictures(folder):
    """Images of every kind of prediction: in and out of distribution, and one that cannot be read."""
    pixels, _ = tiny.squares(8, size=23, seed=4)
    noise = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    for number, image in enumerate([*pixels, noise]):
        Image.fromarray(image).save(folder / f"{number}.png")
    (folder / "9.png").write_bytes(b"no image")
    return sorted(folder.glob("*.png"))


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_exported_file_predicts_and_embeds_as_the_checkout_does(checkout, exported, tmp_path, name):
    shown = pictures(tmp_path)
    here, there = oncovec.load(name, root=checkout), oncovec.load(exported / f"{name}.oncovec")
    assert np.array_equal(here.embed(shown[:-1]), there.embed(shown[:-1]))
    found = there.predict(shown)
    assert len({each.ood for each in found}) == 2 and found[-1].error
    rows = {f"gallery-{row:06d}": image for row, image in enumerate(here.gallery.images)}
    for ours, theirs in zip(here.predict(shown), found, strict=True):
        named = tuple((rows[image], *rest) for image, *rest in theirs.neighbours)
        assert {**vars(theirs), "neighbours": named} == vars(ours)


def test_an_exported_system_can_be_pickled(exported):
    system = oncovec.load(str(exported / "head.oncovec"))
    pixels, _ = tiny.squares(2)
    assert pickle.loads(pickle.dumps(system)).predict(list(pixels)) == system.predict(list(pixels))


def test_equal_systems_give_equal_bytes(checkout, exported, tmp_path):
    write(checkout, "head", tmp_path / "again.oncovec")
    assert (tmp_path / "again.oncovec").read_bytes() == (exported / "head.oncovec").read_bytes()


def test_names_of_training_images_are_in_the_file_only_if_asked_for(checkout, exported, tmp_path):
    images = oncovec.load("head", root=checkout).gallery.images.tolist()
    stems = {Path(image).stem + ".png" for image in images}
    for file, kept in ((exported / "head.oncovec", False), (tmp_path / "named.oncovec", True)):
        if kept:
            write(checkout, "head", file, names=True)
        assert (oncovec.load(file).gallery.images.tolist() == images) is kept
        content = file.read_bytes()
        assert any(stem.encode("utf-32-le") in content for stem in stems) is kept


def test_members_are_plain_files_without_pickles_and_images(exported):
    with zipfile.ZipFile(exported / "head.oncovec") as archive:
        names = archive.namelist()
        with np.load(io.BytesIO(archive.read(paths.gallery("head").as_posix()))) as arrays:
            assert all(arrays[name].dtype.kind in "fiUb" for name in arrays.files)
    assert {Path(name).suffix for name in names} == {".json", ".md", ".safetensors", ".npz", ".csv"}


def member(file, path):
    return ExportedParts(file).read(path).decode()


def test_the_report_in_the_file_has_no_subsets_and_external_metrics_no_other_systems(exported):
    report = tables.parse(io.StringIO(member(exported / "head.oncovec", paths.report("head"))), "report")
    assert set(report["subset"]) == {"all"}
    content = json.loads(member(exported / "head.oncovec", paths.external_metrics("far")))
    assert list(content["systems"]) == ["head"]
    assert ExportedParts(exported / "nearest.oncovec").below(paths.EXTERNAL_METRICS) == []


def test_the_card_has_what_was_measured_with_its_interval(checkout, exported):
    card = member(exported / "head.oncovec", CARD)
    report = tables.read(checkout / paths.report("head"))
    rows = report[(report["split"] == "test") & (report["subset"] == "all") & (report["class"] == "all")]
    (row,) = rows[(rows["model"] == "knn") & (rows["metric"] == "auroc")].to_dict("records")
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    assert f"| auroc | {value:.3f} ({low:.3f} to {high:.3f}) |" in card
    assert "| auroc | 0.625 (0.500 to 0.700) |" in card
    assert "| coverage | 0.750 |" in card


def test_the_card_says_what_was_not_measured(exported):
    card = member(exported / "nearest.oncovec", CARD)
    assert "## Images of other collections\n\nNot measured.\n" in card
    assert "head" not in card


def test_the_card_names_the_classes_with_their_numbers_of_training_images(exported):
    file = exported / "head.oncovec"
    labels = oncovec.load(file).gallery.labels
    for number, name in enumerate(tiny.CLASSES):
        assert f"| {name} | {int((labels == number).sum())} | " in member(file, CARD)


def test_a_phantom_is_said_to_be_one(checkout, tmp_path):
    copy = tiny.copied(checkout, tmp_path)
    facts = files.read_json(copy / paths.model_facts("head"))
    assert "drawn by code" not in member_of(copy, tmp_path)
    files.write_json(copy / paths.model_facts("head"), facts | {"source": "phantom"})
    assert "The training images are phantoms, drawn by code." in member_of(copy, tmp_path)


def member_of(checkout, folder):
    write(checkout, "head", folder / "head.oncovec")
    return member(folder / "head.oncovec", CARD)


def broken(exported, tmp_path, changes):
    """The file of `head` with other members."""
    parts = ExportedParts(exported / "head.oncovec")
    names = (ABOUT, CARD, paths.model_facts("head"), paths.weights("head"), paths.gallery("head"))
    members = {path: parts.read(path) for path in names} | changes
    file = tmp_path / "broken.oncovec"
    file.write_bytes(pack({path: content for path, content in members.items() if content is not None}))
    return file


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (paths.weights("head"), None, "it has no models/head/weights.safetensors"),
        (paths.weights("head"), b"garbage", "models/head/weights.safetensors: damaged"),
        (paths.model_facts("head"), b"{", "models/head/facts.json: damaged"),
        (paths.model_facts("head"), b"{}", "models/head/facts.json: lacks task"),
        (paths.gallery("head"), b"no zip", "data/results/head/gallery.npz is damaged"),
    ],
)
def test_a_file_with_a_wrong_part_gets_one_line(exported, tmp_path, path, content, expected):
    file = broken(exported, tmp_path, {path: content})
    with pytest.raises(OncovecError) as error:
        oncovec.load(file)
    line = tiny.one_line(error)
    assert line.startswith(f"{file}: ") and expected in line and "dvc" not in line


def test_a_gallery_of_other_weights_is_refused(exported, tmp_path):
    other = oncovec.load(exported / "nearest.oncovec").gallery
    stream = io.BytesIO()
    np.savez(stream, **other.arrays())
    with pytest.raises(OncovecError, match="made by other weights") as error:
        oncovec.load(broken(exported, tmp_path, {paths.gallery("head"): stream.getvalue()}))
    assert "get or export the file again" in tiny.one_line(error)


@pytest.fixture
def call(capsys, monkeypatch):
    """Run the command in a folder: exit code, standard output, standard error."""

    def run(folder, *arguments):
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        said, code = capsys.readouterr(), stop.value.code
        return (1, said.out, code) if isinstance(code, str) else (code, said.out, said.err)

    return run


def test_the_command_exports_and_a_folder_without_a_checkout_predicts(call, checkout, tmp_path):
    code, out, _ = call(checkout, "export", "--system", "head", "-o", tmp_path / "head.oncovec")
    assert code == 0 and "without the names of training images" in out
    (tmp_path / "shown").mkdir()
    shown = pictures(tmp_path / "shown")[:3]
    code, out, err = call(tmp_path, "predict", "--system", "head.oncovec", *shown)
    assert (code, err) == (0, "")
    assert "gallery-0000" in out
    assert out.endswith("(far): answered 0.75 of them, 0.25 of all wrongly\n")
    code, out, _ = call(tmp_path, "embed", "--system", "head.oncovec", "shown/0.png", "-o", "out.npz")
    assert code == 0 and out == "1 embeddings of length 16 in out.npz\n"


def test_labelled_images_get_the_same_metrics_from_file_and_checkout(call, checkout, exported, tmp_path):
    pictures(tmp_path)
    rows = [f"{number}.png,{tiny.CLASSES[number % 2]}" for number in range(8)]
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *rows]))
    said = [
        call(checkout, "predict", "--system", system, "--format", "csv", tmp_path / "list.csv")[2]
        for system in ("head", exported / "head.oncovec")
    ]
    assert "balanced_accuracy" in said[0]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["export", "--system", "head"], "give -o FILE.oncovec, --onnx FILE.onnx, or both"),
        (["export", "--system", "head", "-o", "head.zip"], "head.zip must end in .oncovec"),
        (["export", "--system", "head", "--onnx", "head.pb"], "head.pb must end in .onnx"),
        (["export", "--system", "head", "-o", "dvc.yaml/b.oncovec"], "dvc.yaml/b.oncovec: not written ("),
        (["export", "--system", "head", "-o", f"{'b' * 300}.oncovec"], "bbb.oncovec: not written ("),
        (["export", "--system", "a.oncovec", "-o", "b.oncovec"], "a.oncovec is an exported file already"),
        (["export", "--system", "none", "-o", "b.oncovec"], "no row of systems: is called none"),
        (["predict", "--system", "a.oncovec", "--random", "2"], "--random needs the test images"),
        (["predict", "--system", "a.oncovec", "dvc.yaml"], "a.oncovec: no such file"),
        (["predict", "--system", "a.zip", "dvc.yaml"], "an exported file ends in .oncovec"),
    ],
)
def test_a_mistake_gets_one_line(call, checkout, arguments, expected):
    code, out, err = call(checkout, *arguments)
    assert (code, out) == (1, "")
    assert expected in err and "\n" not in err


BLOCKED = """
    import sys

    blocked = set(sys.argv.pop(1).split(","))

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in blocked:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Blocker())
    from oncovec.serving.cli import main
    main()
"""
"""A run of the command in which some packages cannot be imported."""


def modules_of_extras(repository):
    """Top-level modules of the packages that only an extra brings, directly or by what it needs."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    core = packages.needed(project["dependencies"])
    extra = (
        packages.needed(line for lines in project["optional-dependencies"].values() for line in lines) - core
    )
    owners = importlib.metadata.packages_distributions()
    return {
        module for module, names in owners.items() if {canonicalize_name(name) for name in names} <= extra
    }


@pytest.fixture(scope="module")
def without_extras(repository, tmp_path_factory):
    script = tmp_path_factory.mktemp("blocked") / "command.py"
    script.write_text(textwrap.dedent(BLOCKED))
    blocked = modules_of_extras(repository)
    assert {"dvc", "kaggle", "accelerate", "onnxruntime"} <= blocked

    def run(folder, *arguments):
        command = [sys.executable, script, ",".join(blocked), *map(str, arguments)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    return run


def test_predicting_and_exporting_need_no_package_of_the_extras(without_extras, checkout, tmp_path):
    done = without_extras(checkout, "export", "--system", "head", "-o", tmp_path / "head.oncovec")
    assert (done.returncode, done.stderr) == (0, "")
    shown = pictures(tmp_path)[:3]
    done = without_extras(tmp_path, "predict", "--system", "head.oncovec", "--format", "json", *shown)
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["path"] for each in json.loads(done.stdout)] == [str(path) for path in shown]


def test_a_missing_package_of_an_extra_gets_one_line(without_extras, checkout, exported):
    done = without_extras(checkout, "export", "--system", "nearest", "--onnx", "nearest.onnx")
    assert done.returncode == 1
    assert "pip install 'oncovec[onnx]'" in done.stderr and done.stderr.count("\n") == 1
    done = without_extras(checkout, "compare", "head@HEAD", "nearest@HEAD")
    assert done.returncode == 1
    assert "pip install 'oncovec[pipeline]'" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", SYSTEMS)
def test_onnx_gives_the_embeddings_of_the_system_for_any_number_of_images(exported, tmp_path, name):
    import onnxruntime

    from oncovec.learning import systems
    from oncovec.learning.images import Images

    system = oncovec.load(exported / f"{name}.oncovec")
    size, difference = onnx_export.write(system, tmp_path / "m.onnx")
    assert size == (tmp_path / "m.onnx").stat().st_size
    assert 0 <= difference <= 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 7):
        pixels, _ = tiny.squares(count, size=20, seed=2)
        images = Images(pixels, system.device, tiny.SIZE, systems.preprocessing_of(system.facts))
        (found,) = session.run(["embeddings"], {"images": images.take(range(count)).cpu().numpy()})
        assert np.allclose(found, system.embed_prepared(pixels), atol=1e-5)
    told = session.get_modelmeta().custom_metadata_map
    assert told["weights"] == system.facts["sha256"]


def test_onnx_that_differs_is_refused_and_not_written(exported, tmp_path, monkeypatch):
    system = oncovec.load(exported / "nearest.oncovec")
    monkeypatch.setattr(onnx_export, "TOLERANCE", 0.0)
    monkeypatch.setattr(onnx_export, "TURNS", [lambda x: x + 0.1])
    with pytest.raises(
        OncovecError, match=r"not written: its embeddings differ from those of nearest"
    ) as error:
        onnx_export.write(system, tmp_path / "m.onnx")
    assert tiny.one_line(error)
    assert list(tmp_path.iterdir()) == []
