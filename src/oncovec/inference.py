"""Inference: the network in evaluation mode over many images."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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


@torch.inference_mode()
def embed(
    network: Network,
    images: Images,
    rows: Sequence[int] | np.ndarray,
    batch_size: int,
    tta: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Embed images in fp32, without augmentation.

    Args:
        network: switched to evaluation mode for the time of the call.
        images: where they are read.
        rows: which ones.
        batch_size: images a step; on a CPU it does not change the result beyond the last bits.
        tta: mean over four mirrored views, normalised again; probabilities are averaged.
        advance: called with the number of images done after each step.

    Returns:
        Embeddings (N, D) float32 of length 1, and a classifier's probabilities (N, C) or None.
    """
    was_training = network.training
    network.eval()
    embeddings, probabilities = [], []
    for chunk in chunks(rows, batch_size):
        pixels = images.normalise(images.take(chunk))
        outputs = [network(turn(pixels)) for turn in (TURNS if tta else TURNS[:1])]
        mean = torch.stack([output.embedding for output in outputs]).mean(0)
        embeddings.append((F.normalize(mean, dim=1) if tta else mean).cpu())
        if outputs[0].logits is not None:
            views = [class_probabilities(output.logits) for output in outputs if output.logits is not None]
            probabilities.append(torch.stack(views).mean(0).cpu())
        advance(len(chunk))
    network.train(was_training)
    return (
        torch.cat(embeddings).numpy(),
        torch.cat(probabilities).numpy() if probabilities else None,
    )
