"""Systems: build a network from a recipe, save its weights and load them."""

import ctypes
import sys
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from threadpoolctl import threadpool_limits

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.files import new_folder, write_json
from oncovec.core.parts import Parts, read_object
from oncovec.learning import backbones, weights
from oncovec.learning.config import TrainingConfig
from oncovec.learning.history import HISTORY_COLUMNS, Epoch
from oncovec.learning.network import Network, trainable
from oncovec.learning.vocabulary import refuse_other_weights

FROM_SCRATCH = "from scratch, not the published protocol"

NEEDED = (
    *("task", "dataset", "source", "label", "classes", "few_shot_classes", "positive", "normal"),
    *(
        "backbone",
        "features",
        "frozen",
        "hidden",
        "outputs",
        "classifies",
        "image_size",
        "resize",
        "input_size",
    ),
    *("mean", "std", "interpolation", "tta", "embedding_dim", "sha256"),
)
"""Facts that a trained system needs for use."""


def use_threads(threads: int) -> None:
    """Set the number of CPU threads, which affects the last bits, and turn on deterministic algorithms."""
    torch.set_num_threads(threads)
    # The same setting as use_deterministic_algorithms, without its import of the compiler (2 s).
    torch.set_deterministic_debug_mode("warn")
    # Only incorrect code reads memory before writing it; filling it first costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    keep_freed_memory()


def use_threads_here(threads: int) -> None:
    """Set the number of CPU threads of the operations that the calling thread starts, and of no other."""
    torch.get_num_threads()  # when first asked, torch gives a thread the number of the process
    threadpool_limits(threads, user_api="openmp")


def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks for the next step instead of returning them to the system.

    Otherwise the memory of every activation is mapped and zeroed again, page by page. On two cores this
    slowed the training of the Siamese network to half its speed, and of the triplet network to four fifths.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        trim_threshold, mmap_max = -1, -4  # as malloc.h numbers them
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def build(config: TrainingConfig) -> tuple[Network, dict[str, Any]]:
    """Build an untrained network and the facts that are saved with its weights.

    If a recipe freezes the backbone but has no pretrained weights, the backbone is trained, because random
    features that never change are useless. The facts record this under `protocol`.

    Raises:
        OncovecError: if the weights cannot be loaded, the objective does not fit the task, or the input is
            too small for the backbone.
    """
    if config.objective == "binary_cross_entropy" and len(config.classes) != 2:
        raise OncovecError(
            f"binary_cross_entropy needs 2 classes; task {config.task} has {len(config.classes)}"
        )
    size = backbones.input_size(config.backbone, config.input_size, config.image_size)
    torch.manual_seed(config.seed)
    backbone, features = backbones.build(config.backbone, size)
    _refuse_small_input(backbone, size, config)
    if config.weights_sha256:
        refuse_other_weights(f"systems.{config.system}", config.weights, config.weights_sha256)
    pretrained = weights.load(backbone, config.backbone, config.weights)
    expects = backbones.preprocessing(config.backbone)
    outputs = 1 if config.objective == "binary_cross_entropy" else len(config.classes)
    facts: dict[str, Any] = {
        "system": config.system,
        "task": config.task,
        "dataset": config.dataset,
        "source": config.source,
        "classes": list(config.classes),
        "positive": config.positive,
        "normal": list(config.normal),
        "label": config.label,
        "few_shot_classes": list(config.few_shot_classes),
        "backbone": config.backbone,
        "features": features,
        "weights": Path(config.weights).name if pretrained else "none",
        "frozen": config.frozen and pretrained,
        "protocol": FROM_SCRATCH if config.frozen and not pretrained else "",
        "hidden": list(config.hidden),
        "outputs": outputs if config.classifies else config.embedding_dim,
        "classifies": config.classifies,
        "objective": config.objective,
        "margin": config.margin,
        "image_size": config.image_size,
        "resize": config.resize,
        **({"window": list(config.window)} if config.window else {}),
        "input_size": size,
        "mean": list(expects.mean),
        "std": list(expects.std),
        "interpolation": expects.interpolation,
        "tta": config.tta,
    }
    network = network_of(facts, backbone, config.input_dropout, config.dropout)
    if facts["frozen"]:
        network.freeze()
    facts["embedding_dim"] = network.embedding_dim
    facts["trainable"] = trainable(network)
    facts["versions"] = {name: version(name) for name in ("timm", "torch", "torchvision")}
    return network, facts


