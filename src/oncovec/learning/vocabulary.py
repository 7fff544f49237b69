"""Checks beyond the types of params.yaml: backbones exist, files have the named hash, MLflow is installed."""

import hashlib
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from oncovec.core.checkout import in_copy
from oncovec.core.errors import OncovecError
from oncovec.core.params import Params
from oncovec.core.recipes import OWN_BACKBONES

KNOWN_TO_TIMM = ("tf_efficientnet_lite0", "inception_v3.tv_in1k", "resnet34.tv_in1k")
"""Backbones of the published systems and of the main systems; they need no slow import of timm."""

NO_MLFLOW = "needs a package that is not installed: pip install 'oncovec[mlflow]'"
"""Message for an MLflow server without MLflow's client."""


def check_backbones(params: Params) -> None:
    """Refuse an unknown backbone, and suggest the nearest name.

    Raises:
        OncovecError: for an unknown backbone; the message names the key, the value and the allowed values.
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
    """Refuse a row whose weights file is missing or does not have the hash of the row.

    Raises:
        OncovecError: for such a row; the message names the key, the value and what is allowed.
    """
    for name, system in params.systems.items():
        if system.weights not in ("none", "imagenet"):
            refuse_other_weights(f"systems.{name}", system.weights, system.weights_sha256)


def refuse_other_weights(key: str, file: str, sha256: str | None) -> None:
    """Refuse a weights file that is missing, or whose hash is not a row's `weights_sha256`.

    Args:
        key: key of the row, for the message.
        file: path of the file, from the row.
        sha256: expected hash, from the row.

    Raises:
        OncovecError: for such a file. The message has the file's hash, which the user can copy into the row
            if the file is the intended one.
    """
    try:
        with Path(file).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        reason = f"{key}.weights = {file!r}: none, imagenet or a file; {error.strerror}"
        if in_copy() and not Path(file).is_absolute():
            reason += "; a queued run works on a copy with the files of Git alone: give an absolute path"
        raise OncovecError(reason) from None
    if found != sha256:
        raise OncovecError(f"{key}.weights_sha256 = {sha256!r}: {file} has the sha256 {found}")


def check_mlflow(params: Params) -> None:
    """Refuse an address of an MLflow server if its client is not installed.

    Raises:
        OncovecError: the message says what to install.
    """
    if params.mlflow and find_spec("mlflow") is None:
        raise OncovecError(f"mlflow = {params.mlflow!r}: {NO_MLFLOW}")


def is_timm_model(name: str) -> bool:
    """Whether timm has this architecture and, if the name has a tag (`resnet34.tv_in1k`), these weights."""
    # Importing timm takes seconds; a params.yaml without timm models does not need it.
    import timm

    return bool(timm.is_model(name)) and ("." not in name or bool(timm.is_model_pretrained(name)))
