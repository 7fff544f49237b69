"""Training: epochs of augmented batches, the best epoch by validation, and the history."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from accelerate.utils import broadcast_object_list
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from oncovec.core.errors import OncovecError
from oncovec.core.progress import progress
from oncovec.learning import objectives, optimization
from oncovec.learning.augment import Augment
from oncovec.learning.config import TrainingConfig
from oncovec.learning.history import Epoch
from oncovec.learning.images import Images
from oncovec.learning.mixstyle import mixing
from oncovec.learning.network import Network, Output
from oncovec.learning.sampling import count_batches, epoch_batches, shared, steps_each
from oncovec.learning.systems import on_device
from oncovec.learning.validation import Splits, Validation, validate

SHOW_EVERY = 10
"""Batches between two updates of the displayed loss; each update makes a GPU wait."""


@dataclass
class Best:
    """The epoch with the best validation metric so far; at a tie the lower validation loss wins.

    For two classes the metric is the AUROC, because the decision threshold is chosen later. For more classes
    it is the balanced accuracy of the likeliest class.
    """

    score: tuple[float, float] = (-math.inf, -math.inf)
    epoch: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, row: Epoch, network: Network) -> None:
        """Keep a copy of the weights if this epoch is better."""
        merit = row.val_balanced_accuracy if row.val_auroc is None else row.val_auroc
        score = (merit, -row.val_loss)
        if score > self.score:
            self.score, self.epoch = score, row.epoch
            self.state = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}


def accelerator_for(precision: str, trackers: Sequence[GeneralTracker] = ()) -> Accelerator:
    """Choose device and precision: `auto` is bf16 on a GPU and fp32 on a CPU.

    Args:
        precision: `train.precision`.
        trackers: see `oncovec.learning.tracking`.
    """
    bf16 = precision == "bf16" or (precision == "auto" and torch.cuda.is_available())
    chosen = "bf16" if bf16 else "no"
    return Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision=chosen, log_with=list(trackers) or None
    )


def train(
    config: TrainingConfig,
    network: Network,
    images: Images,
    splits: Splits,
    accelerator: Accelerator,
) -> tuple[dict[str, Tensor], list[Epoch], int]:
    """Train a network and keep the epoch with the best validation metric.

    With several processes, each takes its share of an epoch's batches, and gradients are averaged. Triplets
    and pairs are formed within the batch of one process. The first process validates for all.

    Args:
        config: how to train.
        network: as built by `oncovec.learning.systems.build`.
        images: the prepared images, on the accelerator's device.
        splits: rows of the training and validation images.
        accelerator: device, precision and processes; its trackers get each epoch.

    Raises:
        OncovecError: if the loss is not finite.

    Returns:
        Weights of the best epoch, the history, and the number of the best epoch (from 1).
    """
    on_device(network, accelerator.device)
    average = optimization.average(network, config.ema)
    objective = objectives.build(config, network.embedding_dim)  # the loss, with its margin
    adam = optimization.optimizer(network, config, objective)
    if isinstance(objective, torch.nn.Module):
        objective = accelerator.prepare_model(objective.to(accelerator.device), device_placement=False)
    # Both are already on the device; to place them, Accelerate would import torch's compiler (3 s).
    model, optimizer = accelerator.prepare(network, adam, device_placement=[False, False])
    per_epoch = count_batches(len(splits.train_labels), config.batch_size)
    steps = config.epochs * steps_each(per_epoch, accelerator.num_processes)
    scheduler = optimization.schedule(optimizer, config.schedule, steps)
    step = Step(model, optimizer, scheduler, average, objective, images, Augment(config.augment), accelerator)
    order = np.random.default_rng(config.seed)
    draws = torch.Generator().manual_seed(config.seed + 1_000_003 * accelerator.process_index)
    best, history = Best(), list[Epoch]()
    for number in range(1, config.epochs + 1):
        batches = epoch_batches(splits.train_labels, config.batch_size, config.balanced, order)
        mine = shared(batches, accelerator.process_index, accelerator.num_processes)
        bar = progress((), f"train {config.system} {number}/{config.epochs}", total=sum(map(len, mine)))
        with bar, mixing(network, config.mixstyle):
            loss, accuracy = step.epoch(mine, splits, draws, bar)
        _refuse_divergence(loss, number, config)
        if accelerator.is_main_process:
            kept: Any = average.module if average else _bare(model, accelerator, False)
            found = validate(kept, images, splits, objective, config)
            _refuse_divergence(found.loss, number, config)
            history.append(_row(number, loss, accuracy, found))
            best.offer(history[-1], kept)
            _report(config, history[-1])
            accelerator.log(history[-1].metrics, step=number)
        if _stop(number - best.epoch, config.patience, accelerator):
            break
    return best.state, history, best.epoch


@dataclass
class Step:
    """The objects that every training step uses."""

    model: torch.nn.Module
    optimizer: Any
    scheduler: Any
    average: AveragedModel | None
    objective: objectives.Objective
    images: Images
    augment: Augment
    accelerator: Accelerator

    def epoch(
        self, batches: Sequence[np.ndarray], splits: Splits, draws: torch.Generator, bar: "tqdm[Any]"
    ) -> tuple[float, float | None]:
        """Train on each batch.

        Returns:
            The mean loss, and the accuracy on the batches; None instead of the accuracy without a classifier.
        """
        self.model.train()
        device = self.accelerator.device
        total, right, seen = (
            torch.zeros((), device=device, dtype=torch.float64),
            torch.zeros((), device=device),
            0,
        )
        for number, batch in enumerate(batches):
            labels = torch.as_tensor(splits.train_labels[batch], device=device)
            loss, output = self.batch(splits.train_rows[batch], labels, draws)
            total += loss * len(batch)
            seen += len(batch)
            if output.logits is not None:
                right += (objectives.class_probabilities(output.logits.detach()).argmax(1) == labels).sum()
            bar.update(len(batch))
            if number % SHOW_EVERY == 0:
                bar.set_postfix(loss=f"{float(total) / seen:.4f}", refresh=False)
        sums = torch.stack([total, right.double(), torch.tensor(seen, device=device, dtype=torch.float64)])
        total, right, everywhere = self.accelerator.reduce(sums, "sum")
        accuracy = float(right / everywhere) if output.logits is not None else None
        return float(total / everywhere), accuracy

    def batch(self, rows: np.ndarray, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Output]:
        """Make one step of the optimizer; return the loss and the outputs."""
        pixels = self.images.normalise(self.augment(self.images.take(rows), draws))
        with self.accelerator.autocast():
            output = self.model(pixels)
        loss = self.objective(output, labels)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.scheduler.step()
        if self.average:
            self.average.update_parameters(_bare(self.model, self.accelerator))
        return loss.detach(), output


def _bare(model: torch.nn.Module, accelerator: Accelerator, keep_precision: bool = True) -> torch.nn.Module:
    """Return the network without Accelerate's wrapper."""
    # There is no wrapper in this case, and Accelerate would import FSDP (1 s) to find out.
    if accelerator.num_processes == 1 and accelerator.mixed_precision == "no":
        return model
    bare: torch.nn.Module = accelerator.unwrap_model(model, keep_precision)
    return bare


