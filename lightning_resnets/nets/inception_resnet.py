"""Inception-ResNet-v2: Inception branches whose scaled result is added to what they were given.

Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning,
arXiv:1602.07261. Parameters are named as timm names them, so state dicts travel both ways.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_resnets.merge import Add, Concat
from lightning_resnets.nets.inception import ConvUnit, start

Window = int | tuple[int, int]


def unit(inplanes: int, planes: int, kernel: Window = 1, same: bool = True, stride: int = 1) -> ConvUnit:
    """A convolution that keeps the size, or takes only whole windows."""
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (sides[0] // 2, sides[1] // 2) if same else 0
    return ConvUnit(inplanes, planes, kernel, stride=stride, padding=padding)


def line(*units: nn.Module) -> nn.Sequential:
    return nn.Sequential(*units)


class Mixed(nn.Module):
    """Branches `branch0` to `branch{n - 1}` and their `concat`."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = len(branches)
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        return self.concat(*(self.get_submodule(f"branch{index}")(x) for index in range(self.branches)))


class Rescale(nn.Module):
    """Times a constant: the paper's means against a training that dies early (section 3.3)."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor  # (N, C, H, W)

    def extra_repr(self) -> str:
        return str(self.factor)


class ResidualInception(Mixed):
    """relu(x + factor * conv2d(concat of the branches)): the conv2d brings the width back to that of x."""

    def __init__(
        self, planes: int, inner: int, factor: float, *branches: nn.Module, last: bool = False
    ) -> None:  # fmt: skip
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(inner, planes, 1)
        self.scale = Rescale(factor)
        self.add = Add()
        self.act = None if last else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.scale(self.conv2d(super().forward(x)))  # (N, planes, H, W)
        x = self.add(x, branch)
        return x if self.act is None else self.act(x)


def block35() -> ResidualInception:
    three = line(unit(320, 32), unit(32, 48, 3), unit(48, 64, 3))
    return ResidualInception(320, 128, 0.17, unit(320, 32), line(unit(320, 32), unit(32, 32, 3)), three)


def block17() -> ResidualInception:
    cross = line(unit(1088, 128), unit(128, 160, (1, 7)), unit(160, 192, (7, 1)))
    return ResidualInception(1088, 384, 0.10, unit(1088, 192), cross)


def block8(factor: float = 0.20, last: bool = False) -> ResidualInception:
    cross = line(unit(2080, 192), unit(192, 224, (1, 3)), unit(224, 256, (3, 1)))
    return ResidualInception(2080, 448, factor, unit(2080, 192), cross, last=last)


def mixed_5b() -> Mixed:
    return Mixed(
        unit(192, 96),
        line(unit(192, 48), unit(48, 64, 5)),
        line(unit(192, 64), unit(64, 96, 3), unit(96, 96, 3)),
        line(nn.AvgPool2d(3, 1, padding=1, count_include_pad=False), unit(192, 64)),
    )


def mixed_6a() -> Mixed:
    three = line(unit(320, 256), unit(256, 256, 3), unit(256, 384, 3, same=False, stride=2))
    return Mixed(unit(320, 384, 3, same=False, stride=2), three, nn.MaxPool2d(3, 2))


def mixed_7a() -> Mixed:
    return Mixed(
        line(unit(1088, 256), unit(256, 384, 3, same=False, stride=2)),
        line(unit(1088, 256), unit(256, 288, 3, same=False, stride=2)),
        line(unit(1088, 256), unit(256, 288, 3), unit(288, 320, 3, same=False, stride=2)),
        nn.MaxPool2d(3, 2),
    )


class InceptionResNetV2(nn.Module):
    """Stem, `mixed_5b`, ten, twenty and nine residual blocks with reductions between them, `block8`, `classif`.

    `depths` shortens it. Input (N, 3, H, W) of at least 75 pixels a side, 299 in the paper; output (N, classes) logits.
    """

    def __init__(
        self, classes: int = 1000, depths: Sequence[int] = (10, 20, 9), dropout: float = 0.0
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv2d_1a = unit(3, 32, 3, same=False, stride=2)
        self.conv2d_2a = unit(32, 32, 3, same=False)
        self.conv2d_2b = unit(32, 64, 3)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = unit(64, 80)
        self.conv2d_4a = unit(80, 192, 3, same=False)
        self.maxpool_5a = nn.MaxPool2d(3, 2)
        self.mixed_5b = mixed_5b()
        self.repeat = line(*(block35() for _ in range(depths[0])))
        self.mixed_6a = mixed_6a()
        self.repeat_1 = line(*(block17() for _ in range(depths[1])))
        self.mixed_7a = mixed_7a()
        self.repeat_2 = line(*(block8() for _ in range(depths[2])))
        self.block8 = block8(1.0, last=True)
        self.conv2d_7b = unit(2080, 1536)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.classif = nn.Linear(1536, classes)
        start(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))  # (N, 64, H / 2, W / 2), less the border
        x = self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x)))  # (N, 192, H / 4, W / 4)
        x = self.repeat(self.mixed_5b(self.maxpool_5a(x)))  # (N, 320, H / 8, W / 8)
        x = self.repeat_1(self.mixed_6a(x))  # (N, 1088, H / 16, W / 16)
        x = self.block8(self.repeat_2(self.mixed_7a(x)))  # (N, 2080, H / 32, W / 32)
        x = torch.flatten(self.avgpool(self.conv2d_7b(x)), 1)  # (N, 1536)
        return self.classif(x if self.dropout is None else self.dropout(x))  # (N, classes)
