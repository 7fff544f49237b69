"""Objectives: the losses that training minimises, as functions of the network's output and the labels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from oncovec.learning.config import TrainingConfig
from oncovec.learning.network import Output

Objective = Callable[[Output, Tensor], Tensor]

SCALE = 16.0
"""Scale of the ArcFace logits. The authors' scale of 64 is for thousands of classes."""


def build(config: TrainingConfig, embedding_dim: int) -> Objective:
    """Build an objective.

    - `triplet`: max(0, d(a, p) - d(a, n) + margin) (Schroff et al. 2015, FaceNet, eq. 2) with Euclidean
      distances, averaged over the triplets with a positive loss. The margin is a difference of distances.
    - `contrastive`: the mean of d over positive pairs, plus the mean of (margin - d) over negative pairs
      nearer than the margin (after Hadsell et al. 2006, eq. 4, not squared). The margin is a distance.
    - `cross_entropy`: softmax cross-entropy.
    - `binary_cross_entropy`: cross-entropy of one sigmoid output, the probability of the second class.
    - `arcface`: softmax cross-entropy plus `ArcFace`.

    `mining` selects the triplets of a batch, and for `contrastive` the pairs of these triplets: `all`,
    `semihard` (the negative is farther than the positive, within the margin) or `hard` (the negative is
    nearer than the positive). The miner uses the same margin. `label_smoothing` is the share of the target
    that is spread over all classes.

    Args:
        config: objective, margin, mining, label_smoothing, arcface_margin and classes are read.
        embedding_dim: length of the embedding.

    Returns:
        A function that maps the network's output and labels (B,) to a scalar. For a batch without an active
        triplet or pair, the scalar is 0 and has a gradient.
    """
    smoothing = config.label_smoothing
    if config.objective == "cross_entropy":
        return lambda output, labels: F.cross_entropy(_logits(output), labels, label_smoothing=smoothing)
    if config.objective == "arcface":
        return ArcFace((len(config.classes), embedding_dim), smoothing, config.arcface_margin)
    if config.objective == "binary_cross_entropy":
        return lambda output, labels: F.binary_cross_entropy_with_logits(
            _logits(output)[:, 0], labels.float()
        )
    return _metric_learning(config.objective, config.margin, config.mining)


class ArcFace(torch.nn.Module):
    """Softmax cross-entropy of the logits plus ArcFace of the embeddings (Deng et al. 2019, eq. 3).

    ArcFace learns one vector per class. It pulls each embedding towards the vector of its class, and requires
    that this vector is nearer than the others by an angular margin. This trains the distances that KNN uses.
    The logits alone also depend on the length of an embedding before normalisation.

    Args:
        shape: number of classes and length of the embedding.
        smoothing: label smoothing of the cross-entropy.
        margin: the angular margin in degrees; the authors use 0.5 rad, 28.6 degrees.
    """

    def __init__(self, shape: tuple[int, int], smoothing: float, margin: float) -> None:
        from pytorch_metric_learning import losses

        super().__init__()
        self.smoothing = smoothing
        self.of_embeddings = losses.ArcFaceLoss(*shape, margin=margin, scale=SCALE)

    def forward(self, output: Output, labels: Tensor) -> Tensor:
        """Compute the loss of a batch, in fp32: Accelerate would compute its cosines in bf16."""
        with torch.autocast(output.embedding.device.type, enabled=False):
            value = F.cross_entropy(_logits(output), labels, label_smoothing=self.smoothing)
            return value + self.of_embeddings(output.embedding, labels)  # type: ignore[no-any-return]


def _logits(output: Output) -> Tensor:
    assert output.logits is not None, "a classifier's objective was given a metric-learning system"
    return output.logits


def _metric_learning(name: str, margin: float | None, mining: str | None) -> Objective:
    # Imported here because the import takes 1 s and classifiers do not need it.
    from pytorch_metric_learning import distances, losses, miners

    distance = distances.LpDistance(normalize_embeddings=False, p=2)
    loss = {
        "triplet": lambda: losses.TripletMarginLoss(margin=margin, distance=distance),
        "contrastive": lambda: losses.ContrastiveLoss(pos_margin=0.0, neg_margin=margin, distance=distance),
    }[name]()
    miner = None
    if mining != "all":
        miner = miners.TripletMarginMiner(margin=margin, type_of_triplets=mining, distance=distance)

    def objective(output: Output, labels: Tensor) -> Tensor:
        mined = miner(output.embedding, labels) if miner else None
        value: Tensor = loss(output.embedding, labels, mined)
        return value

    return objective


def class_probabilities(logits: Tensor) -> Tensor:
    """Compute probabilities (B, C) from logits (B, C), or (B, 2) from one sigmoid output (B, 1)."""
    if logits.shape[1] == 1:
        positive = torch.sigmoid(logits)
        return torch.cat([1 - positive, positive], dim=1)
    return torch.softmax(logits, dim=1)
