"""Optimisation: learning rates of head and backbone, their schedule, and the average of the weights."""

import math
from inspect import unwrap
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from oncovec.learning.config import TrainingConfig
from oncovec.learning.network import Network

WARM_UP = 0.1
"""Share of all steps in which the cosine schedule raises the learning rate from 0 to its full value."""


class AdamW(torch.optim.AdamW):
    """Torch's AdamW without the decorators of its methods.

    The decorators import torch's compiler (3 s) and compile nothing.
    """

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    add_param_group = unwrap(torch.optim.AdamW.add_param_group)


def optimizer(network: Network, config: TrainingConfig, objective: Any = None) -> torch.optim.Optimizer:
    """Build Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    The backbone has its own learning rate.

    Args:
        network: the network to optimise; the weights of a frozen backbone are left out.
        config: learning rates and weight decay are read.
        objective: if it has weights, they get the learning rate of the head.
    """
    known = set(map(id, network.backbone.parameters()))
    head = [weight for weight in network.parameters() if id(weight) not in known]
    if isinstance(objective, nn.Module):
        head += objective.parameters()
    backbone = [weight for weight in network.backbone.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [{"params": head, "lr": config.lr}]
    if backbone:
        groups.append({"params": backbone, "lr": config.backbone_lr or config.lr})
    return AdamW(groups, weight_decay=config.weight_decay)


def schedule(optimizer: torch.optim.Optimizer, name: str, steps: int) -> LambdaLR:
    """Build the schedule that scales the learning rates of all parameter groups.

    Args:
        optimizer: the optimizer whose rates are scaled.
        name: `constant`, or `cosine`: a linear warm-up, then half a cosine to 0.
        steps: number of steps of the whole training.
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
    """Build the exponential moving average of the weights, which is validated and kept.

    In the first steps the average is the plain mean of the weights, until the weight of the past in that mean
    reaches `decay`. Otherwise a short training would mostly keep its initial weights. BatchNorm statistics
    are averaged in the same way.

    Returns:
        The average; None if `decay` is 0.
    """
    if not decay:
        return None

    def averaged(kept: Any, new: Any, steps: Any) -> None:
        slow = min(decay, float(steps) / (float(steps) + 1))
        get_ema_multi_avg_fn(slow)(kept, new, steps)  # type: ignore[no-untyped-call]

    return AveragedModel(network, multi_avg_fn=averaged, use_buffers=True)
