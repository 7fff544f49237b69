"""Inference: the network in evaluation mode over many images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from weakref import WeakKeyDictionary

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
"""Test-time augmentation: the image, its two mirror images and its rotation by 180 degrees."""

MOST_PER_LAYER = 256
"""Largest number of ood_features per layer; the channel means of a wider layer are projected to so many."""

_LOCKS: WeakKeyDictionary[Network, Lock] = WeakKeyDictionary()
_GUARD = Lock()


def one_at_a_time(network: Network) -> Lock:
    """Return the lock held while hooks record a network's layers, so that records of threads do not mix.

    A copy by `network.sharing` has a lock of its own.
    """
    with _GUARD:
        return _LOCKS.setdefault(network, Lock())


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

    Several threads may call this with one network at the same time.

    Args:
        network: the network; if it is in training mode, it is in evaluation mode during the call.
        images: source of the images.
        rows: row numbers of the images to embed.
        batch_size: images per step; on a CPU it changes the result in the last bits at most.
        tta: average the embeddings of the four views in `TURNS` and normalise again; average the
            probabilities.
        advance: called after each step with the number of images of the step.

    Returns:
        Embeddings, probabilities and ood_features. The latter are the channel means of each layer of
        `backbones.content_layers`, at most `MOST_PER_LAYER` numbers per layer.
    """
    if was_training := network.training:
        network.eval()
    embeddings, probabilities, ood_features = [], [], []
    for chunk in chunks(rows, batch_size):
        pixels = images.normalise(images.take(chunk))
        with one_at_a_time(network):
            with _channel_means(network) as means:
                outputs = [network(pixels)]
            outputs += [network(turn(pixels)) for turn in (TURNS[1:] if tta else ())]
        ood_features.append(torch.cat([_reduced(each[0].cpu()) for each in means], 1))
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


@torch.inference_mode()
def ood_features_width(network: Network, size: int) -> int:
    """Return the length of the ood_features of a network in evaluation mode, for images of `size` px."""
    device = next(network.parameters()).device
    with one_at_a_time(network), _channel_means(network) as means:
        network(torch.zeros(1, 3, size, size, device=device))
    return sum(min(each[0].shape[1], MOST_PER_LAYER) for each in means)


def _reduced(means: Tensor) -> Tensor:
    return means if means.shape[1] <= MOST_PER_LAYER else means @ _projection(means.shape[1])


@contextmanager
def _channel_means(network: Network) -> Iterator[list[list[Tensor]]]:
    """Record the channel means of each content layer at each pass: one list per layer."""
    layers = backbones.content_layers(network.backbone)
    found: list[list[Tensor]] = [[] for _ in layers]

    def note(number: int, maps: Tensor) -> None:
        # Maps are square: (B, C, S, S) or (B, S, S, C); a transformer's are (B, tokens, C).
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
    """Return a matrix (channels, MOST_PER_LAYER) of random signs.

    It preserves distances (Achlioptas, PODS 2001). The matrix must be the same wherever a model is used.
    Among NumPy's generators, only the streams of RandomState never change.
    """
    signs = np.random.RandomState(0).randint(0, 2, (channels, MOST_PER_LAYER)) * 2 - 1
    return torch.tensor(signs / MOST_PER_LAYER**0.5, dtype=torch.float32)
