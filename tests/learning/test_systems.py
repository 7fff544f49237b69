import json
from hashlib import sha256
from pathlib import Path

import pytest
import timm
import tiny
import torch
from safetensors.torch import load_file, save_file

from oncovec.core import params, paths
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.learning import systems
from oncovec.learning.config import resolve
from oncovec.learning.network import trainable
from oncovec.learning.optimization import optimizer

TASKS = {
    "organ": [f"organ {number}" for number in range(9)],
    "malignancy": ["benign", "malignant"],
    "pcam": ["normal", "tumor"],
}
PREPARED = {"source": "phantom", "image_size": 96, "resize": "keep"}
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    return tiny.trained(tmp_path_factory)


@pytest.fixture
def damaged(checkout, tmp_path, monkeypatch):
    """A copy of the trained checkout to damage, which is also the current folder."""
    folder = tiny.copied(checkout, tmp_path)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def weights_of(tmp_path_factory):
    """A file of a fresh timm model, standing for the ImageNet weights that only a hub has."""
    folder = tmp_path_factory.mktemp("weights")

    def write(name):
        file = folder / f"{name}.safetensors"
        if not file.exists():
            save_file(timm.create_model(name.split(".")[0]).state_dict(), file)
        return str(file)

    return write


def published(name, weights):
    """A row of the repository's params.yaml, with the given weights."""
    content = params.read(tiny.ROOT / "params.yaml")
    content["systems"][name]["weights"] = weights
    if weights != "none":
        content["systems"][name]["weights_sha256"] = sha256(Path(weights).read_bytes()).hexdigest()
    task = content["systems"][name]["task"]
    return resolve(params.Params.model_validate(content), name, TASKS[task], PREPARED)


ANCESTORS = {"inception_organ": 526_857, "inception_malignancy": 525_058, "resnet34_pcam": 65_922}


@pytest.mark.parametrize(("name", "count"), ANCESTORS.items())
def test_a_frozen_ancestor_has_the_published_number_of_trainable_parameters(name, count, weights_of):
    recipe = published(name, "none")
    network, facts = systems.build(published(name, weights_of(recipe.backbone)))
    assert trainable(network) == facts["trainable"] == count
    assert facts["frozen"]
    assert facts["protocol"] == ""
    assert systems.FROM_SCRATCH not in systems.description(network, facts)


def test_with_weights_an_ancestor_is_trained_with_its_published_learning_rate_alone(weights_of):
    recipe = published("resnet34_pcam", weights_of("resnet34.tv_in1k"))
    network, _ = systems.build(recipe)
    assert [group["lr"] for group in optimizer(network, recipe).param_groups] == [recipe.lr]


def test_no_other_published_system_has_a_learning_rate_of_its_backbone():
    rows = params.load(tiny.ROOT / "params.yaml").systems
    found = {name for name, row in rows.items() if row.base != "flagship" and row.backbone_lr}
    assert found == set(ANCESTORS)


@pytest.mark.parametrize("name", ["inception_organ", "resnet34_pcam"])
def test_an_ancestor_without_weights_is_trained_from_scratch_and_says_so(name):
    network, facts = systems.build(published(name, "none"))
    assert trainable(network) == facts["trainable"] == sum(p.numel() for p in network.parameters())
    assert not facts["frozen"]
    assert facts["weights"] == "none"
    assert facts["protocol"] == "from scratch, not the published protocol"
    assert systems.description(network, facts).endswith("; from scratch, not the published protocol")


def test_weights_of_a_file_are_told_by_its_name_and_not_by_its_folder(weights_of):
    _, facts = systems.build(published("resnet34_pcam", weights_of("resnet34.tv_in1k")))
    assert facts["weights"] == "resnet34.tv_in1k.safetensors"
    assert "/" not in json.dumps(facts)


def test_pretrained_weights_are_loaded_and_not_overwritten(weights_of):
    file = weights_of("resnet34.tv_in1k")
    network, _ = systems.build(published("resnet34_pcam", file))
    expected = load_file(file)
    assert torch.equal(network.backbone.conv1.weight, expected["conv1.weight"])


def test_a_weights_file_whose_content_changed_is_refused_with_its_hash_and_trained_on_with_it(tmp_path):
    file, changed = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    for path, seed in ((file, 1), (changed, 2)):
        save_file(tiny.network(seed=seed)[0].backbone.state_dict(), path)
    first, second = (sha256(path.read_bytes()).hexdigest() for path in (file, changed))
    settings = {"weights": str(file), "weights_sha256": first}
    before = tiny.network(**settings)[0].backbone.state_dict()
    changed.replace(file)
    with pytest.raises(OncovecError) as error:
        tiny.network(**settings)
    line = tiny.one_line(error)
    assert f"systems.tiny.weights_sha256 = {first!r}" in line and second in line
    after = tiny.network(**settings | {"weights_sha256": second})[0].backbone.state_dict()
    assert not torch.equal(before["0.weight"], after["0.weight"])


