"""Densely connected models: every layer is given all that the layers before it in its block have made.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, arXiv:1608.06993. Parameters are named
as torchvision names them, so state dicts travel both ways. `memory_efficient`: Pleiss et al., Memory-Efficient
Implementation of DenseNets, arXiv:1707.06990.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_resnets.merges import Concat


class DenseLayer(nn.Module):
    """BN, ReLU, 3x3 convolution to `growth` channels; with a bottleneck ("B") of 1x1 to 4 growth before it.

    With `memory_efficient`, training keeps neither the concatenated input nor its norm: backward makes them again.
    """

    def __init__(
        self,
        inplanes: int,
        growth_rate: int,
        bottleneck_factor: int = 4,
        dropout: float = 0.0,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.memory_efficient = memory_efficient
        inner = bottleneck_factor * growth_rate
        self.concat = Concat()
        self.norm1 = nn.BatchNorm2d(inplanes)
        self.relu1 = nn.ReLU()
        if bottleneck_factor:
            self.conv1 = nn.Conv2d(inplanes, inner, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(inner)
            self.relu2 = nn.ReLU()
            self.conv2 = nn.Conv2d(inner, growth_rate, 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(inplanes, growth_rate, 3, padding=1, bias=False)
            self.norm2 = self.relu2 = self.conv2 = None
        self.dropout = nn.Dropout(dropout) if dropout else None

    def forward(self, *parts: Tensor) -> Tensor:
        if self.memory_efficient and self.training and torch.is_grad_enabled():
            x = checkpoint(self.bottleneck, *parts, use_reentrant=False, context_fn=self._contexts)
        else:
            x = self.bottleneck(*parts)
        if self.conv2 is not None and self.norm2 is not None and self.relu2 is not None:
            x = self.conv2(self.relu2(self.norm2(x)))
        return x if self.dropout is None else self.dropout(x)  # (N, growth, H, W)

    def bottleneck(self, *parts: Tensor) -> Tensor:
        """What is cheap to make again and large to keep: concat, norm, ReLU, and the first convolution behind them."""
        return self.conv1(self.relu1(self.norm1(self.concat(*parts))))

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._again()

    @contextmanager
    def _again(self) -> Iterator[None]:
        """The second pass must not move the norm's running statistics a second time."""
        norm = self.norm1
        momentum, norm.momentum = norm.momentum, 0.0
        count, norm.num_batches_tracked = norm.num_batches_tracked, None
        try:
            yield
        finally:
            norm.momentum, norm.num_batches_tracked = momentum, count


class DenseBlock(nn.Module):
    """`denselayer1` to `denselayer{depth}`; gives its input and all layers' outputs behind one another."""

    def __init__(
        self,
        depth: int,
        inplanes: int,
        growth_rate: int,
        bottleneck_factor: int,
        dropout: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.depth = depth
        for index in range(depth):
            layer = DenseLayer(
                inplanes + index * growth_rate,
                growth_rate,
                bottleneck_factor,
                dropout,
                memory_efficient,
            )
            self.add_module(f"denselayer{index + 1}", layer)
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        parts = [x]
        for index in range(self.depth):
            parts.append(self.get_submodule(f"denselayer{index + 1}")(*parts))
        return self.concat(*parts)  # (N, inplanes + depth * growth, H, W)


class Transition(nn.Sequential):
    """BN, ReLU, 1x1 convolution, 2x2 mean: narrows the maps and, with compression, the width."""

    def __init__(self, inplanes: int, planes: int) -> None:
        super().__init__(
            OrderedDict(
                norm=nn.BatchNorm2d(inplanes),
                relu=nn.ReLU(),
                conv=nn.Conv2d(inplanes, planes, 1, bias=False),
                pool=nn.AvgPool2d(2),
            )
        )


def imagenet_stem(width: int) -> "OrderedDict[str, nn.Module]":
    return OrderedDict(
        conv0=nn.Conv2d(3, width, 7, 2, padding=3, bias=False),
        norm0=nn.BatchNorm2d(width),
        relu0=nn.ReLU(),
        pool0=nn.MaxPool2d(3, 2, padding=1),
    )


def cifar_stem(width: int) -> "OrderedDict[str, nn.Module]":
    return OrderedDict(conv0=nn.Conv2d(3, width, 3, padding=1, bias=False))


class DenseNet(nn.Module):
    """Stem, dense blocks with transitions between them, last BN and ReLU, global mean, `classifier`.

    `growth` is the paper's k, `stem_width` the channels before the first block, `bottleneck` the factor of the 1x1
    ("B" is 4, none is 0), `compression` the share of channels that a transition keeps ("C" is 0.5).
    `memory_efficient` trades time for memory in training; outputs, gradients and statistics stay the same. Input
    (N, 3, H, W), output (N, classes) logits.
    """

    def __init__(
        self,
        depths: tuple[int, ...],
        growth_rate: int = 32,
        stem_width: int = 64,
        num_classes: int = 1000,
        stem: Literal["imagenet", "cifar"] = "imagenet",
        bottleneck_factor: int = 4,
        compression: float = 0.5,
        dropout: float = 0.0,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            imagenet_stem(stem_width) if stem == "imagenet" else cifar_stem(stem_width)
        )
        planes = stem_width
        for index, depth in enumerate(depths, 1):
            block = DenseBlock(
                depth, planes, growth_rate, bottleneck_factor, dropout, memory_efficient
            )
            self.features.add_module(f"denseblock{index}", block)
            planes += depth * growth_rate
            if index < len(depths):
                kept = int(planes * compression)
                self.features.add_module(f"transition{index}", Transition(planes, kept))
                planes = kept
        self.features.add_module("norm5", nn.BatchNorm2d(planes))
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(planes, num_classes)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.features(x))  # (N, C, H, W)
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.classifier(x)  # (N, classes)
