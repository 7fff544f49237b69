"""Names that only a library knows: is a row's backbone a model that exists?"""

from difflib import get_close_matches

from oncovec.core.errors import OncovecError
from oncovec.core.knobs import OWN_BACKBONES
from oncovec.core.params import Params
from oncovec.learning.weights import refuse_other_weights


def check_backbones(params: Params) -> None:
    """Refuse an unknown backbone, and suggest the nearest name.

    Raises:
        OncovecError: names the key, the value and what is allowed.
    """
    for name, system in params.systems.items():
        if system.backbone in OWN_BACKBONES:
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


def is_timm_model(name: str) -> bool:
    """Whether timm has this architecture and, where a tag names them (`resnet34.tv_in1k`), these weights."""
    # timm takes seconds to import, which a params.yaml without any of its models need not wait for.
    import timm

    return bool(timm.is_model(name)) and ("." not in name or bool(timm.is_model_pretrained(name)))
