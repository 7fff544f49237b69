"""The network of a system: backbone, dense head, and the L2-normalised embedding for KNN."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class Output(NamedTuple):
    """Outputs of a network for a batch of B images.

    Attributes:
        embedding: (B, D), rows of length 1.
        logits: (B, C), or (B, 1) for one sigmoid output; None for a metric-learning system.
    """

    embedding: Tensor
    logits: Tensor | None


class Network(nn.Module):
    """Backbone and head.

    The head consists of dropout, a dense layer with ReLU for each width in `hidden`, dropout, and one output
    layer. The output layer of a classifier gives logits; its embedding is the last hidden layer. The output
    layer of a metric-learning system gives the embedding. Embeddings are normalised here and only here, so
    that training, KNN and prediction see the same vectors.

    Args:
        backbone: maps (B, 3, S, S) to (B, features).
        features: number of features of the backbone.
        hidden: widths of the hidden dense layers.
        outputs: width of the output layer.
        classifies: whether the outputs are logits rather than the embedding.
        input_dropout, dropout: dropout probabilities before the first layer, and after each hidden layer.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        hidden: Sequence[int],
        outputs: int,
        classifies: bool,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.backbone = backbone
        self.classifies = classifies
        self.input_dropout = nn.Dropout(input_dropout)
        widths = [features, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(widths[-1], outputs)
        self.embedding_dim = widths[-1] if classifies else outputs
        self.frozen = False

    def freeze(self) -> None:
        """Freeze the backbone: it gets no gradients, and its BatchNorm statistics do not change."""
        self.frozen = True
        self.backbone.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "Network":
        """Switch the mode; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Output:
        """Embed normalised images (B, 3, S, S)."""
        features = self.input_dropout(self.backbone(images))
        for layer in self.hidden:
            last = F.relu(layer(features))
            features = self.dropout(last)
        output = self.output(features)
        # Under bf16 the layers return bf16; distances and losses are computed in fp32.
        if self.classifies:
            return Output(F.normalize(last.float(), dim=1), output.float())
        return Output(F.normalize(output.float(), dim=1), None)


def sharing(network: Network) -> Network:
    """Return a copy with the same weights in memory, and with hooks of its own.

    Two threads may run the network and its copy at once, each with what its hooks record.
    """
    tensors = (*network.parameters(), *network.buffers())
    return deepcopy(network, {id(tensor): tensor for tensor in tensors})


def trainable(module: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
