"""Backbones: the small CNNs of the earlier projects, and every timm model as a feature extractor."""

from dataclasses import dataclass

from torch import nn

from oncovec.core.errors import OncovecError
from oncovec.core.recipes import OWN_BACKBONES
from oncovec.learning.vocabulary import is_timm_model

MIN_SIZE = {"inception_v3": 75}
"""Smallest input side in px that an architecture's pooling layers allow, if it is above 32."""


@dataclass(frozen=True)
class Preprocessing:
    """Input normalisation of a backbone: per-channel mean and std of images in 0..1, and interpolation."""

    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    interpolation: str = "bicubic"


def input_size(name: str, asked: int, stored: int) -> int:
    """Compute the side in px of the backbone's input: the requested size, at most the stored size.

    A larger input would only be an enlarged image. A fixed or smallest input size of the architecture takes
    precedence.
    """
    if name not in OWN_BACKBONES:
        import timm

        config = timm.get_pretrained_cfg(name)
        if config is not None and config.fixed_input_size:
            return int(config.input_size[-1])
    return max(min(asked, stored), MIN_SIZE.get(name.split(".")[0], 16))


def preprocessing(name: str) -> Preprocessing:
    """Read mean, std and interpolation from the configuration of the weights; 0.5 for our own CNNs."""
    if name in OWN_BACKBONES:
        return Preprocessing()
    # Importing timm takes 1.5 s; our own CNNs do not need it.
    import timm

    config = timm.get_pretrained_cfg(name)
    return Preprocessing(tuple(config.mean), tuple(config.std), config.interpolation)


def build(name: str, size: int) -> tuple[nn.Module, int]:
    """Build a feature extractor with fresh weights from torch's global generator.

    Args:
        name: one of `OWN_BACKBONES`, or a timm name.
        size: side in px of its input; our own CNNs flatten their maps, so the number of features depends
            on it.

    Returns:
        A module from (B, 3, size, size) to (B, features), and the number of features.

    Raises:
        OncovecError: for an unknown name.
    """
    if name == "triplet_cnn":
        return _cnn((64, 128, 256), pair=True), 256 * (size // 8) ** 2
    if name == "siamese_cnn":
        return _cnn((16, 32, 64)), 64 * (size // 8) ** 2
    if name == "pcam_cnn":
        return _cnn((32, 64, 128)), 128 * (size // 8) ** 2
    if not is_timm_model(name):
        raise OncovecError(
            f"unknown backbone {name!r}: one of {', '.join(OWN_BACKBONES)}, or a timm model name"
        )
    import timm

    module = timm.create_model(name, pretrained=False, num_classes=0)
    # Some architectures widen the features again after pooling; `num_features` does not include that.
    return module, int(getattr(module, "head_hidden_size", module.num_features))


def content_layers(backbone: nn.Module) -> list[nn.Module]:
    """Find two layers that represent the content of an image, independent of its class.

    For a timm model these are the layer at two thirds of the listed layers, and the last one. In a usual CNN
    their maps have 1/16 and 1/32 of the input's side. For our own CNNs they are the second and third block.
    If timm lists no layers, the whole backbone is used. Earlier layers also represent how an image was
    recorded: its noise and sharpness.
    """
    named = listed_layers(backbone) or [backbone]
    return list(dict.fromkeys((named[(2 * len(named) - 1) // 3], named[-1])))


def style_layers(backbone: nn.Module) -> list[nn.Module]:
    """Find the layers whose maps represent how an image was recorded: the first half of the listed layers.

    A backbone without listed layers has none. Their maps are (B, C, H, W).
    """
    named = listed_layers(backbone)
    return named[: (len(named) + 1) // 2]


def listed_layers(backbone: nn.Module) -> list[nn.Module]:
    """Return the layers that timm lists; for our own CNNs, the pooling layers."""
    if isinstance(backbone, nn.Sequential):
        return [layer for layer in backbone if isinstance(layer, nn.MaxPool2d)]
    modules = dict(backbone.named_modules())
    told = [each["module"] for each in getattr(backbone, "feature_info", ())]
    return [modules[name] for name in told if name in modules]


def _cnn(widths: tuple[int, ...], pair: bool = False) -> nn.Sequential:
    """Build blocks of one or two 3x3 convolutions with ReLU, each followed by 2x2 max pooling; flatten."""
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        for _ in range(1 + pair):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten())
