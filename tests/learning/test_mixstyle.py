import numpy as np
import pytest
import torch
from torch import nn

from oncovec.core.errors import OncovecError
from oncovec.learning import backbones, mixstyle
from oncovec.learning.network import Network


def network(name="triplet_cnn", size=24):
    torch.manual_seed(0)
    backbone, features = backbones.build(name, size)
    return Network(backbone, features, [8], 3, True)


def test_a_mixture_has_the_mixed_style_and_keeps_the_normalised_content():
    maps = torch.randn(4, 3, 8, 8) * torch.tensor([1.0, 5.0, 0.1])[:, None, None] + 2
    order, share = torch.tensor([1, 0, 3, 2]), torch.tensor([1.0, 0.5, 0.25, 0.0])[:, None, None, None]
    found = mixstyle.mixed(maps, order, share)
    means, spreads = maps.mean((2, 3)), maps.std((2, 3))
    flat = share.flatten()[:, None]
    assert torch.allclose(found.mean((2, 3)), flat * means + (1 - flat) * means[order], atol=1e-4)
    assert torch.allclose(found.std((2, 3)), flat * spreads + (1 - flat) * spreads[order], rtol=1e-3)
    one, other = (each - each.mean((2, 3), keepdim=True) for each in (maps, found))
    alike = (one * other).sum((2, 3)) / (one.norm(dim=(2, 3)) * other.norm(dim=(2, 3)))
    assert torch.allclose(alike, torch.ones_like(alike), atol=1e-4)
    assert torch.allclose(found[0], maps[0], atol=1e-4), "a share of 1 changes nothing"


def test_styles_are_mixed_in_training_only_and_only_while_asked():
    trained, images = network(), torch.rand(6, 3, 24, 24)
    plain = trained.train()(images).logits
    with mixstyle.mixing(trained, 1.0):
        assert not torch.allclose(trained(images).logits, plain)
        assert torch.equal(trained.eval()(images).logits, plain)
        trained.train()
    assert torch.equal(trained(images).logits, plain)
    with mixstyle.mixing(trained, 0.0):
        assert torch.equal(trained(images).logits, plain)


def test_the_share_of_mixed_batches_is_the_probability():
    trained, images = network(), torch.rand(3, 3, 24, 24)
    layer = backbones.style_layers(trained.backbone)[0]
    plain = trained.backbone[:3](images)
    with mixstyle.mixing(trained.train(), 0.3):
        changed = [not torch.equal(layer(plain), nn.functional.max_pool2d(plain, 2)) for _ in range(400)]
    assert 0.22 < np.mean(changed) < 0.38


@pytest.mark.parametrize(
    ("name", "layers"), [("tf_efficientnet_lite0", 3), ("resnet34", 3), ("siamese_cnn", 2)]
)
def test_the_early_layers_are_mixed(name, layers):
    backbone, _ = backbones.build(name, 32)
    found = backbones.style_layers(backbone)
    assert len(found) == layers and len(set(map(id, found))) == layers
    assert not set(map(id, found)) & {id(backbones.content_layers(backbone)[-1])}


def test_a_transformer_is_refused_in_a_line():
    backbone, features = backbones.build("vit_tiny_patch16_224", 224)
    trained = Network(backbone, features, [8], 3, True).train()
    with mixstyle.mixing(trained, 1.0), pytest.raises(OncovecError, match="convolutional") as error:
        trained(torch.rand(2, 3, 224, 224))
    assert "\n" not in str(error.value)
