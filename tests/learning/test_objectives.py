from itertools import combinations, permutations

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F

from oncovec.learning.network import Output
from oncovec.learning.objectives import class_probabilities

MARGINS = [0.1, 0.2, 0.5, 1.5]
MININGS = ("all", "semihard", "hard")
METRIC = [(name, mining) for name in ("triplet", "contrastive") for mining in MININGS]


def embeddings(count=14, dimension=3, seed=0):
    points = torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))
    return F.normalize(points, dim=1).requires_grad_()


def labels_of(count=14, classes=3):
    return torch.arange(count) % classes


def loss(name, points, labels, margin=0.2, mining="all"):
    return tiny.objective(name, margin=margin, mining=mining)(Output(points, None), labels)


def logits_loss(name, logits, labels):
    return tiny.objective(name)(Output(torch.zeros(len(labels), 2), logits), labels)


def distances(points):
    points = points.detach().double().numpy()
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def triplets(labels):
    """Every (anchor, positive, negative)."""
    labels = labels.tolist()
    pairs = [(a, p) for a, p in permutations(range(len(labels)), 2) if labels[a] == labels[p]]
    return [(a, p, n) for a, p in pairs for n in range(len(labels)) if labels[n] != labels[a]]


def counted(mining, violation, margin):
    """Whether a triplet counts; its violation is d(a, p) - d(a, n)."""
    if mining == "hard":
        return violation > 0
    if mining == "semihard":
        return -margin < violation <= 0
    return violation > -margin


def mean(values):
    return float(np.mean(values)) if values else 0.0


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
def test_triplet_is_the_mean_over_an_explicit_loop_with_one_margin_for_loss_and_miner(mining, margin):
    points, labels = embeddings(), labels_of()
    d = distances(points)
    violations = [d[a, p] - d[a, n] for a, p, n in triplets(labels)]
    expected = mean([v + margin for v in violations if counted(mining, v, margin)])
    assert loss("triplet", points, labels, margin, mining).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("margin", MARGINS)
def test_triplet_is_that_of_torch_averaged_over_the_active_triplets(margin):
    points, labels = embeddings(), labels_of()
    a, p, n = (list(column) for column in zip(*triplets(labels), strict=True))
    reference = torch.nn.TripletMarginLoss(margin, eps=0, reduction="none")(points[a], points[p], points[n])
    expected = reference[reference > 0].mean()
    assert torch.allclose(loss("triplet", points, labels, margin), expected, atol=1e-5)


@pytest.mark.parametrize("margin", MARGINS)
def test_contrastive_is_the_mean_over_an_explicit_loop_of_pairs(margin):
    points, labels = embeddings(), labels_of()
    d = distances(points)
    positive, negative = [], []
    for i, j in combinations(range(len(labels)), 2):
        (positive if labels[i] == labels[j] else negative).append(d[i, j])
    near = [margin - distance for distance in negative if distance < margin]
    expected = mean(positive) + mean(near)
    assert loss("contrastive", points, labels, margin).item() == pytest.approx(expected, abs=1e-5)


def ideal():
    """Each class in a point of its own, sqrt(2) from the others."""
    labels = labels_of()
    return torch.eye(3)[labels].requires_grad_(), labels


@pytest.mark.parametrize(("name", "mining"), METRIC)
def test_ideal_embeddings_give_a_zero_that_has_a_gradient(name, mining):
    points, labels = ideal()
    value = loss(name, points, labels, 0.5, mining)
    assert value.item() == pytest.approx(0, abs=1e-3)
    value.backward()
    assert points.grad.isfinite().all()


@pytest.mark.parametrize("name", ["triplet", "contrastive"])
@pytest.mark.parametrize("margin", MARGINS)
def test_collapsed_embeddings_give_the_margin(name, margin):
    points, labels = torch.eye(1, 4).repeat(14, 1).requires_grad_(), labels_of()
    assert loss(name, points, labels, margin).item() == pytest.approx(margin, abs=1e-3)


@pytest.mark.parametrize(("name", "mining"), METRIC)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_batch_of_one_class_is_finite(name, mining, count):
    points = embeddings(count)
    value = loss(name, points, torch.zeros(count, dtype=torch.long), 0.2, mining)
    value.backward()
    assert value.isfinite()
    assert points.grad.isfinite().all()


@pytest.mark.parametrize(("name", "mining"), METRIC)
def test_a_batch_without_two_of_a_class_is_finite(name, mining):
    points = embeddings(5)
    value = loss(name, points, torch.arange(5), 0.2, mining)
    value.backward()
    assert value.isfinite()
    assert points.grad.isfinite().all()