def _refuse_divergence(loss: float, number: int, config: TrainingConfig) -> None:
    if not math.isfinite(loss):
        raise OncovecError(
            f"training diverged in epoch {number} (the loss is {loss}); lower systems.{config.system}.lr"
        )


def _row(number: int, loss: float, accuracy: float | None, found: Validation) -> Epoch:
    return Epoch(
        number,
        loss,
        found.loss,
        (found.train_accuracy or 0.0) if accuracy is None else accuracy,
        found.accuracy,
        found.balanced_accuracy,
        found.auroc,
        found.positive_distance,
        found.negative_distance,
    )


def _report(config: TrainingConfig, row: Epoch) -> None:
    tqdm.write(
        f"{config.system}: epoch {row.epoch}/{config.epochs}, "
        f"loss {row.train_loss:.4f} train {row.val_loss:.4f} val, "
        f"accuracy {row.train_accuracy:.3f} train {row.val_accuracy:.3f} val"
    )
    if row.negative_distance is not None and row.negative_distance < 0.01:
        tqdm.write(
            f"{config.system}: all embeddings are nearly one point (distance between classes "
            f"{row.negative_distance:.4f}); try a lower lr or another mining"
        )


def _stop(without: int, patience: int | None, accelerator: Accelerator) -> bool:
    """Decide whether to stop: no better epoch for `patience` epochs. The first process decides for all."""
    answer = [patience is not None and without >= patience]
    if accelerator.num_processes > 1:
        broadcast_object_list(answer)
    return bool(answer[0])
