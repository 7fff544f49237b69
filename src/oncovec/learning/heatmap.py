"""Heat maps: which places of an image make its embedding similar to the nearest images of its class.

A prediction is a vote of neighbours, for a classifier as for a metric-learning system. So the maps explain
similarity, not a logit. The value of a place is the sum over channels of activation times gradient (HiResCAM;
Draelos and Carin, arXiv:2011.08891). Grad-CAM averages the gradient over all places first. That is no loss if
a network pools its maps, but our own CNNs flatten them: there each place has weights of its own.
"""

from math import isqrt

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from oncovec.core.errors import OncovecError
from oncovec.learning.backbones import listed_layers
from oncovec.learning.images import Images, chunks
from oncovec.learning.inference import TURNS, one_at_a_time
from oncovec.learning.network import Network
from oncovec.metrics.classification import Floats, Ints
from oncovec.metrics.neighbours import nearest


class NoMapsError(OncovecError):
    """A backbone has no layer with maps."""


PLACES = 7
"""Least side of the maps that are shown, if a layer has such maps: 224 px at the usual stride of 32."""

BATCH = 8
"""Number of images whose maps are computed at once."""

COMPARED = 5
"""Number of gallery images of the class, and of the other classes, that an image is compared with."""


def directions(known: Floats, labels: Ints, queries: Floats, classes: Ints) -> NDArray[np.float32]:
    """Compute the direction in which each query gets more similar to its class, and less to the others.

    It is the mean of the `COMPARED` nearest embeddings of the class, minus the mean of as many of the others.

    Args:
        known: embeddings of the gallery (G, d).
        labels: their classes (G,).
        queries: embeddings (M, d).
        classes: the class to explain, of each query (M,).

    Returns:
        (M, d).
    """
    found = np.zeros(queries.shape, np.float32)
    for label in np.unique(classes):
        asked = classes == label
        for rows, sign in ((labels == label, 1), (labels != label, -1)):
            if rows.any():
                own = known[rows]
                _, near = nearest(own, queries[asked], min(COMPARED, len(own)))
                found[asked] += sign * own[near].mean(axis=1)
    return found


def heat_maps(
    network: Network, images: Images, directions: NDArray[np.float32], tta: bool = False
) -> NDArray[np.float32]:
    """Compute a heat map for each image.

    The maps are those of the deepest layer with at least `PLACES` places per side on which the embeddings
    depend, enlarged to the stored image. Equal input gives equal maps, on a CPU with the same number of
    threads. Several threads may call this with one network at the same time.

    Args:
        network: the network in evaluation mode.
        images: the N images.
        directions: what to explain (N, d): the similarity of the embedding to this vector, see `directions`.
        tta: whether the system averages the views in `TURNS`; then so does the map.

    Returns:
        float32 (N, H, W), the size of the stored images: 0 where a place does not raise the similarity, 1 at
        the place of each image that raises it most.

    Raises:
        NoMapsError: if the backbone has no layer with maps.
    """
    parts = [np.zeros((0, *images.array.shape[1:3]), np.float32)]
    for rows in chunks(np.arange(len(images)), BATCH):
        parts.append(_heat_maps(network, images, rows, directions[rows], tta))
    return np.concatenate(parts)


def _heat_maps(
    network: Network, images: Images, rows: Ints, directions: NDArray[np.float32], tta: bool
) -> NDArray[np.float32]:
    turns = TURNS if tta else TURNS[:1]
    pixels = images.normalise(images.take(rows))
    towards = torch.from_numpy(directions).to(pixels.device)
    views = torch.cat([turn(pixels) for turn in turns])
    maps = _contributions(network, views, towards.repeat(len(turns), 1))
    maps = maps.reshape(len(turns), len(rows), *maps.shape[1:])
    # Each turn is its own inverse.
    mean = torch.stack([turn(each[:, None]) for turn, each in zip(turns, maps, strict=True)]).mean(0)
    heat = F.interpolate(
        mean.clamp_min(0), images.array.shape[1:3], mode="bilinear", align_corners=False
    ).squeeze(1)
    most = heat.amax((1, 2), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)
    return (heat / most).cpu().numpy()


def _contributions(network: Network, views: Tensor, directions: Tensor) -> Tensor:
    """Return the contribution of each place of the chosen layer to the similarity: (views, S, S)."""
    # Imported here, because it takes seconds that training does not need.
    from captum.attr import LayerGradientXActivation

    layers = listed_layers(network.backbone)
    if not layers:
        raise _no_maps()
    explained = LayerGradientXActivation(
        lambda pixels: (network(pixels).embedding * directions).sum(1), layers
    )
    deterministic = torch.backends.cudnn.flags(enabled=True, deterministic=True)
    with one_at_a_time(network), deterministic, torch.enable_grad():
        found = explained.attribute(views)
    prefix = int(getattr(network.backbone, "num_prefix_tokens", 0))
    maps = [_places(each.detach().float(), prefix) for each in found]
    # The class token of a transformer reads no other token of the last block, so that map is 0.
    shown = [each for each in maps if each is not None and each.any()]
    if not shown:
        if any(each is not None for each in maps):
            return torch.zeros(len(views), 1, 1)
        raise _no_maps()
    large = [each for each in shown if min(each.shape[1:]) >= PLACES]
    return (large or [max(shown, key=lambda each: each.shape[1])])[-1]


def _no_maps() -> NoMapsError:
    return NoMapsError("this backbone has no layer with maps, so there is no heat map")


def _places(values: Tensor, prefix: int) -> Tensor | None:
    """Sum values over channels to (B, S, S); None if the layer has no places.

    Values are (B, C, S, S) or (B, S, S, C); a transformer's are (B, tokens, C), `prefix` of them without a
    place.
    """
    if values.ndim == 4:
        return values.sum(1 if values.shape[2] == values.shape[3] else 3)
    if values.ndim != 3:
        return None
    tokens = values[:, prefix:].sum(2)
    side = isqrt(tokens.shape[1])
    return tokens.reshape(-1, side, side) if side and side**2 == tokens.shape[1] else None