@pytest.mark.parametrize(("name", "mining"), METRIC)
def test_the_order_of_a_batch_does_not_matter(name, mining):
    points, labels = embeddings(), labels_of()
    order = torch.randperm(14, generator=torch.Generator().manual_seed(1))
    first, second = (
        loss(name, points, labels, 0.4, mining),
        loss(name, points[order], labels[order], 0.4, mining),
    )
    assert torch.allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("name", ["triplet", "contrastive"])
def test_a_step_against_the_gradient_lowers_the_loss(name):
    points, labels = embeddings(), labels_of()
    before = loss(name, points, labels, 0.5)
    before.backward()
    after = loss(name, points.detach() - 0.01 * points.grad, labels, 0.5)
    assert after < before


def test_cross_entropy_is_the_mean_of_minus_log_softmax():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels = labels_of(6)
    expected = -torch.log(logits.double().exp() / logits.double().exp().sum(1, keepdim=True))
    expected = expected[torch.arange(6), labels].mean().float()
    assert torch.allclose(logits_loss("cross_entropy", logits, labels), expected)
    assert torch.equal(
        logits_loss("cross_entropy", logits, labels), torch.nn.CrossEntropyLoss()(logits, labels)
    )


def test_binary_cross_entropy_speaks_for_the_second_class():
    logits = torch.randn(6, 1, generator=torch.Generator().manual_seed(0))
    labels = labels_of(6, 2)
    reference = torch.nn.BCELoss()(torch.sigmoid(logits[:, 0]), labels.float())
    assert torch.allclose(logits_loss("binary_cross_entropy", logits, labels), reference)
    sure = torch.where(labels == 1, 20.0, -20.0)[:, None]
    assert logits_loss("binary_cross_entropy", sure, labels) < 1e-6
    assert (class_probabilities(sure).argmax(1) == labels).all()


@pytest.mark.parametrize("width", [1, 2, 5])
def test_class_probabilities_sum_to_one(width):
    logits = 30 * torch.randn(50, width, generator=torch.Generator().manual_seed(0))
    found = class_probabilities(logits)
    assert found.shape == (50, max(width, 2))
    assert torch.allclose(found.sum(1), torch.ones(50))
    assert (found >= 0).all()


def test_one_sigmoid_output_is_a_softmax_of_itself_and_zero():
    logits = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    both = torch.cat([torch.zeros(50, 1), logits], dim=1)
    assert torch.allclose(class_probabilities(logits), class_probabilities(both), atol=1e-6)


def test_smoothing_spreads_a_share_of_the_target_over_all_classes():
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), labels_of(6)
    logs = F.log_softmax(logits, dim=1)
    expected = -(0.9 * logs[torch.arange(6), labels] + 0.1 * logs.mean(1)).mean()
    found = tiny.objective("cross_entropy", label_smoothing=0.1)(Output(torch.zeros(6, 2), logits), labels)
    assert torch.allclose(found, expected)


def test_arcface_is_the_cross_entropy_plus_that_of_cosines_whose_own_angle_is_made_wider():
    torch.manual_seed(0)  # the vectors of the classes are drawn at random
    points, labels, logits = embeddings(dimension=5), labels_of(), torch.randn(14, 3)
    objective = tiny.objective("arcface", 5, label_smoothing=0.1, classes=("a", "b", "c"))
    (vectors,) = objective.parameters()
    angles = torch.arccos(points.detach() @ F.normalize(vectors, dim=0).detach())
    wider = angles + np.radians(28.6) * F.one_hot(labels, 3)
    assert wider.max() < np.pi, "beyond that the library goes on in another way"
    expected = F.cross_entropy(16 * wider.cos(), labels) + F.cross_entropy(
        logits, labels, label_smoothing=0.1
    )
    found = objective(Output(points, logits), labels)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    assert points.grad.abs().max() > 0
    assert vectors.grad.abs().max() > 0


def test_arcface_is_computed_in_fp32_also_where_layers_are_in_bf16():
    torch.manual_seed(0)
    points, labels, logits = embeddings(dimension=5), labels_of(), torch.randn(14, 3)
    objective = tiny.objective("arcface", 5, classes=("a", "b", "c"))
    expected = objective(Output(points, logits), labels)
    with torch.autocast("cpu", torch.bfloat16):
        assert objective(Output(points, logits), labels).item() == expected.item()
