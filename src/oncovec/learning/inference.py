"""Inference: the network in evaluation mode over many images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oncovec.data.embeddings import Embedded
from oncovec.learning import backbones
from oncovec.learning.images import Images, chunks
from oncovec.learning.network import Network
from oncovec.learning.objectives import class_probabilities

TURNS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    lambda x: x.flip(3),
    lambda x: x.flip(2),
    lambda x: x.flip(2, 3),
)
"""Test-time augmentation: the image, its two mirror images and its half turn."""

SHADES = 64
"""Numbers that are kept of each layer's channel means."""

_ONE_AT_A_TIME = Lock()
"""Held while a network listens to its own layers: what two threads ask of it must not mix."""


@torch.inference_mode()
def embed(
    network: Network,
    images: Images,
    rows: Sequence[int] | np.ndarray,
    batch_size: int,
    tta: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> Embedded:
    """Embed images in fp32, without augmentation; several threads may ask one network at once.

    Args:
        network: in evaluation mode, into which it is switched for the time of the call if it is in training.
        images: where they are read.
        rows: which ones.
        batch_size: images a step; on a CPU it does not change the result beyond the last bits.
        tta: mean over four mirrored views, normalised again; probabilities are averaged.
        advance: called with the number of images done after each step.

    Returns:
        Embeddings, probabilities and ood_features: of each of `backbones.content_layers` the means of its
        channels, projected to `SHADES` numbers.
    """
    if was_training := network.training:
        network.eval()
    embeddings, probabilities, ood_features = [], [], []
    for chunk in chunks(rows, batch_size):
        pixels = images.normalise(images.take(chunk))
        with _ONE_AT_A_TIME, _channel_means(network) as means:
            outputs = [network(turn(pixels)) for turn in (TURNS if tta else TURNS[:1])]
        # The first view: the image as it is.
        ood_features.append(torch.cat([each[0].cpu() @ _projection(each[0].shape[1]) for each in means], 1))
        mean = torch.stack([output.embedding for output in outputs]).mean(0)
        embeddings.append((F.normalize(mean, dim=1) if tta else mean).cpu())
        if outputs[0].logits is not None:
            views = [class_probabilities(output.logits) for output in outputs if output.logits is not None]
            probabilities.append(torch.stack(views).mean(0).cpu())
        advance(len(chunk))
    if was_training:
        network.train()
    return Embedded(
        torch.cat(embeddings).numpy(),
        torch.cat(probabilities).numpy() if probabilities else None,
        torch.cat(ood_features).numpy(),
    )


def appearance_width(network: Network) -> int:
    """Numbers that tell what an image looks like to a network."""
    return SHADES * len(backbones.content_layers(network.backbone))


@contextmanager
def _channel_means(network: Network) -> Iterator[list[list[Tensor]]]:
    """Note the mean of each channel at each pass of the network, in a list for each of its content layers."""
    layers = backbones.content_layers(network.backbone)
    found: list[list[Tensor]] = [[] for _ in layers]

    def note(number: int, maps: Tensor) -> None:
        # Maps are square: (B, C, S, S), (B, S, S, C) or, of a transformer, (B, tokens, C).
        if maps.ndim > 2:
            last = maps.ndim == 4 and maps.shape[2] == maps.shape[3]
            maps = maps.mean((2, 3)) if last else maps.flatten(1, -2).mean(1)
        found[number].append(maps.float())

    handles = [
        layer.register_forward_hook(lambda _, __, maps, number=number: note(number, maps))
        for number, layer in enumerate(layers)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@cache
def _projection(channels: int) -> Tensor:
    """Return the (channels, SHADES) matrix of random signs, which keeps distances (Achlioptas, PODS 2001).

    It must be the same wherever a model is used, and of NumPy's streams only RandomState's never change.
    """
    signs = np.random.RandomState(0).randint(0, 2, (channels, SHADES)) * 2 - 1
    return torch.tensor(signs / SHADES**0.5, dtype=torch.float32)
