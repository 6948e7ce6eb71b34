"""Layers whose sizes are lists, as in efficientnet_pytorch: drawn and counted like tuples."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges

SIZE = (3, 32, 32)


@pytest.mark.parametrize(
    ("listed", "plain"),
    [
        (nn.MaxPool2d([2, 2]), nn.MaxPool2d((2, 2))),
        (nn.AvgPool2d([2, 3], [1, 2]), nn.AvgPool2d((2, 3), (1, 2))),
        (nn.AdaptiveAvgPool2d([4, 4]), nn.AdaptiveAvgPool2d((4, 4))),
        (nn.LPPool2d(2, [2, 2]), nn.LPPool2d(2, (2, 2))),
        (nn.Conv2d(3, 4, [3, 1], [2, 2], [1, 0]), nn.Conv2d(3, 4, (3, 1), (2, 2), (1, 0))),
        (nn.Upsample([8, 8]), nn.Upsample((8, 8))),
        (nn.ZeroPad2d([1, 1, 0, 0]), nn.ZeroPad2d((1, 1, 0, 0))),
        (nn.Unfold([3, 3]), nn.Unfold((3, 3))),
        (nn.LayerNorm([32, 32]), nn.LayerNorm((32, 32))),
    ],
    ids=lambda module: type(module).__name__,
)
def test_lists_are_read_as_tuples(listed: Any, plain: nn.Module) -> None:
    assert str(trace(nn.Sequential(listed), SIZE)) == str(trace(nn.Sequential(plain), SIZE))


class SamePaddingConv(nn.Conv2d):
    """A convolution padded by hand, with its stride as a list and a layer inside."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stride = [self.stride[0]] * 2  # type: ignore[assignment]
        self.static_padding = nn.ZeroPad2d((1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.static_padding(x)
        return F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class SwishFunction(torch.autograd.Function):
    """x * sigmoid(x), which keeps only its input for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)


class MemoryEfficientSwish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return SwishFunction.apply(x)


class InvertedResidual(nn.Module):
    """A block of EfficientNet (Tan and Le 2019) with its squeeze and excitation by functions."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, 4 * width, 1)
        self.depthwise = SamePaddingConv(4 * width, 4 * width, 3, stride, groups=4 * width)
        self.reduce = nn.Conv2d(4 * width, width, 1)
        self.excite = nn.Conv2d(width, 4 * width, 1)
        self.project = nn.Conv2d(4 * width, width, 1)
        self.swish = MemoryEfficientSwish()
        self.stride = [stride, stride]

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.swish(self.expand(inputs))
        x = self.swish(self.depthwise(x))
        squeezed = self.excite(self.swish(self.reduce(F.adaptive_avg_pool2d(x, 1))))
        x = self.project(torch.sigmoid(squeezed) * x)
        if self.stride == [1, 1]:
            x = x + inputs
        return x


@pytest.mark.parametrize("backend", ["torch.fx", "recorder"])
def test_a_model_like_efficientnet_pytorch_is_traced(backend: str) -> None:
    torch.manual_seed(0)
    blocks = [InvertedResidual(4, stride) for stride in (1, 2, 1)]
    model = nn.Sequential(nn.Conv2d(3, 4, 1), *blocks).eval()
    with_merges = insert_merges(model, SIZE, backend)  # type: ignore[arg-type]
    images = torch.randn(2, *SIZE)
    assert torch.equal(with_merges(images), model(images))
    graph = trace(model, SIZE)
    kinds = [str(skip.kind) for skip in graph.skips]
    assert kinds == ["gate", "add", "gate", "gate", "add"]
    depthwise = [node for node in graph.nodes if "groups 16" in node.op]
    assert [node.op for node in depthwise] == [
        "conv 3x3 groups 16",
        "conv 3x3 /2 groups 16",
        "conv 3x3 groups 16",
    ]
    sides = (32, 16, 16)
    assert [node.macs for node in depthwise] == [16 * 9 * math.prod((s, s)) for s in sides]
