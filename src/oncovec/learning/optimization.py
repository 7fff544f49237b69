"""How weights move: learning rates of head and backbone, their schedule, and the average that is kept."""

import math
from inspect import unwrap
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from oncovec.core.recipes import Recipe
from oncovec.learning.network import Network

WARM_UP = 0.1
"""Share of all steps over which the cosine schedule's rate rises, from 0 to the full one."""


class AdamW(torch.optim.AdamW):
    """Torch's, without the decorators of its methods, which import its compiler (3 s) and compile nothing."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    add_param_group = unwrap(torch.optim.AdamW.add_param_group)


def optimizer(network: Network, recipe: Recipe, objective: Any = None) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019); the backbone has its own rate.

    Args:
        network: its weights; those of a frozen backbone are left out.
        recipe: the rates and the decay.
        objective: its weights, where it learns some, go with the head's.
    """
    known = set(map(id, network.backbone.parameters()))
    head = [weight for weight in network.parameters() if id(weight) not in known]
    if isinstance(objective, nn.Module):
        head += objective.parameters()
    backbone = [weight for weight in network.backbone.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [{"params": head, "lr": recipe.lr}]
    if backbone:
        groups.append({"params": backbone, "lr": recipe.backbone_lr or recipe.lr})
    return AdamW(groups, weight_decay=recipe.weight_decay)


def schedule(optimizer: torch.optim.Optimizer, name: str, steps: int) -> LambdaLR:
    """Scale the rates of all groups: `constant`, or `cosine`: a linear warm-up, then half a cosine to 0.

    Args:
        optimizer: its rates.
        name: as above.
        steps: of the whole training.
    """
    rising = max(1, round(WARM_UP * steps))

    def factor(step: int) -> float:
        if name == "constant":
            return 1.0
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))

    return LambdaLR(optimizer, factor)


def average(network: nn.Module, decay: float) -> AveragedModel | None:
    """The exponential moving average of the weights, which is validated and kept; None where decay is 0.

    Until so many steps are made that it forgets slower than `decay` says, it is their plain mean: a short
    training would otherwise keep the weights that it began with. BatchNorm statistics are averaged alike.
    """
    if not decay:
        return None

    def averaged(kept: Any, new: Any, steps: Any) -> None:
        slow = min(decay, float(steps) / (float(steps) + 1))
        get_ema_multi_avg_fn(slow)(kept, new, steps)  # type: ignore[no-untyped-call]

    return AveragedModel(network, multi_avg_fn=averaged, use_buffers=True)
