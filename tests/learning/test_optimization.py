import math

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from oncovec.learning.optimization import WARM_UP, AdamW, average, optimizer, schedule


def rates(name, steps, lr=0.5):
    """The rate of every step of a training."""
    made = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    found, plan = [], schedule(made, name, steps)
    for _ in range(steps):
        found.append(made.param_groups[0]["lr"])
        made.step()
        plan.step()
    return found


def test_backbone_and_head_have_their_own_rates_and_every_weight_is_in_one_group():
    network, _ = tiny.network(lr=0.01, backbone_lr=0.002)
    groups = optimizer(network, tiny.config(lr=0.01, backbone_lr=0.002)).param_groups
    rate_of = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    for name, weight in network.named_parameters():
        assert rate_of[id(weight)] == (0.002 if name.startswith("backbone.") else 0.01)


def test_a_frozen_backbone_is_not_optimised():
    network, _ = tiny.network()
    network.backbone.requires_grad_(False)
    (group,) = optimizer(network, tiny.config()).param_groups
    assert all(weight.requires_grad for weight in group["params"])


def test_weight_decay_shrinks_weights_that_have_no_gradient():
    network, _ = tiny.network()
    made = optimizer(network, tiny.config(lr=0.1, backbone_lr=0.1, weight_decay=0.5))
    before = [weight.detach().clone() for weight in network.parameters()]
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    made.step()
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.allclose(new, old * 0.95)


def test_the_optimizer_moves_weights_as_torch_does_and_leaves_no_graph():
    moved = []
    for kind in (AdamW, torch.optim.AdamW):
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 5))
        made = kind([weight], lr=0.1, weight_decay=0.3)
        for _ in range(3):
            made.zero_grad()
            weight.square().sum().backward()
            made.step()
        moved.append(weight.detach().clone())
        assert weight.is_leaf and not made.state[weight]["exp_avg"].requires_grad
    assert torch.equal(*moved)


@given(st.integers(1, 300))
def test_a_constant_rate_stays(steps):
    assert rates("constant", steps) == [0.5] * steps


@given(st.integers(5, 300))
def test_the_cosine_rises_over_its_warm_up_then_falls_towards_0(steps):
    found = rates("cosine", steps)
    top = found.index(max(found))
    assert top == max(1, round(WARM_UP * steps)) and found[top] == 0.5
    assert found[: top + 1] == sorted(found[: top + 1]) and found[top:] == sorted(found[top:], reverse=True)
    assert 0 < found[0] < 0.5
    rest = steps - top
    expected = 0.25 * (1 + math.cos(math.pi * (rest - 1) / rest))
    assert found[-1] == pytest.approx(expected)


@pytest.mark.parametrize("steps", [5, 20])
def test_the_average_is_a_mean_and_then_an_exponential_moving_average_of_weights_and_statistics(steps):
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    kept = average(network, 0.9)
    seen = []
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        with torch.no_grad():
            network[0].weight.copy_(torch.randn(2, 2, generator=generator))
            network[1].running_mean.fill_(float(step))
        kept.update_parameters(network)
        seen.append((network[0].weight.detach().clone(), network[1].running_mean.clone()))
    # The mean of ten weights is the first that changes by a tenth.
    expected = [torch.stack(each[:10]).mean(0) for each in zip(*seen, strict=True)]
    for now in seen[10:]:
        expected = [0.9 * old + 0.1 * new for old, new in zip(expected, now, strict=True)]
    assert torch.allclose(kept.module[0].weight, expected[0])
    assert torch.allclose(kept.module[1].running_mean, expected[1])


def test_without_a_decay_there_is_no_average():
    assert average(torch.nn.Linear(1, 1), 0.0) is None
