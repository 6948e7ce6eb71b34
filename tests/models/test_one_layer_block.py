"""Compare a residual block of one layer with the plain layer that it equals."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_resnets import create_model
from lightning_resnets.models.one_layer_block import OneLayerBlock
from lightning_resnets.models.residual_blocks import BasicBlock, ResidualBlock
from tests.helpers.trained_like import randomize_batch_norms


def plain_layer(block: OneLayerBlock) -> nn.Conv2d:
    """Fold the batch norm and the shortcut of a block into one convolution."""
    norm = block.bn1
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    kernel = block.conv1.weight * scale[:, None, None, None]
    identity = nn.init.dirac_(torch.empty_like(kernel))
    out_channels, in_channels = kernel.shape[:2]
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    conv.weight.data = kernel + identity
    conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
    return conv


def test_block_equals_a_plain_layer() -> None:
    """He et al. 2015, section 3.2: y = W x + x."""
    torch.manual_seed(0)
    block = OneLayerBlock(8, 8).double()
    randomize_batch_norms(block)
    x = torch.randn(3, 8, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        conv = plain_layer(block).double()
        torch.testing.assert_close(block(x), F.relu(conv(x)))


def test_no_plain_layer_equals_a_block_of_two() -> None:
    """The branch of two layers is not even linear."""
    torch.manual_seed(0)
    block = randomize_batch_norms(BasicBlock(8, 8).double())
    one = randomize_batch_norms(OneLayerBlock(8, 8).double())
    x = torch.randn(3, 8, 6, 6, dtype=torch.float64)
    for module, is_affine in ((one, True), (block, False)):
        assert isinstance(module, ResidualBlock)
        if is_affine:
            module.set_submodule("relu1", nn.Identity())
        if isinstance(module, BasicBlock):
            module.set_submodule("relu2", nn.Identity())
        with torch.no_grad():
            middle = module(x) + module(-x) - 2 * module(torch.zeros_like(x))
        assert bool(middle.abs().max() < 1e-9) is is_affine


@pytest.mark.parametrize("depth", [20, 56])
def test_models_have_the_layers_of_the_models_of_two(depth: int) -> None:
    one = create_model(f"resnet{depth}_one_layer")
    two = create_model(f"resnet{depth}")
    convs = [sum(isinstance(m, nn.Conv2d) for m in model.modules()) for model in (one, two)]
    assert convs == [depth - 1, depth - 1]
    parameters = [sum(p.numel() for p in model.parameters()) for model in (one, two)]
    assert parameters[0] == parameters[1]


def test_zero_init_last_starts_every_block_at_the_identity() -> None:
    model = create_model("resnet20_one_layer", zero_init_last=True).eval()
    block = model.get_submodule("layer1.0")
    x = torch.rand(1, 16, 4, 4)
    assert torch.equal(block(x), x)
