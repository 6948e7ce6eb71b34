"""Residual models whose sum nothing touches: batch norm and ReLU come before each convolution; and wide ones.

He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks, arXiv:1603.05027; Zagoruyko, Komodakis: Wide Residual
Networks, arXiv:1605.07146. As in the code of both papers a block that projects its shortcut activates before the two
paths part, and a projection is a 1x1 convolution without batch norm.
"""

from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from lightning_resnets.models.residual_blocks import (
    ResidualBlock,
    Shortcut,
    StrideIn,
    bottleneck_strides,
    conv1x1,
    conv3x3,
    make_add,
    make_shortcut,
    make_stage,
    out_channels,
)
from lightning_resnets.models.squeeze_excite import SEOptions


class PreActBlock(ResidualBlock):
    """A block whose first activation lies in the branch, or where `shared` in front of both paths."""

    bn1: nn.BatchNorm2d
    relu1: nn.ReLU
    shared: bool

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu1(self.bn1(x))  # (N, C, H, W)
        branch = self.apply_se("standard", self.branch(self.apply_se("pre", active)))
        return self.apply_se("post", self.merge_shortcut(active if self.shared else x, branch))

    def branch(self, active: Tensor) -> Tensor:
        raise NotImplementedError


class PreActBasicBlock(PreActBlock):
    """Two 3x3 convolutions, with dropout before the second where asked for (wide models, section 2.4)."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: Shortcut = "B",
        dropout: float = 0.0,
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inplanes)
        self.relu1 = nn.ReLU()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu2 = nn.ReLU()
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.conv2 = conv3x3(planes, planes)
        self.se = self.add_se(inplanes, planes, planes, **se_kwargs)
        self.downsample = make_shortcut(inplanes, planes, stride, shortcut_type, norm=False)
        self.add = make_add(shortcut_type, self.se_place)
        self.shared = self.downsample is not None

    def branch(self, active: Tensor) -> Tensor:
        active = self.relu2(
            self.apply_se("3x3", self.bn2(self.conv1(active)))
        )  # (N, C, H / stride, W / stride)
        return self.conv2(active if self.dropout is None else self.dropout(active))


class PreActBottleneck(PreActBlock):
    """1x1 narrows (and takes the stride, as in the authors' code), 3x3 works, 1x1 widens by 4."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: Shortcut = "B",
        stride_in: StrideIn = "1x1",
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        outplanes = planes * self.expansion
        first, second = bottleneck_strides(stride, stride_in)
        self.bn1 = nn.BatchNorm2d(inplanes)
        self.relu1 = nn.ReLU()
        self.conv1 = conv1x1(inplanes, planes, first)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu2 = nn.ReLU()
        self.conv2 = conv3x3(planes, planes, second)
        self.bn3 = nn.BatchNorm2d(planes)
        self.relu3 = nn.ReLU()
        self.conv3 = conv1x1(planes, outplanes)
        self.se = self.add_se(inplanes, planes, outplanes, **se_kwargs)
        self.downsample = make_shortcut(inplanes, outplanes, stride, shortcut_type, norm=False)
        self.add = make_add(shortcut_type, self.se_place)
        self.shared = self.downsample is not None

    def branch(self, active: Tensor) -> Tensor:
        active = self.relu2(self.bn2(self.conv1(active)))  # (N, planes, H, W)
        active = self.apply_se(
            "3x3", self.bn3(self.conv2(active))
        )  # (N, planes, H / stride, W / stride)
        return self.conv3(self.relu3(active))  # (N, 4 planes, H / stride, W / stride)


class PreActResNet(nn.Module):
    """One 3x3 of 16 channels, stages `layer1` to `layer3`, last `bn` and `relu`, global mean, `fc`: for CIFAR.

    `widen` multiplies the stages' planes of 16, 32, 64 (the k of WRN-n-k). The very first block activates before its
    paths part (appendix of arXiv:1603.05027); with `share_first` off only where its shortcut is a projection.
    `stem_norm` puts batch norm and ReLU behind the first convolution, and without `last_norm` there are none at the
    end, as some published models have it. All other options go to the blocks: `shortcut`, `dropout`, `stride_in`, `se`
    and its kin (`SEOptions`). Input (N, 3, H, W), output (N, classes) logits.
    """

    def __init__(
        self,
        block: Callable[..., PreActBlock],
        depths: tuple[int, ...],
        widen_factor: int = 1,
        num_classes: int = 10,
        share_first: bool = True,
        stem_norm: bool = False,
        last_norm: bool = True,
        **block_kwargs: Any,
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(3, 16)
        self.bn1, self.relu1 = (nn.BatchNorm2d(16), nn.ReLU()) if stem_norm else (None, None)
        self.stages = len(depths)
        inplanes = 16
        for index, depth in enumerate(depths):
            planes = (16 << index) * widen_factor
            blocks = make_stage(block, depth, inplanes, planes, 2 if index else 1, **block_kwargs)
            self.add_module(f"layer{index + 1}", blocks)
            inplanes = out_channels(block, planes)
        first = self.get_submodule("layer1.0")
        assert isinstance(first, PreActBlock)
        first.shared = first.shared or share_first
        self.bn, self.relu = (nn.BatchNorm2d(inplanes), nn.ReLU()) if last_norm else (None, None)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inplanes, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)  # (N, 16, H, W)
        if self.bn1 is not None and self.relu1 is not None:
            x = self.relu1(self.bn1(x))
        for index in range(self.stages):
            x = self.get_submodule(f"layer{index + 1}")(
                x
            )  # (N, C << index, H >> index, W >> index)
        if self.bn is not None and self.relu is not None:
            x = self.relu(self.bn(x))
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.fc(x)  # (N, classes)
