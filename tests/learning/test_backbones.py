import pytest
import timm
import tiny
import torch

from oncovec.core.errors import OncovecError
from oncovec.core.recipes import OWN_BACKBONES
from oncovec.learning import backbones


def width(name, size):
    module, features = backbones.build(name, size)
    with torch.inference_mode():
        output = module.eval()(torch.zeros(2, 3, size, size))
    assert output.ndim == 2
    return output.shape[1], features


@pytest.mark.parametrize("size", [16, 21, 48])
@pytest.mark.parametrize("name", OWN_BACKBONES)
def test_own_backbones_give_as_many_features_as_they_say(name, size):
    found, said = width(name, size)
    assert found == said


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "mobilenetv3_small_050", "ghostnet_050", "lcnet_050"]
)
def test_timm_backbones_give_as_many_features_as_they_say(name):
    found, said = width(name, 64)
    assert found == said


@pytest.mark.parametrize(
    ("name", "convolutions"),
    [
        ("triplet_cnn", [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]),
        ("siamese_cnn", [(3, 16), (16, 32), (32, 64)]),
        ("pcam_cnn", [(3, 32), (32, 64), (64, 128)]),
    ],
)
def test_own_backbones_have_the_published_convolutions(name, convolutions):
    module, _ = backbones.build(name, 32)
    found = [(m.in_channels, m.out_channels) for m in module if isinstance(m, torch.nn.Conv2d)]
    assert found == convolutions
    assert sum(p.numel() for p in module.parameters()) == sum(9 * a * b + b for a, b in convolutions)
    assert sum(isinstance(m, torch.nn.MaxPool2d) for m in module) == 3


def test_the_same_seed_gives_the_same_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return backbones.build("pcam_cnn", 16)[0].state_dict()

    first, second, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_an_input_is_not_enlarged_above_the_stored_size():
    assert backbones.input_size("resnet34", 224, 96) == 96
    assert backbones.input_size("resnet34", 64, 96) == 64
    assert backbones.input_size("triplet_cnn", 96, 16) == 16


def test_inception_gets_the_smallest_input_that_it_takes():
    smallest = backbones.input_size("inception_v3.tv_in1k", 96, 32)
    module = timm.create_model("inception_v3", num_classes=0).eval()
    with torch.inference_mode():
        assert module(torch.zeros(1, 3, smallest, smallest)).shape == (1, 2048)
        with pytest.raises(RuntimeError):
            module(torch.zeros(1, 3, smallest - 1, smallest - 1))


@pytest.mark.parametrize("name", ["inception_v3.tv_in1k", "resnet34.tv_in1k", "tf_efficientnet_lite0"])
def test_preprocessing_is_that_of_the_weights_own_configuration(name):
    architecture, _, tag = name.partition(".")
    model = timm.create_model(architecture, pretrained_cfg=tag or None)
    config = timm.data.resolve_model_data_config(model)
    found = backbones.preprocessing(name)
    assert (found.mean, found.std) == (config["mean"], config["std"])
    assert found.interpolation == config["interpolation"]


def test_lite_backbones_and_own_ones_see_pixels_from_minus_one_to_one():
    for name in ("tf_efficientnet_lite0", "triplet_cnn"):
        found = backbones.preprocessing(name)
        assert found.mean == found.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", ["resnet34x", "resnet34.no_such_tag", "", "hub/../x"])
def test_an_unknown_backbone_gets_one_line(name):
    with pytest.raises(OncovecError) as error:
        backbones.build(name, 32)
    line = tiny.one_line(error)
    assert repr(name) in line
    assert "triplet_cnn" in line


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("tf_efficientnet_lite0", ["blocks.4", "blocks.6"]),
        ("resnet34", ["layer3", "layer4"]),
        ("inception_v3", ["Mixed_6e", "Mixed_7c"]),
        ("vit_tiny_patch16_224", ["blocks.7", "blocks.11"]),
    ],
)
def test_content_layers_are_those_two_thirds_of_the_way_and_the_last(name, layers):
    backbone, _ = backbones.build(name, 96)
    assert backbones.content_layers(backbone) == [backbone.get_submodule(layer) for layer in layers]


def test_a_backbone_that_does_not_tell_its_layers_is_taken_whole():
    backbone, _ = backbones.build("resnet10t", 32)
    backbone.feature_info = [{"module": "no_such_layer", "reduction": 8}]
    assert backbones.content_layers(backbone) == [backbone]
    del backbone.feature_info
    assert backbones.content_layers(backbone) == [backbone]


@pytest.mark.parametrize("name", OWN_BACKBONES)
def test_the_content_layers_of_our_own_cnns_have_a_quarter_and_an_eighth_of_the_side(name):
    backbone, _ = backbones.build(name, 32)
    layers = list(backbone)
    sides = []
    for layer in backbones.content_layers(backbone):
        until = torch.nn.Sequential(*layers[: 1 + layers.index(layer)])
        sides.append(until(torch.zeros(1, 3, 32, 32)).shape[-1])
    assert sides == [8, 4]
