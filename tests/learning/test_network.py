import copy

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import nn

from oncovec.learning.network import Network, sharing, trainable

METRIC = {"outputs": 5, "classifies": False}
CLASSIFIER = {"outputs": 3, "classifies": True}


def backbone():
    """Convolution and BatchNorm: parameters and buffers to be frozen, from (B, 3, 8, 8) to (B, 4)."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def build(hidden=(6,), seed=0, frozen=False, **options):
    torch.manual_seed(seed)
    network = Network(backbone(), 4, hidden, **(METRIC | options))
    if frozen:
        network.freeze()
    return network


def batch(count=8, seed=1):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def step(network):
    """One step of training in which every trained parameter has a gradient."""
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.1)
    output = network.train()(batch())
    loss = output.embedding[:, 0].sum() + (0 if output.logits is None else output.logits.square().sum())
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize("options", [METRIC, CLASSIFIER])
@pytest.mark.parametrize("hidden", [(6,), (7, 6)])
def test_embeddings_have_length_one(options, hidden):
    embedding = build(hidden, **options).eval()(batch()).embedding
    assert torch.allclose(embedding.norm(dim=1), torch.ones(8), atol=1e-6)


def test_a_metric_learning_system_embeds_by_its_output_layer_and_has_no_logits():
    network = build().eval()
    output = network(batch())
    hidden = F.relu(network.hidden[0](network.backbone(batch())))
    assert torch.allclose(output.embedding, F.normalize(network.output(hidden)), atol=1e-6)
    assert output.logits is None
    assert network.embedding_dim == 5


def test_a_classifier_embeds_by_its_last_hidden_layer():
    network = build(**CLASSIFIER).eval()
    output = network(batch())
    hidden = F.relu(network.hidden[0](network.backbone(batch())))
    assert torch.allclose(output.embedding, F.normalize(hidden), atol=1e-6)
    assert torch.allclose(output.logits, network.output(hidden), atol=1e-6)
    assert network.embedding_dim == 6


def test_a_metric_learning_system_needs_no_hidden_layer():
    assert build(()).eval()(batch()).embedding.shape == (8, 5)


def test_a_hidden_layer_of_zeros_gives_finite_outputs_and_gradients():
    network = build(**CLASSIFIER)
    nn.init.zeros_(network.hidden[0].weight)
    nn.init.zeros_(network.hidden[0].bias)
    output = network(batch())
    (output.embedding.sum() + output.logits.sum()).backward()
    assert output.embedding.isfinite().all()
    assert output.logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_without_dropout_and_batchnorm_both_modes_embed_alike():
    network, _ = tiny.network()
    images = torch.rand(4, 3, tiny.SIZE, tiny.SIZE)
    assert torch.equal(network.train()(images).embedding, network.eval()(images).embedding)


def test_dropout_acts_in_training_alone():
    network = build(**CLASSIFIER, dropout=0.5, input_dropout=0.5, frozen=True)
    first, second = network.train()(batch()), network(batch())
    assert not torch.equal(first.logits, second.logits)
    first, second = network.eval()(batch()), network(batch())
    assert torch.equal(first.logits, second.logits)


@pytest.mark.parametrize("options", [METRIC, CLASSIFIER])
def test_outputs_under_bf16_are_fp32_and_near_those_of_fp32(options):
    network = build(**options).eval()
    exact = network(batch())
    with torch.autocast("cpu", torch.bfloat16):
        output = network(batch())
    assert output.embedding.dtype == torch.float32
    assert torch.allclose(output.embedding, exact.embedding, atol=0.05)
    assert torch.allclose(output.embedding.norm(dim=1), torch.ones(8), atol=1e-6)
    if output.logits is not None:
        assert output.logits.dtype == torch.float32


def test_training_mode_leaves_a_frozen_backbone_in_evaluation_mode():
    network = build(frozen=True).train()
    assert network.training
    assert network.dropout.training
    assert not any(module.training for module in network.backbone.modules())
    assert all(module.training for module in build().train().modules())


def test_a_step_changes_nothing_of_a_frozen_backbone_and_all_of_the_head():
    network = build(**CLASSIFIER, frozen=True)
    before = copy.deepcopy(network.state_dict())
    step(network)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("backbone."), key


def test_a_step_changes_parameters_and_statistics_of_a_backbone_that_is_not_frozen():
    network = build(**CLASSIFIER)
    before = copy.deepcopy(network.state_dict())
    step(network)
    for key in ("backbone.0.weight", "backbone.1.running_mean", "backbone.1.num_batches_tracked"):
        assert not torch.equal(network.state_dict()[key], before[key]), key


def test_trainable_counts_what_has_gradients():
    everything, head = (4 * 27 + 4 + 8) + (4 * 6 + 6) + (6 * 5 + 5), (4 * 6 + 6) + (6 * 5 + 5)
    assert trainable(build()) == everything
    assert trainable(build(frozen=True)) == head


def test_a_sharing_copy_has_the_same_tensors_and_hooks_of_its_own():
    network, _ = tiny.network()
    copy, calls = sharing(network), []
    copy.backbone.register_forward_hook(lambda *_: calls.append("copy"))
    pairs = zip(network.state_dict(keep_vars=True).items(), copy.state_dict().items(), strict=True)
    assert all(ours.data_ptr() == theirs.data_ptr() for (_, ours), (_, theirs) in pairs)
    images = torch.rand(2, 3, tiny.SIZE, tiny.SIZE)
    expected = network.eval()(images)
    assert not calls
    assert torch.equal(copy.eval()(images).embedding, expected.embedding)
    assert calls == ["copy"]
