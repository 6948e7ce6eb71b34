"""Shapes, parameters and multiply-adds of every block against two libraries that count in their own
way.

torchinfo multiplies every parameter by the places where it is used, biases too; a norm's weight and
bias count once, and so does a linear layer that is used in many places. fvcore counts convolutions
and linear layers as we do, without biases, and beside them norms, pools and products of
activations, which we leave out as the papers do. What is compared is the weight of every
convolution and linear layer, exactly, block by block."""

import math
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchinfo import summary

from lightning_resnets import create_model
from lightning_resnets.graph import trace
from lightning_resnets.graph.data import Node
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.graph.model_graph import ModelGraph

OURS = (
    "resnet20",
    "seresnet20",
    "preresnet20",
    "highway19",
    "densenet_bc_40_12",
    "resnext50_32x4d",
    "seresnet50",
    "googlenet",
)
THEIRS = (
    "mobilenet_v2",
    "regnet_y_400mf",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "efficientnet_b0",
    "convnext_tiny",
    "densenet121",
    "vgg11",
)


def dilated() -> nn.Module:
    """Strides of the last two stages turned into dilations 2 and 4 (arXiv:1706.05587)."""
    from torchvision.models import resnet50

    return resnet50(num_classes=10, replace_stride_with_dilation=[False, True, True])


MAKERS: dict[str, Callable[[], nn.Module]] = {
    **{name: partial(create_model, name) for name in OURS},
    **{f"torchvision/{name}": partial(create_model, f"torchvision/{name}") for name in THEIRS},
    "torchvision/resnet50, dilated": dilated,
}
SLOW = {"seresnet50", "googlenet", "resnext50_32x4d"}
MODELS = [
    pytest.param(name, marks=pytest.mark.slow) if "/" in name or name in SLOW else name
    for name in MAKERS
]
SIZE = (3, 64, 64)


@cache
def make_model(name: str) -> nn.Module:
    return MAKERS[name]().eval()


@cache
def graph(name: str) -> ModelGraph:
    return trace(insert_merges(make_model(name), SIZE) if "/" in name else make_model(name), SIZE)


@cache
def told(name: str) -> dict[str, Any]:
    """Return torchinfo's entry of each module by its name."""
    paths = {id(module): path for path, module in make_model(name).named_modules()}
    found = summary(
        make_model(name), input_size=(1, *SIZE), verbose=0, depth=100, cache_forward_pass=False
    ).summary_list
    return {paths[id(layer.module)]: layer for layer in found}


def beside(module: nn.Module, output: list[int]) -> int:
    """Return torchinfo's count of a layer beyond its own weight's multiply-adds."""
    if isinstance(module, nn.Conv2d):
        return module.bias.numel() * math.prod(output[2:]) if module.bias is not None else 0
    if isinstance(
        module, nn.Linear
    ):  # a map of several places (ConvNeXt) is one place to torchinfo
        return module.bias.numel() if module.bias is not None else 0
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_as_torchinfo_counts_it(name: str) -> None:
    blocks = {block.name: block for block in graph(name).nodes}
    compared = Counter[str]()
    for path, layer in told(name).items():
        module = make_model(name).get_submodule(path)
        if not isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm)):
            continue
        block = blocks[path]
        assert block.shape == tuple(layer.output_size[1:]), path
        assert block.parameters == layer.num_params, path
        places = math.prod(block.shape[:-1]) if isinstance(module, nn.Linear) else 1
        assert block.macs == places * (layer.macs - beside(module, layer.output_size)), path
        compared[type(module).__name__] += 1
    assert compared.total() > 10
    assert sum(block.macs for block in blocks.values()) == sum(
        blocks[path].macs for path in told(name) if path in blocks and blocks[path].macs
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_folded_block_has_the_parameters_that_torchinfo_counts(name: str) -> None:
    whole = told(name)[""]
    assert graph(name).parameters == whole.num_params
    cells: dict[str, list[Node]] = {}
    for block in graph(name).fold("block").nodes:
        layers = sum(
            told(name)[member].num_params for member in block.members if member in told(name)
        )
        cell = (
            make_model(name).get_submodule(block.block)
            if block.block in told(name)
            else nn.Identity()
        )
        own = (
            0
            if block.block in block.members
            else sum(w.numel() for w in cell.parameters(recurse=False))
        )
        assert block.parameters in (
            layers,
            layers + own,
        )  # ConvNeXt's scale is its block's own weight
        cells.setdefault(block.block, []).append(block)
    for cell, blocks in cells.items():
        inside = all(
            f"{member}.".startswith(f"{cell}.") for block in blocks for member in block.members
        )
        if (
            cell in told(name) and inside
        ):  # a stem's batch norm stands in one block with its convolution
            assert sum(block.parameters for block in blocks) == told(name)[cell].num_params, cell


@pytest.mark.parametrize("name", MODELS)
def test_every_module_as_fvcore_counts_it(name: str) -> None:
    """Its `conv` and `linear` operators are what we count, summed over every module: blocks and
    stages too.
    """
    analysis = pytest.importorskip("fvcore.nn").FlopCountAnalysis
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stands on torch.jit
        counted = analysis(make_model(name), torch.zeros(1, *SIZE)).unsupported_ops_warnings(False)
        operators = counted.uncalled_modules_warnings(False).by_module_and_operator()
    ours: Counter[str] = Counter()
    for block in graph(name).nodes:
        parts = block.name.split(".")
        for length in range(len(parts) + 1):
            ours[".".join(parts[:length])] += block.macs
    theirs = {
        path: sum(found[word] for word in ("conv", "linear")) for path, found in operators.items()
    }
    assert theirs[""] == graph(name).macs > 0
    assert {path: macs for path, macs in theirs.items() if macs} == {
        p: ours[p] for p in theirs if ours[p]
    }


def test_operations_without_weights_cost_nothing() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            flat = x.flatten(2)
            return (flat @ flat.transpose(1, 2)).softmax(-1)

    assert (
        trace(Attention(), SIZE).macs == 0
    )  # products of activations: fvcore counts them, the papers' tables do not
