"""Names with options: split and joined again, and built."""

import pytest
import torch
import torchvision

from lightning_resnets.errors import ModelError
from lightning_resnets.models.model_names import join_options, split_options
from lightning_resnets.models.registry import create_model
from tests.helpers.third_party_models import randomize_stats

OPTIONS = {
    "stride_in": "1x1",
    "output_stride": 8,
    "depths": (3, 4, 6, 3),
    "head_widths": (512,),
    "share_first": False,
    "compression": 0.25,
}


def test_options_survive_a_round_trip() -> None:
    assert split_options(join_options("resnet50", OPTIONS)) == ("resnet50", OPTIONS)
    assert split_options("resnet50") == ("resnet50", {})
    assert split_options("module:function") == ("module:function", {})


@pytest.mark.parametrize("name", ["resnet50,", "resnet50,stride_in", "resnet50,=3", "resnet50,a="])
def test_options_without_a_value_raise(name: str) -> None:
    with pytest.raises(ModelError, match="has no value"):
        split_options(name)


def test_unknown_options_raise() -> None:
    with pytest.raises(ModelError, match="does not take these options"):
        create_model("resnet18,colour=red")


@pytest.mark.parametrize(
    ("output_stride", "replaced"), [(8, [False, True, True]), (16, [False, False, True])]
)
def test_output_stride_dilates_as_torchvision_does(
    output_stride: int, replaced: list[bool]
) -> None:
    theirs = randomize_stats(
        torchvision.models.resnet50(num_classes=3, replace_stride_with_dilation=replaced)
    )
    ours = create_model(f"resnet50,output_stride={output_stride}", 3).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_output_stride_must_be_that_of_a_stage() -> None:
    with pytest.raises(ValueError, match="output_stride must be one of 4, 8, 16, 32, got 5"):
        create_model("resnet50,output_stride=5")


def test_models_without_a_last_layer_return_features() -> None:
    x = torch.randn(1, 3, 32, 32)
    for name, channels in (("resnet20", 64), ("preresnet20", 64), ("densenet_bc_40_12", 132)):
        assert create_model(name, 0).eval()(x).shape == (1, channels)
    assert create_model("torchvision/resnet18", 0).eval()(x).shape == (1, 512)


def test_hidden_layers_of_a_head() -> None:
    head = create_model("resnet20,head_widths=32-16", 5).get_submodule("fc")
    assert str([type(layer).__name__ for layer in head.children()]) == str(
        ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    )
    assert head(torch.zeros(1, 64)).shape == (1, 5)
