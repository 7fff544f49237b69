"""What the types of params.yaml cannot check: does a backbone exist, are weights those that are named?"""

import hashlib
from difflib import get_close_matches
from pathlib import Path

from oncovec.core.errors import OncovecError
from oncovec.core.knobs import OWN_BACKBONES
from oncovec.core.params import Params

KNOWN_TO_TIMM = ("tf_efficientnet_lite0", "inception_v3.tv_in1k", "resnet34.tv_in1k")
"""Backbones of the published systems and of the flagships, so that slow timm need not be asked."""


def check_backbones(params: Params) -> None:
    """Refuse an unknown backbone, and suggest the nearest name.

    Raises:
        OncovecError: names the key, the value and what is allowed.
    """
    for name, system in params.systems.items():
        if system.backbone in (*OWN_BACKBONES, *KNOWN_TO_TIMM):
            continue
        if not is_timm_model(system.backbone):
            import timm

            names = [*OWN_BACKBONES, *timm.list_models(), *timm.list_models(pretrained=True)]
            near = get_close_matches(system.backbone, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise OncovecError(
                f"systems.{name}.backbone = {system.backbone!r}: "
                f"one of {', '.join(OWN_BACKBONES)} or a timm model{hint}"
            )


def check_weights(params: Params) -> None:
    """Refuse a row whose weights are a file that is not there, or not the one that its hash names.

    Raises:
        OncovecError: names the key, the value and what is allowed.
    """
    for name, system in params.systems.items():
        if system.weights not in ("none", "imagenet"):
            refuse_other_weights(f"systems.{name}", system.weights, system.weights_sha256)


def refuse_other_weights(key: str, file: str, sha256: str | None) -> None:
    """Refuse a weights file that is missing, or whose content is not what a row's `weights_sha256` names.

    Args:
        key: of the row, for the message.
        file: as the row names it.
        sha256: as the row names it.

    Raises:
        OncovecError: in a line with the hash that the file has, for the row if this is the file meant.
    """
    try:
        with Path(file).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise OncovecError(f"{key}.weights = {file!r}: none, imagenet or a file; {error.strerror}") from None
    if found != sha256:
        raise OncovecError(f"{key}.weights_sha256 = {sha256!r}: {file} has the sha256 {found}")


def is_timm_model(name: str) -> bool:
    """Whether timm has this architecture and, where a tag names them (`resnet34.tv_in1k`), these weights."""
    # timm takes seconds to import, which a params.yaml without any of its models need not wait for.
    import timm

    return bool(timm.is_model(name)) and ("." not in name or bool(timm.is_model_pretrained(name)))
