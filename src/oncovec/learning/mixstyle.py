"""MixStyle: training mixes the style of images, which differs between hospitals, and keeps their content.

Zhou et al., "Domain Generalization with MixStyle", ICLR 2021. The style of an image is the mean and the
standard deviation of each channel of an early feature map. They carry contrast, brightness, sharpness and
other traits of a machine. Each image of a batch gets a random mixture of its own style and that of another
image of the batch, so a network cannot rely on style to tell classes apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from oncovec.core.errors import OncovecError
from oncovec.learning import backbones
from oncovec.learning.network import Network

CONCENTRATION = 0.1
"""Parameter of the Beta distribution of the mixture, as published: most draws are near 0 or 1."""

LEAST = 1e-6
"""Added to variances, so that constant channels divide nothing by 0."""


@contextmanager
def mixing(network: Network, probability: float) -> Iterator[None]:
    """Mix styles behind the early layers of a backbone in training mode.

    Args:
        network: the network to train.
        probability: share of batches that are mixed at each of these layers; 0 changes nothing.

    Raises:
        OncovecError: at the first batch, if the layers give no maps (B, C, H, W), as those of transformers.
    """
    draw = torch.distributions.Beta(CONCENTRATION, CONCENTRATION)

    def mix(layer: nn.Module, _: Any, maps: Tensor) -> Tensor:
        if not layer.training or torch.rand(()) >= probability:
            return maps
        if maps.ndim != 4:
            raise OncovecError("mixstyle is for convolutional backbones; set it to 0 for this one")
        return mixed(maps, torch.randperm(len(maps)), draw.sample((len(maps), 1, 1, 1)))  # type: ignore[no-untyped-call]

    layers = backbones.style_layers(network.backbone) if probability else []
    handles = [layer.register_forward_hook(mix) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def mixed(maps: Tensor, order: Tensor, share: Tensor) -> Tensor:
    """Give each image a mixture of its own style and that of another.

    Args:
        maps: (B, C, H, W).
        order: (B,) the other image of each.
        share: (B, 1, 1, 1) share of the own style, in [0, 1].
    """
    # The style is a constant for the gradient, as in the paper.
    mean = maps.mean((2, 3), keepdim=True).detach()
    spread = (maps.var((2, 3), keepdim=True) + LEAST).sqrt().detach()
    share = share.to(maps)
    new_mean = share * mean + (1 - share) * mean[order]
    new_spread = share * spread + (1 - share) * spread[order]
    return (maps - mean) / spread * new_spread + new_mean
