"""Names that only a library knows: is a row's backbone a model that exists?"""

from difflib import get_close_matches

from oncovec.errors import OncovecError
from oncovec.params import Params

OWN_BACKBONES = ("triplet_cnn", "siamese_cnn", "pcam_cnn")


def check_backbones(params: Params) -> None:
    """Refuse an unknown backbone, and suggest the nearest name.

    Raises:
        OncovecError: names the key, the value and what is allowed.
    """
    for name, system in params.systems.items():
        if system.backbone in OWN_BACKBONES:
            continue
        # timm takes seconds to import, which a params.yaml without any of its models need not wait for.
        import timm

        if not timm.is_model(system.backbone):
            near = get_close_matches(system.backbone, [*OWN_BACKBONES, *timm.list_models()], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise OncovecError(
                f"systems.{name}.backbone = {system.backbone!r}: "
                f"one of {', '.join(OWN_BACKBONES)} or a timm model{hint}"
            )
