"""Inference: the network in evaluation mode over many images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oncovec import backbones
from oncovec.images import Images, chunks
from oncovec.network import Network
from oncovec.objectives import class_probabilities

TURNS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    lambda x: x.flip(3),
    lambda x: x.flip(2),
    lambda x: x.flip(2, 3),
)
"""Test-time augmentation: the image, its two mirror images and its half turn."""


class Embedded(NamedTuple):
    """What the network says of N images.

    Attributes:
        vectors: (N, D) float32, embeddings of length 1.
        probabilities: (N, C) of a classifier, else None.
        appearance: (N, A) float32, mean of each channel after an early layer (`backbones.early`): an
            embedding keeps what tells classes apart, this whether an image looks like a training image.
    """

    vectors: np.ndarray
    probabilities: np.ndarray | None
    appearance: np.ndarray


@torch.inference_mode()
def embed(
    network: Network,
    images: Images,
    rows: Sequence[int] | np.ndarray,
    batch_size: int,
    tta: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> Embedded:
    """Embed images in fp32, without augmentation.

    Args:
        network: switched to evaluation mode for the time of the call.
        images: where they are read.
        rows: which ones.
        batch_size: images a step; on a CPU it does not change the result beyond the last bits.
        tta: mean over four mirrored views, normalised again; probabilities are averaged.
        advance: called with the number of images done after each step.
    """
    was_training = network.training
    network.eval()
    embeddings, probabilities, appearance = [], [], []
    for chunk in chunks(rows, batch_size):
        pixels = images.normalise(images.take(chunk))
        with _channel_means(network) as means:
            outputs = [network(turn(pixels)) for turn in (TURNS if tta else TURNS[:1])]
        appearance.append(means[0].cpu())
        mean = torch.stack([output.embedding for output in outputs]).mean(0)
        embeddings.append((F.normalize(mean, dim=1) if tta else mean).cpu())
        if outputs[0].logits is not None:
            views = [class_probabilities(output.logits) for output in outputs if output.logits is not None]
            probabilities.append(torch.stack(views).mean(0).cpu())
        advance(len(chunk))
    network.train(was_training)
    return Embedded(
        torch.cat(embeddings).numpy(),
        torch.cat(probabilities).numpy() if probabilities else None,
        torch.cat(appearance).numpy(),
    )


@contextmanager
def _channel_means(network: Network) -> Iterator[list[Tensor]]:
    """Note the mean of each channel after the early layer, at each pass of the network."""
    found: list[Tensor] = []

    def note(_: torch.nn.Module, __: object, maps: Tensor) -> None:
        # Maps are square: (B, C, S, S), (B, S, S, C) or, of a transformer, (B, tokens, C).
        if maps.ndim > 2:
            last = maps.ndim == 4 and maps.shape[2] == maps.shape[3]
            maps = maps.mean((2, 3)) if last else maps.flatten(1, -2).mean(1)
        found.append(maps.float())

    handle = backbones.early(network.backbone).register_forward_hook(note)
    try:
        yield found
    finally:
        handle.remove()