def _refuse_small_input(backbone: torch.nn.Module, size: int, config: TrainingConfig) -> None:
    """Refuse an input size that a backbone cannot take, such as a small one; test it with one image."""
    try:
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:150]
        raise OncovecError(
            f"{config.backbone} cannot take images of {size} px ({reason}); choose another, mostly larger "
            f"systems.{config.system}.input_size (now {config.input_size}) or stored size "
            f"(now {config.image_size})"
        ) from None
    backbone.train()


def description(network: Network, facts: dict[str, Any]) -> str:
    """Describe the training in one line: system, backbone, weights, input size and protocol."""
    protocol = f"; {facts['protocol']}" if facts["protocol"] else ""
    frozen = "frozen" if facts["frozen"] else "trained"
    return (
        f"{facts['system']}: {facts['backbone']} ({facts['weights']} weights, {frozen}), "
        f"{facts['input_size']} px, {trainable(network):,} trainable{protocol}"
    )


def network_of(
    facts: dict[str, Any], backbone: torch.nn.Module, input_dropout: float = 0.0, dropout: float = 0.0
) -> Network:
    """Build the network from a backbone and the head that `facts` describe."""
    return Network(
        backbone,
        facts["features"],
        facts["hidden"],
        facts["outputs"],
        facts["classifies"],
        input_dropout,
        dropout,
    )


def save_system(
    name: str, state: dict[str, torch.Tensor], facts: dict[str, Any], history: Iterable[Epoch]
) -> None:
    """Write weights, facts and history into one folder; equal weights give equal bytes."""
    content = save({key: value.detach().cpu().contiguous() for key, value in state.items()})
    rows = ([getattr(epoch, column) for column in HISTORY_COLUMNS] for epoch in history)
    with new_folder(paths.model(name)) as folder:
        (folder / paths.weights(name).name).write_bytes(content)
        write_json(folder / paths.model_facts(name).name, facts | {"sha256": sha256(content).hexdigest()})
        tables.write(folder / paths.history(name).name, tables.of(HISTORY_COLUMNS, rows))


def load_system(parts: Parts, device: torch.device) -> tuple[Network, dict[str, Any]]:
    """Read a trained system in evaluation mode.

    Args:
        parts: its files.
        device: device of the network.

    Raises:
        OncovecError: if there is no such system, it is not trained, or its weights are damaged or do not
            match its facts.
    """
    weights_path, facts_path = paths.weights(parts.name), paths.model_facts(parts.name)
    where, content = parts.where(weights_path), parts.read(weights_path)
    facts = read_object(parts, facts_path, *NEEDED)
    try:
        state = load(content)
    except (SafetensorError, ValueError) as error:
        raise OncovecError(f"{where}: damaged ({error}); {parts.again}") from None
    if sha256(content).hexdigest() != facts["sha256"]:
        raise OncovecError(f"{where}: not the weights that {facts_path.name} speaks of; {parts.again}")
    try:
        backbone, _ = backbones.build(facts["backbone"], facts["input_size"])
        network = network_of(facts, backbone)
        network.load_state_dict(state)
    except (RuntimeError, TypeError):
        raise OncovecError(
            f"{where}: its tensors do not fit {parts.where(facts_path)}; {parts.again}"
        ) from None
    return on_device(network, device).eval(), facts


def on_device(network: Network, device: torch.device) -> Network:
    """Move a network to the device in channels-last format, which is fastest for convolutions."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def preprocessing_of(facts: dict[str, Any]) -> backbones.Preprocessing:
    """Return the input normalisation that the facts of a trained network record."""
    return backbones.Preprocessing(tuple(facts["mean"]), tuple(facts["std"]), facts["interpolation"])


def best_device() -> torch.device:
    """Return the GPU if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
