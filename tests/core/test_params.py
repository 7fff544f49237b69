import inspect
import re

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from oncovec.core import datasets, params, recipes
from oncovec.core.errors import OncovecError

ROWS = ("downloads", "datasets", "external", "tasks", "systems", *recipes.BASES)
CLASSES = [
    each
    for module in (params, datasets, recipes)
    for _, each in inspect.getmembers(module, inspect.isclass)
    if issubclass(each, params.Section) and each.__module__ == module.__name__
]

CNN = "systems.cnn_pcam"
BAD = [
    ({"model.margn": 0.2}, "model.margn: unknown key"),
    ({"modle": {}}, "modle: unknown key"),
    ({f"{CNN}.lr": ..., f"{CNN}.learning_rate": 0.1}, f"{CNN}.learning_rate: unknown key (and 1 more)"),
    ({f"{CNN}.augment": {"flip": 1}}, f"{CNN}.augment.flip: unknown key"),
    ({"datasets.pcam.columns": {"flie": "a.csv"}}, "datasets.pcam.columns.flie: unknown key"),
    ({"external.brain_elsewhere.task": "nowhere"}, "external.brain_elsewhere.task = 'nowhere': no such row"),
    (
        {"external.brain_elsewhere.dataset": "pcam"},
        "external.brain_elsewhere.dataset = 'pcam': task multi_organ",
    ),
    (
        {"external.brain_elsewhere.labels.yes": "brain_notumor"},
        "labels: class 'brain_notumor' has two labels",
    ),
    ({"external.brain_elsewhere.labels.yes": []}, "external.brain_elsewhere.labels.yes = []: "),
    (
        {"external.brain_elsewhere.group": "folder", "external.brain_elsewhere.layout": "csv"},
        "is for layout: folders",
    ),
    ({"datasets.pcam.window": [400, 400]}, "datasets.pcam.window = [400, 400]: [400, 400]: the first value"),
    ({"datasets.pcam.window": [0]}, "datasets.pcam.window.1: missing"),
    ({"datasets.pcam.group": "dicom"}, "datasets.pcam: group: dicom is for layout: folders or csv"),
    (
        {
            "datasets.pcam.layout": "csv",
            "datasets.pcam.group": "dicom",
            "datasets.pcam.columns": {"group": "mrn"},
        },
        "datasets.pcam: group: dicom and columns.group: mrn both name the groups",
    ),
    (
        {"datasets.pcam.columns": {"group": "patient"}},
        "datasets.pcam: columns: for layout: csv; layout pcam has no table",
    ),
    (
        {"external.brain_elsewhere.columns": {"group": "patient"}},
        "external.brain_elsewhere: columns: for layout: csv; layout folders has no table",
    ),
    ({"external.sets": {}}, "data/external/sets.csv is a file of the pipeline; choose another name"),
    ({"split.strategy": "radnom"}, "split.strategy = 'radnom': "),
    ({"split.train": 0.69}, "split: train + val + test is 0.99"),
    ({"split.train": 0.0, "split.val": 0.85}, "split.train = 0.0: "),
    (
        {"tasks.pcam.few_shot_classes": ["a", "b", "a"]},
        "tasks.pcam.few_shot_classes = ['a', 'b', 'a']: names 'a' more than",
    ),
    ({"tasks.pcam.few_shot_classes": [""]}, "tasks.pcam.few_shot_classes.0 = '': "),
    ({"tasks.pcam.few_shot_classes": None}, "tasks.pcam.few_shot_classes = None: "),
    ({"tasks.pcam.normal": ["normal"]}, "tasks.pcam: normal: for tasks without a positive class"),
    ({"tasks.pcam.few_shot_classes": "tumor"}, "tasks.pcam: few_shot_classes: tumor is the positive class"),
    ({"downloads.pcam.competition": ...}, "downloads.pcam: nothing to fetch; it needs kaggle:, competition:"),
    ({"downloads.pcam.kaggle": ["a/b"]}, "downloads.pcam.kaggle.0 = 'a/b': owner/slug/version"),
    ({"datasets.pcam.root": ...}, "datasets.pcam.root: missing"),
    ({"datasets.pcam.stratify": []}, "datasets.pcam.stratify = []: "),
    ({"model.margin": 0}, "model.margin = 0: "),
    ({"model.margin": -1}, "model.margin = -1: "),
    ({"model.margin": float("nan")}, "model.margin = nan: "),
    ({"model.margin": float("inf")}, "model.margin = inf: "),
    ({"model.margin": "wide"}, "model.margin = 'wide': "),
    ({"model.margin": None}, "systems.triplet_multi_organ: objective triplet needs margin"),
    ({"model.margin": ...}, "systems.triplet_multi_organ: objective triplet needs margin"),
    ({"model": ...}, "model: missing"),
    ({"model": 3}, "model = 3: "),
    ({"train.seed": 1.5}, "train.seed = 1.5: "),
    ({"train.epochs": 0}, "train.epochs = 0: "),
    ({"mlflow": "mlruns"}, "mlflow = 'mlruns': expected an address such as http://127.0.0.1:5000, or null"),
    ({"mlflow": "https://me:secret@host"}, "mlflow = 'https://me:secret@host': name and password go into"),
    ({"evaluate.sensitivity": 1}, "evaluate.sensitivity = 1: "),
    ({"evaluate.specificity": 0}, "evaluate.specificity = 0: "),
    ({"evaluate.bootstrap": 99}, "evaluate.bootstrap = 99: "),
    ({"near_duplicates.correlation": 1.01}, "near_duplicates.correlation = 1.01: "),
    ({"near_duplicates.inliers": 3}, "near_duplicates.inliers = 3: "),
    ({"near_duplicates": ...}, "near_duplicates: missing"),
    ({"flagship.lr": -1}, "flagship.lr = -1: "),
    ({"flagship.lrr": 1}, "flagship.lrr: unknown key"),
    ({"flagship.augment.rotatoin": 1}, "flagship.augment.rotatoin: unknown key"),
    ({"classifier.augment": "non"}, "classifier.augment = 'non': "),
    ({"knn.k": []}, "knn.k = []: "),
    ({"knn.k": [3, 0]}, "knn.k.1 = 0: "),
    ({"data.source": "kagle"}, "data.source = 'kagle': "),
    ({"datasets.pcam.layout": "pacm"}, "datasets.pcam.layout = 'pacm': "),
    ({f"{CNN}.objective": "tripel"}, f"{CNN}.objective = 'tripel': "),
    ({f"{CNN}.task": "pacm"}, f"{CNN}.task = 'pacm': no such row; there are "),
    ({f"{CNN}.dataset": "isic2020"}, f"{CNN}.dataset = 'isic2020': task pcam is one of 'pcam'"),
    ({"tasks.pcam.dataset": "pacm"}, "tasks.pcam.dataset = 'pacm': no such row; there are "),
    ({f"{CNN}.base": ...}, f"{CNN}.base: missing"),
    ({f"{CNN}.base": "modle"}, f"{CNN}.base = 'modle': "),
    ({f"{CNN}.base": ["model"]}, f"{CNN}.base = ['model']: "),
    (
        {f"{CNN}.base": "model", f"{CNN}.epochs": 3, f"{CNN}.batch_size": 8},
        f"{CNN}: objective binary_cross_entropy",
    ),
    ({f"{CNN}.margin": 0.3}, f"{CNN}: objective binary_cross_entropy"),
    ({"systems.siamese_isic.base": "classifier"}, "objective contrastive needs base: model"),
    ({f"{CNN}.augment": None}, f"{CNN}.augment = None: "),
    (
        {f"{CNN}.weights": "own.pth"},
        f"{CNN}: weights_sha256 is for weights that are",
    ),
    ({f"{CNN}.weights_sha256": "0" * 64}, f"{CNN}: weights_sha256 is for weights that are a file"),
    ({f"{CNN}.weights_sha256": "0"}, f"{CNN}.weights_sha256 = '0': "),
    ({f"{CNN}.label_smoothing": 0.1}, f"{CNN}: objective binary_cross_entropy has no label_smoothing"),
    ({f"{CNN}.mining": "hard"}, f"{CNN}: objective binary_cross_entropy has no mining"),
    ({f"{CNN}.embedding_dim": 64}, f"{CNN}: objective binary_cross_entropy has no embedding_dim"),
    (
        {f"{CNN}.schedule": "cosine", f"{CNN}.patience": 3},
        f"{CNN}: patience is for schedule: constant; cosine runs to its end",
    ),
    ({f"{CNN}.hidden": []}, f"{CNN}: a classifier needs hidden"),
    ({"systems": {}}, "systems: "),
    ({"systems.a b": {}}, "systems.a b"),
    ({"systems.x": None}, "systems.x = None: "),
]


