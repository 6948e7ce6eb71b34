"""Residual nets and their plain twins, with ImageNet's or CIFAR's stem, with or without SE.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385; SE: arXiv:1709.01507. Parameters
are named as torchvision names them (`se.fc1`, `se.fc2` as timm does), so state dicts travel both ways.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.merge import Add
from lightning_resnets.se import SqueezeExcite

Shortcut = Literal["A", "B", "none"]
Stem = Literal["imagenet", "cifar"]


class Pad(nn.Module):
    """Shortcut A: take every `stride`-th pixel and fill up the new channels with zeros, half in front, half behind."""

    def __init__(self, inplanes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.inplanes, self.planes, self.stride = inplanes, planes, stride

    def forward(self, x: Tensor) -> Tensor:
        front = (self.planes - self.inplanes) // 2
        behind = self.planes - self.inplanes - front
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, front, behind))  # (N, planes, H / stride, W / stride)

    def extra_repr(self) -> str:
        return f"{self.inplanes}, {self.planes}, stride={self.stride}"


def conv3x3(inplanes: int, planes: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inplanes, planes, 3, stride, padding=1, groups=groups, bias=False)


def conv1x1(inplanes: int, planes: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inplanes, planes, 1, stride, bias=False)


def projection(inplanes: int, planes: int, stride: int, shortcut: Shortcut) -> nn.Module | None:
    """What makes the shortcut fit the branch: nothing, zeros (A) or a 1x1 convolution (B)."""
    if shortcut == "none" or (stride == 1 and inplanes == planes):
        return None
    if shortcut == "A":
        return Pad(inplanes, planes, stride)
    return nn.Sequential(conv1x1(inplanes, planes, stride), nn.BatchNorm2d(planes))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; shortcut "none" makes the same block without its Add (the plain twin)."""

    expansion = 1

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, shortcut: Shortcut = "B", se: int = 0, groups: int = 1,
        width: int = 64,
    ) -> None:  # fmt: skip
        super().__init__()
        if groups != 1 or width != 64:
            raise ValueError("A basic block has one group of 64; groups and width belong to the bottleneck nets.")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.se = SqueezeExcite(planes, se) if se else None
        self.downsample = projection(inplanes, planes, stride, shortcut)
        self.add = None if shortcut == "none" else Add()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu1(self.bn1(self.conv1(x)))  # (N, C, H / stride, W / stride)
        branch = self.bn2(self.conv2(branch))
        if self.se is not None:
            branch = self.se(branch)
        if self.add is None:
            return self.relu2(branch)
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu2(self.add(shortcut, branch))

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2


class Bottleneck(nn.Module):
    """1x1 narrows, 3x3 works, 1x1 widens by 4; the stride lies in the 3x3 ("v1.5"), as in torchvision."""

    expansion = 4

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, shortcut: Shortcut = "B", se: int = 0, groups: int = 1,
        width: int = 64,
    ) -> None:  # fmt: skip
        super().__init__()
        inner, outplanes = planes * width // 64 * groups, planes * self.expansion
        self.conv1 = conv1x1(inplanes, inner)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(inner, inner, stride, groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = conv1x1(inner, outplanes)
        self.bn3 = nn.BatchNorm2d(outplanes)
        self.se = SqueezeExcite(outplanes, se) if se else None
        self.downsample = projection(inplanes, outplanes, stride, shortcut)
        self.add = None if shortcut == "none" else Add()
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu1(self.bn1(self.conv1(x)))  # (N, inner, H, W)
        branch = self.relu2(self.bn2(self.conv2(branch)))  # (N, inner, H / stride, W / stride)
        branch = self.bn3(self.conv3(branch))  # (N, 4 planes, H / stride, W / stride)
        if self.se is not None:
            branch = self.se(branch)
        if self.add is None:
            return self.relu3(branch)
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu3(self.add(shortcut, branch))

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3


Block = BasicBlock | Bottleneck


class ResNet(nn.Module):
    """Stem, stages `layer1` to `layer{len(depths)}` of blocks, global mean, `fc`.

    `stem` is "imagenet" (7x7 stride 2 and max-pool, 64 wide) or "cifar" (one 3x3, 16 wide, arXiv:1512.03385 section
    4.2). `shortcut` is the paper's option: "A" parameter-free, "B" projection where the shape changes, "none" for
    the plain twin. `se` is the reduction r of squeeze-and-excitation, 0 for none. Input (N, 3, H, W), output
    (N, classes) logits.
    """

    def __init__(
        self,
        block: Callable[..., Block],
        depths: tuple[int, ...],
        classes: int = 1000,
        stem: Stem = "imagenet",
        shortcut: Shortcut = "B",
        se: int = 0,
        groups: int = 1,
        width: int = 64,
        zero_gamma: bool = False,
    ) -> None:
        super().__init__()
        if stem not in get_args(Stem) or shortcut not in get_args(Shortcut):
            raise ValueError(
                f"stem {stem!r}, shortcut {shortcut!r}: take one of {get_args(Stem)}, {get_args(Shortcut)}"
            )
        planes = 16 if stem == "cifar" else 64
        self.conv1 = conv3x3(3, planes) if stem == "cifar" else nn.Conv2d(3, planes, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if stem == "imagenet" else None
        self.stages = len(depths)
        inplanes = planes
        for stage, depth in enumerate(depths):
            blocks: list[nn.Module] = []
            for index in range(depth):
                stride = 2 if stage and index == 0 else 1
                blocks.append(block(inplanes, planes << stage, stride, shortcut, se, groups, width))
                inplanes = (planes << stage) * block.expansion  # type: ignore[attr-defined]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inplanes, classes)
        self._start(zero_gamma)

    def _start(self, zero_gamma: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (BasicBlock, Bottleneck)) and zero_gamma:
                nn.init.zeros_(module.last_norm().weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)  # (N, C << stage, H >> stage, W >> stage)
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.fc(x)  # (N, classes)
