"""One network for the flagships of all tasks, against the five: is one embedding enough?

    python benchmarks/joint.py ROW … [--seed N]

Run it in a clone whose params.yaml has no other system of these tasks, whose datasets of these rows are split
(`dvc repro split`), with `dvc repro check` done; that stage names committed metrics of rows that are gone,
which must be deleted. One backbone and one embedding are trained on the images of all rows at once. A batch
of `BATCH` has images of every row, as many as the row's share of all draws of their own trainings. Its
classes are drawn equally often; its images are augmented, and their styles mixed among themselves, as its row
says. Each row has an output layer and a loss of its own, weighted by its share. Inputs have the largest side
of any row. The weights after the last step, averaged, are kept.

Before, training images that are near-duplicates of val or test images of another dataset are left out with
their groups, and counted. Each row gets `models/ROW`, with the common network and its own output layer. The
stages embed, evaluate and external then run as for any system; commit nothing of it. The joint network is not
part of the pipeline: docs/elsewhere.md says why.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from oncovec.core import params, paths, rows
from oncovec.core.params import Params
from oncovec.data import duplicates, index, prepare, splitting
from oncovec.learning import backbones, mixstyle, objectives, optimization, systems
from oncovec.learning.augment import Augment
from oncovec.learning.config import TrainingConfig, resolve
from oncovec.learning.images import Images
from oncovec.learning.network import Network, Output
from oncovec.learning.validation import Splits

BATCH = 32
"""Images per step, of all rows together."""

CPU = torch.device("cpu")


@dataclass
class Row:
    """What training needs of one row: its recipe, facts, images and classes, loss and augmentation."""

    config: TrainingConfig
    facts: dict[str, object]
    images: Images
    splits: Splits
    head: nn.Linear
    objective: objectives.Objective
    augment: Augment
    count: int = 0

    @property
    def draws(self) -> int:
        """Number of images that the row's own training would draw."""
        return len(self.splits.train_labels) * self.config.epochs

    def batch(self, order: np.random.Generator, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw images of the row for one step, normalised, and their labels."""
        labels = self.splits.train_labels
        share = 1 / np.bincount(labels)[labels]
        chosen = order.choice(len(labels), self.count, p=share / share.sum())
        pixels = self.augment(self.images.take(self.splits.train_rows[chosen]), draws)
        return self.images.normalise(pixels), torch.as_tensor(labels[chosen])


class Joint(nn.Module):
    """The common network, with an output layer per row; losses with weights of their own are part of it."""

    def __init__(self, network: Network, every: Sequence[Row]):
        super().__init__()
        self.network = network
        self.heads = nn.ModuleList(row.head for row in every)
        self.losses = nn.ModuleList(row.objective for row in every if isinstance(row.objective, nn.Module))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding, and the last hidden layer after dropout, for the output layers."""
        features = self.network.backbone(pixels)
        for layer in self.network.hidden:
            last = F.relu(layer(features))
            features = self.network.dropout(last)
        return F.normalize(last, dim=1), features


def elsewhere_in(datasets: Sequence[str], content: Params) -> dict[str, NDArray[np.bool_]]:
    """Find training images that another dataset has in val or test, with the images of their groups.

    Returns:
        For each dataset, a truth value for each row of its index.
    """
    tables = {name: splitting.read(paths.split(name)) for name in datasets}
    stored = {
        name: index.rows_of(index.read(paths.index(name)), table["image"]) for name, table in tables.items()
    }
    found = {}
    for name, table in tables.items():
        train, copies = (table["split"] == "train").to_numpy(), prepare.open_copies(name)
        seen = np.zeros(len(copies[0]), bool)
        for other in (each for each in datasets if each != name):
            judged = stored[other][tables[other]["split"].isin(["val", "test"]).to_numpy()]
            there = prepare.open_copies(other)
            both = np.concatenate([np.asarray(there[0])[judged], np.asarray(copies[0])[stored[name][train]]])
            shapes = np.concatenate([there[1][judged], copies[1][stored[name][train]]])
            textured = np.flatnonzero(~prepare.blank(both, shapes)).tolist()
            with tempfile.TemporaryDirectory() as folder:
                pairs = duplicates.find(
                    both, shapes, content.near_duplicates, textured, Path(folder), known=len(judged)
                )
            between = [sorted((pair.first, pair.second)) for pair in pairs]
            hit = {second - len(judged) for first, second in between if first < len(judged) <= second}
            groups = table["group"].to_numpy()
            of_train = groups[train][sorted(hit)]
            images = train & np.isin(groups, of_train)
            seen[stored[name][images]] = True
            print(f"{name}: {int(images.sum())} training images left out, which {other} judges", flush=True)
        found[name] = seen
    return found


def read(names: Sequence[str], content: Params, seed: int) -> list[Row]:
    """Read all rows, without training images that another dataset judges."""
    datasets = list(dict.fromkeys(content.systems[name].dataset for name in names))
    seen = elsewhere_in(datasets, content)
    found = []
    for name in names:
        system = content.systems[name]
        table = splitting.of_task(system.dataset, content.tasks[system.task].label)
        facts = prepare.prepared_facts(system.dataset)
        config = resolve(content, name, table["label"].tolist(), facts).model_copy(update={"seed": seed})
        splits = Splits.of(table, index.read(paths.index(system.dataset)), config.classes)
        kept = ~seen[system.dataset][splits.train_rows]
        splits = replace(splits, train_rows=splits.train_rows[kept], train_labels=splits.train_labels[kept])
        network, facts = systems.build(config)
        array = prepare.open_prepared(system.dataset)
        images = Images(array, CPU, int(facts["input_size"]), systems.preprocessing_of(facts))
        objective = objectives.build(config, network.embedding_dim)
        found.append(Row(config, facts, images, splits, network.output, objective, Augment(config.augment)))
    side, total = max(row.images.size for row in found), sum(row.draws for row in found)
    for row in found:
        row.images.size = row.facts["input_size"] = side
        row.count = max(2, round(BATCH * row.draws / total))
    return found


def mix_styles(network: Network, every: Sequence[Row]) -> None:
    """Mix the styles of images of one row, as often as the row's `mixstyle` says, in every training step."""
    draw = torch.distributions.Beta(mixstyle.CONCENTRATION, mixstyle.CONCENTRATION)

    def mix(layer: nn.Module, _: object, maps: Tensor) -> Tensor:
        if not layer.training:
            return maps
        parts = list(maps.split([row.count for row in every]))
        for number, row in enumerate(every):
            if torch.rand(()) < row.config.mixstyle:
                other, share = torch.randperm(row.count), draw.sample((row.count, 1, 1, 1))
                parts[number] = mixstyle.mixed(parts[number], other, share)
        return torch.cat(parts)

    for layer in backbones.style_layers(network.backbone):
        layer.register_forward_hook(mix)


def steps(model: Joint, every: Sequence[Row], seed: int) -> Iterator[tuple[int, float]]:
    """Train; yield the number of each step and its loss."""
    recipe = every[0].config
    backbone = list(model.network.backbone.parameters())
    known = {*map(id, backbone), *map(id, model.network.output.parameters())}
    rest = [weight for weight in model.parameters() if id(weight) not in known]
    groups = [{"params": rest, "lr": recipe.lr}, {"params": backbone, "lr": recipe.backbone_lr or recipe.lr}]
    optimizer = optimization.AdamW(groups, weight_decay=recipe.weight_decay)
    count = round(sum(row.draws for row in every) / BATCH)
    schedule = optimization.schedule(optimizer, recipe.schedule, count)
    average = optimization.average(model, recipe.ema)
    order, draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    mix_styles(model.network, every)
    model.train()
    for step in range(1, count + 1):
        batches = [row.batch(order, draws) for row in every]
        pixels = torch.cat([each for each, _ in batches]).contiguous(memory_format=torch.channels_last)
        sizes = [row.count for row in every]
        embeddings, hidden = (each.split(sizes) for each in model(pixels))
        loss = torch.zeros(())
        for row, head, vectors, features, (_, labels) in zip(
            every, model.heads, embeddings, hidden, batches, strict=True
        ):
            loss = loss + row.objective(Output(vectors, head(features)), labels) * row.count / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if average:
            average.update_parameters(model)
        yield step, float(loss.detach())
    if average:
        model.load_state_dict(average.module.state_dict())


def main() -> None:
    """Train, save a system per row, and let the pipeline's stages judge each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="+", metavar="ROW")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    content = params.load()
    for name in options.rows:
        rows.refuse_unknown(name)
    systems.use_threads(content.train.threads)
    every = read(options.rows, content, options.seed)
    torch.manual_seed(options.seed)
    network, _ = systems.build(every[0].config)
    model = Joint(systems.on_device(network, CPU), every)
    begun = time.perf_counter()
    for step, loss in steps(model, every, options.seed):
        if step % 100 == 0:
            print(f"step {step}: loss {loss:.3f}, {time.perf_counter() - begun:.0f} s", flush=True)
    common = {key: value for key, value in model.network.state_dict().items() if not key.startswith("output")}
    for row, head in zip(every, model.heads, strict=True):
        own = {f"output.{key}": value for key, value in head.state_dict().items()}
        systems.save_system(
            row.config.system, common | own, row.facts | {"best_epoch": row.config.epochs}, []
        )
    print(f"trained in {time.perf_counter() - begun:.0f} s", flush=True)
    for name in options.rows:
        for stage in ("embed", "evaluate"):
            subprocess.run([sys.executable, "-m", f"stages.{stage}", name], check=True)
    for name in content.external:
        subprocess.run([sys.executable, "-m", "stages.external", name], check=True)


if __name__ == "__main__":
    main()