def test_the_seed_decides_the_weights():
    first, second, other = (tiny.network(seed=seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["output.weight"], other["output.weight"])


@pytest.mark.parametrize(
    ("objective", "outputs", "dimension"),
    [("triplet", 8, 8), ("contrastive", 8, 8), ("cross_entropy", 2, 16), ("binary_cross_entropy", 1, 16)],
)
def test_the_objective_decides_the_outputs(objective, outputs, dimension):
    network, facts = tiny.network(objective=objective, embedding_dim=8)
    assert network.output.out_features == facts["outputs"] == outputs
    assert facts["embedding_dim"] == dimension


def test_binary_cross_entropy_is_refused_for_more_classes_than_two():
    with pytest.raises(OncovecError) as error:
        tiny.network(objective="binary_cross_entropy", classes=("a", "b", "c"))
    assert "task colour has 3" in tiny.one_line(error)


def outputs(network):
    images = torch.rand(4, 3, tiny.SIZE, tiny.SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return network.eval()(images)


@pytest.mark.parametrize("objective", ["triplet", "cross_entropy", "binary_cross_entropy"])
def test_a_saved_system_answers_as_it_did(tmp_path, monkeypatch, objective):
    monkeypatch.chdir(tmp_path)
    network, facts = tiny.network(objective=objective, embedding_dim=8, dropout=0.3)
    systems.on_device(network, CPU)
    systems.save_system("tiny", network.state_dict(), facts, [])
    loaded, read = systems.load_system(CheckoutParts("tiny", Path()), CPU)
    assert read == facts | {"sha256": sha256(paths.weights("tiny").read_bytes()).hexdigest()}
    assert not loaded.training
    before, after = outputs(network), outputs(loaded)
    assert torch.equal(before.embedding, after.embedding)
    assert (before.logits is None) == (after.logits is None)
    assert before.logits is None or torch.equal(before.logits, after.logits)


def test_a_saved_batchnorm_keeps_its_statistics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network, facts = tiny.network(backbone="resnet10t", input_size=32, image_size=32)
    network.train()(torch.rand(8, 3, 32, 32))
    systems.save_system("tiny", network.state_dict(), facts, [])
    loaded = systems.load_system(CheckoutParts("tiny", Path()), CPU)[0].state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in network.state_dict().items())


def test_the_same_weights_give_the_same_bytes(tmp_path, monkeypatch):
    files = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        network, facts = tiny.network()
        systems.save_system("tiny", network.state_dict(), facts, [])
        files.append([paths.weights("tiny").read_bytes(), paths.model_facts("tiny").read_bytes()])
    assert files[0] == files[1]


def refused(name="head"):
    with pytest.raises(OncovecError) as error:
        systems.load_system(CheckoutParts(name, Path()), CPU)
    line = tiny.one_line(error)
    assert f"dvc repro evaluate@{name}" in line
    return line


def test_an_unknown_system_is_refused_with_those_that_there_are(damaged):
    with pytest.raises(OncovecError) as error:
        systems.load_system(CheckoutParts("other", Path()), torch.device("cpu"))
    assert tiny.one_line(error) == "no row of systems: is called other; there are nearest, head"


def test_without_any_system_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there are" not in refused()


@pytest.mark.parametrize("content", [b"", b"garbage", b'\x08\0\0\0\0\0\0\0{"a": 1', b"\xff" * 100])
def test_a_corrupt_weights_file_gets_one_line(damaged, content):
    paths.weights("head").write_bytes(content)
    assert refused().startswith("models/head/weights.safetensors: damaged")


def test_a_truncated_weights_file_gets_one_line(damaged):
    content = paths.weights("head").read_bytes()
    for size in (4, 100, len(content) // 2, len(content) - 1):
        paths.weights("head").write_bytes(content[:size])
        assert refused().startswith("models/head/weights.safetensors: damaged")


def test_missing_facts_get_one_line(damaged):
    paths.model_facts("head").unlink()
    assert refused().startswith("models/head/facts.json: not there")


@pytest.mark.parametrize("content", ["", "{", "garbage", "[]", "3", '"text"', "null", "{}"])
def test_facts_that_are_none_get_one_line(damaged, content):
    paths.model_facts("head").write_text(content)
    assert refused().startswith("models/head/facts.json: ")


def test_facts_that_are_no_text_get_one_line(damaged):
    paths.model_facts("head").write_bytes(b"\xff\xfe\x00garbage")
    assert refused().startswith("models/head/facts.json: damaged")


@pytest.mark.parametrize("key", systems.NEEDED)
def test_a_lacking_fact_is_named(damaged, key):
    facts = json.loads(paths.model_facts("head").read_text())
    del facts[key]
    paths.model_facts("head").write_text(json.dumps(facts))
    assert refused().startswith(f"models/head/facts.json: lacks {key}; ")


def test_weights_that_the_facts_do_not_speak_of_get_one_line(damaged):
    state = {name: value + 1 for name, value in load_file(paths.weights("head")).items()}
    save_file(state, paths.weights("head"))
    assert "not the weights that facts.json speaks of" in refused()


@pytest.mark.parametrize("changes", [{"hidden": [3]}, {"backbone": "triplet_cnn"}, {"hidden": "wide"}])
def test_weights_of_another_recipe_get_one_line(damaged, changes):
    facts = json.loads(paths.model_facts("head").read_text()) | changes
    paths.model_facts("head").write_text(json.dumps(facts))
    assert "do not fit models/head/facts.json" in refused()


def test_an_unknown_backbone_in_the_facts_gets_one_line(damaged):
    facts = json.loads(paths.model_facts("head").read_text()) | {"backbone": "no_such_net"}
    paths.model_facts("head").write_text(json.dumps(facts))
    with pytest.raises(OncovecError, match="unknown backbone 'no_such_net'"):
        systems.load_system(CheckoutParts("head", Path()), CPU)


def test_facts_hold_no_path_and_what_prediction_needs(checkout):
    facts = json.loads((Path(checkout) / "models/head/facts.json").read_text())
    assert set(systems.NEEDED) <= set(facts)
    assert str(checkout) not in json.dumps(facts)
    assert {"timm", "torch", "torchvision"} <= set(facts["versions"])


def test_an_input_too_small_for_the_backbone_is_refused_in_one_line():
    with pytest.raises(OncovecError, match="cannot take images of 16 px"):
        systems.build(tiny.config(backbone="densenet121"))