def line_of(path):
    with pytest.raises(OncovecError) as caught:
        params.load(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def leaves(section, key=""):
    """Dotted keys of every value that is no section."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{key}{name}.")
        else:
            yield f"{key}{name}"


def test_the_repository_s_params_are_sound(repository):
    assert params.load(repository / "params.yaml").data.source == "phantom"


def test_every_parameter_has_a_comment(repository):
    text = (repository / "params.yaml").read_text(encoding="utf-8")
    settings_of = {"data", "preprocess", "near_duplicates", "split", "train", "embed", "knn", "evaluate"}
    bare, section = [], ""
    for line in text.splitlines():
        section = line.partition(":")[0] if line[:1].isalpha() else section
        if section in settings_of and ": " in line and "#" not in line:
            bare.append(line.partition(":")[0].strip())
    assert bare == ["train", "val", "test"]  # the comment of their section, split, speaks of all three


def test_every_key_of_a_row_stands_in_the_comments(repository):
    comments = " ".join(re.findall(r"#(.*)", (repository / "params.yaml").read_text(encoding="utf-8")))
    keys = {
        key
        for section in (recipes.Recipe, recipes.Augmentation, datasets.Dataset, datasets.External)
        for key in section.model_fields
    }
    keys -= {"margin", "mining", "embedding_dim"}  # shown in their section
    assert {key for key in keys if not re.search(rf"\b{key}\b", comments)} == set()


def test_the_file_is_as_dvc_exp_run_writes_it(repository, tmp_path):
    from dvc.utils.hydra import apply_overrides

    copy = tmp_path / "params.yaml"
    copy.write_bytes((repository / "params.yaml").read_bytes())
    apply_overrides(copy, ["model.margin=0.2"])
    assert copy.read_bytes() == (repository / "params.yaml").read_bytes()


def test_every_shared_parameter_stands_in_the_file(repository):
    content = params.read(repository / "params.yaml")

    def expected(model, key=""):
        for name, field in model.model_fields.items():
            if key == "" and name in ROWS:
                continue
            if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
                yield from expected(field.annotation, f"{key}{name}.")
            else:
                yield f"{key}{name}"

    shared = {name: value for name, value in content.items() if name not in ROWS}
    assert sorted(leaves(shared)) == sorted(expected(params.Params))


@pytest.mark.parametrize(("changes", "start"), BAD, ids=[start for _, start in BAD])
def test_a_bad_value_gives_one_line_that_names_key_and_value(changed, changes, start):
    assert start in line_of(changed(changes))


def test_several_problems_still_give_one_line(changed):
    line = line_of(changed({"model.margin": 0, "train.seed": -1, "knn.k": "x"}))
    assert line.startswith("model.margin = 0: ") and line.endswith("(and 2 more)")


def test_a_number_as_dvc_writes_it_is_a_number(changed):
    path = changed({f"{CNN}.lr": "1e-05"})
    assert "lr: 1e-05\n" in path.read_text() and isinstance(yaml.safe_load("1e-05"), str)
    assert params.load(path).systems["cnn_pcam"].lr == 1e-5


@pytest.mark.parametrize(
    "content", [b"a: [", b"a: b: c", b"\xff\xfe", b"a: \x00", b"a: 2020-13-45", b"- 1", b"", b"text"]
)
def test_what_is_no_table_of_sections_gives_one_line(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    assert "not YAML" in line_of(path) or "expected sections" in line_of(path)


def test_a_missing_file_gives_one_line(tmp_path):
    assert "run from the root of a checkout" in line_of(tmp_path / "params.yaml")


def test_params_cannot_be_assigned(repository):
    settings = params.load(repository / "params.yaml")
    for section, name in (
        (settings, "model"),
        (settings.model, "margin"),
        (settings.systems["cnn_pcam"], "lr"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, name, 1)


@pytest.mark.parametrize("section", CLASSES, ids=lambda section: section.__name__)
def test_every_section_is_frozen_and_refuses_what_it_does_not_know(section):
    config = section.model_config
    assert config["extra"] == "forbid" and config["frozen"] and not config["allow_inf_nan"]


@pytest.mark.parametrize(("value", "found"), [(0, "0"), ("yes", "yes"), (True, None), (False, None)])
def test_a_class_may_be_called_by_a_number_and_a_truth_value_is_to_be_quoted(value, found, changed):
    change = {"tasks.pcam.positive": value}
    if found is not None:
        assert params.load(changed(change)).tasks["pcam"].positive == found
        return
    with pytest.raises(OncovecError, match="put the name in quotes"):
        params.load(changed(change))


def test_folders_make_groups_in_the_layout_of_folders_alone(changed):
    with pytest.raises(OncovecError, match="group: folder is for layout: folders"):
        params.load(changed({"datasets.pcam.group": "folder"}))


def test_only_true_and_false_are_truth_values_as_dvc_reads_them(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("labels: {yes: on, no: off, Y: n, is: true, not: False}\n")
    expected = {"yes": "on", "no": "off", "Y": "n", "is": True, "not": False}
    assert params.read(path) == {"labels": expected}
    from dvc.utils.serialize import load_yaml

    assert load_yaml(str(path)) == {"labels": expected}
