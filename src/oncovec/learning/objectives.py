"""Objectives: what training minimises, as a function of the network's output and the labels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from oncovec.core.recipes import Recipe
from oncovec.learning.network import Output

Objective = Callable[[Output, Tensor], Tensor]

SCALE = 16.0
"""Of ArcFace: its authors' scale of 64 is for thousands of classes."""


def build(recipe: Recipe, embedding_dim: int) -> Objective:
    """Build an objective.

    - `triplet`: mean over the triplets that violate max(0, d(a, p) - d(a, n) + margin) (Schroff et
      al. 2015, FaceNet, eq. 2), with Euclidean distances; the margin is a difference of distances.
    - `contrastive`: mean over positive pairs of d plus mean over negative pairs nearer than the
      margin of (margin - d) (after Hadsell et al. 2006, eq. 4, not squared); the margin is a distance.
    - `cross_entropy`: softmax cross-entropy.
    - `binary_cross_entropy`: of one sigmoid output, which speaks for the second class.
    - `arcface`: softmax cross-entropy plus `ArcFace`.

    `mining` says which triplets of a batch count: `all`, `semihard` (the negative is farther than the
    positive, within the margin) or `hard` (it is nearer); the same margin serves the miner.
    `label_smoothing` is the share of the target that is spread over all classes.

    Args:
        recipe: objective, margin, mining, label_smoothing, arcface_margin and classes are read.
        embedding_dim: length of the embedding.

    Returns:
        A function of the network's output and labels (B,) to a scalar. A batch without any active
        triplet or pair gives a zero that has a gradient.
    """
    smoothing = recipe.label_smoothing
    if recipe.objective == "cross_entropy":
        return lambda output, labels: F.cross_entropy(_logits(output), labels, label_smoothing=smoothing)
    if recipe.objective == "arcface":
        return ArcFace((len(recipe.classes), embedding_dim), smoothing, recipe.arcface_margin)
    if recipe.objective == "binary_cross_entropy":
        return lambda output, labels: F.binary_cross_entropy_with_logits(
            _logits(output)[:, 0], labels.float()
        )
    return _metric_learning(recipe.objective, recipe.margin, recipe.mining)


class ArcFace(torch.nn.Module):
    """Softmax cross-entropy of the logits plus ArcFace of the embeddings (Deng et al. 2019, eq. 3).

    ArcFace learns a vector a class: embeddings are drawn to their own class's, and have to be nearer to it
    than to others by an angle. The distances that KNN goes by are trained, where the logits alone also use
    the length that an embedding had before it was normalised.

    Args:
        shape: number of classes and length of the embedding.
        smoothing: of the labels, of the cross-entropy.
        margin: that angle, degrees; its authors' is 0.5 rad, 28.6 degrees.
    """

    def __init__(self, shape: tuple[int, int], smoothing: float, margin: float) -> None:
        from pytorch_metric_learning import losses

        super().__init__()
        self.smoothing = smoothing
        self.of_embeddings = losses.ArcFaceLoss(*shape, margin=margin, scale=SCALE)

    def forward(self, output: Output, labels: Tensor) -> Tensor:
        """Compute the loss of a batch."""
        value = F.cross_entropy(_logits(output), labels, label_smoothing=self.smoothing)
        return value + self.of_embeddings(output.embedding, labels)  # type: ignore[no-any-return]


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
    if mining != "all":
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
