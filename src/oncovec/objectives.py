"""Objectives: what training minimises, as a function of the network's output and the labels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from oncovec.network import Output
from oncovec.params import MARGIN_OBJECTIVES

Objective = Callable[[Output, Tensor], Tensor]

TEMPERATURE = 0.1
"""Of the supervised contrastive loss, as its authors found best."""


FOCUS = 2.0
"""Exponent of the focal loss, as its authors found best."""


def build(
    name: str,
    margin: float | None = None,
    mining: str | None = None,
    smoothing: float = 0.0,
    weights: Tensor | None = None,
    shape: tuple[int, int] | None = None,
) -> Objective:
    """Build an objective.

    - `triplet`: mean over the triplets that violate max(0, d(a, p) - d(a, n) + margin) (Schroff et
      al. 2015, FaceNet, eq. 2), with Euclidean distances; the margin is a difference of distances.
    - `contrastive`: mean over positive pairs of d plus mean over negative pairs nearer than the
      margin of (margin - d) (after Hadsell et al. 2006, eq. 4, not squared); the margin is a distance.
    - `cross_entropy`: softmax cross-entropy.
    - `binary_cross_entropy`: of one sigmoid output, which speaks for the second class.
    - `focal`: softmax cross-entropy, each image weighted by (1 - p)^2 of its own class's probability (Lin
      et al. 2017, eq. 4).
    - Softmax cross-entropy of the logits plus a loss of the embeddings, `supcon`: supervised contrastive
      (Khosla et al. 2020, eq. 2, temperature `TEMPERATURE`), `multi_similarity` (Wang et al. 2019),
      `proxy_anchor` (Kim et al. 2020) or `arcface` (Deng et al. 2019); the last two learn a vector a class.

    Args:
        name: as above.
        margin: of triplet and contrastive; distances of normalised embeddings lie in 0..2.
        mining: which triplets of a batch count: `all`, `semihard` (the negative is farther than the
            positive, within the margin) or `hard` (it is nearer). The same margin serves the miner.
        smoothing: of the labels, of softmax cross-entropy; share of the target spread over all classes.
        weights: (C,) of the classes, of softmax cross-entropy.
        shape: number of classes and length of the embedding, for losses that learn a vector a class.

    Returns:
        A function of the network's output and labels (B,) to a scalar. A batch without any active
        triplet or pair gives a zero that has a gradient.
    """
    if name == "binary_cross_entropy":
        return lambda output, labels: F.binary_cross_entropy_with_logits(
            _logits(output)[:, 0], labels.float()
        )
    if name in MARGIN_OBJECTIVES:
        return _metric_learning(name, margin, mining)
    if name == "focal":
        return _focal
    return Joint(name, smoothing, weights, shape)


class Joint(torch.nn.Module):
    """Softmax cross-entropy, plus a loss of the embeddings where one is named."""

    def __init__(
        self, name: str, smoothing: float, weights: Tensor | None, shape: tuple[int, int] | None
    ) -> None:
        super().__init__()
        self.smoothing, self.weights = smoothing, weights
        self.of_embeddings = None if name == "cross_entropy" else _of_embeddings(name, shape)

    def forward(self, output: Output, labels: Tensor) -> Tensor:
        """Compute the loss of a batch."""
        value = F.cross_entropy(_logits(output), labels, self.weights, label_smoothing=self.smoothing)
        if self.of_embeddings is not None:
            value = value + self.of_embeddings(output.embedding, labels)
        return value


def _of_embeddings(name: str, shape: tuple[int, int] | None) -> torch.nn.Module:
    from pytorch_metric_learning import losses

    if name == "supcon":
        return losses.SupConLoss(temperature=TEMPERATURE)  # type: ignore[no-any-return]
    if name == "multi_similarity":
        return losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5)  # type: ignore[no-any-return]
    assert shape is not None
    if name == "proxy_anchor":
        return losses.ProxyAnchorLoss(*shape, margin=0.1, alpha=32)  # type: ignore[no-any-return]
    return losses.ArcFaceLoss(*shape, margin=28.6, scale=16)  # type: ignore[no-any-return]


def _focal(output: Output, labels: Tensor) -> Tensor:
    own = F.log_softmax(_logits(output), dim=1).gather(1, labels[:, None])[:, 0]
    return -((1 - own.exp()) ** FOCUS * own).mean()


def _logits(output: Output) -> Tensor:
    assert output.logits is not None, "a classifier's objective was given a metric-learning system"
    return output.logits


def _metric_learning(name: str, margin: float | None, mining: str | None) -> Objective:
    # Imported here, since it takes a second that classifiers need not wait for.
    from pytorch_metric_learning import distances, losses, miners

    distance = distances.LpDistance(normalize_embeddings=False, p=2)
    loss = {
        "triplet": lambda: losses.TripletMarginLoss(margin=margin, distance=distance),
        "contrastive": lambda: losses.ContrastiveLoss(pos_margin=0.0, neg_margin=margin, distance=distance),
    }[name]()
    miner = None
    if mining == "distance_weighted":
        # It insists on normalising what is normalised already.
        miner = miners.DistanceWeightedMiner(distance=distances.LpDistance(p=2))
    elif mining != "all":
        miner = miners.TripletMarginMiner(margin=margin, type_of_triplets=mining, distance=distance)

    def objective(output: Output, labels: Tensor) -> Tensor:
        mined = miner(output.embedding, labels) if miner else None
        value: Tensor = loss(output.embedding, labels, mined)
        return value

    return objective


def class_probabilities(logits: Tensor) -> Tensor:
    """Probabilities (B, C) from logits (B, C), or (B, 2) from one sigmoid output (B, 1)."""
    if logits.shape[1] == 1:
        positive = torch.sigmoid(logits)
        return torch.cat([1 - positive, positive], dim=1)
    return torch.softmax(logits, dim=1)
