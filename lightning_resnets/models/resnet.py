"""Residual models and their plain twins, with ImageNet's or CIFAR's stem, of any residual block.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385. Parameters are named as torchvision
names them, so state dicts travel both ways.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_resnets.models.residual_blocks import (
    BasicBlock,
    Bottleneck,
    conv3x3,
    make_stage,
    out_channels,
)

Stem = Literal["imagenet", "cifar"]


StemPool = Literal["pad", "ceil"]


class ResNet(nn.Module):
    """Stem, stages `layer1` to `layer{len(depths)}` of blocks, global mean, `fc`.

    `stem` is "imagenet" (7x7 stride 2 and max-pool, 64 wide) or "cifar" (one 3x3, 16 wide, arXiv:1512.03385 section
    4.2). `pool` says how ImageNet's max-pool treats the border: padded (torchvision) or with the last window sticking
    out (Caffe, and what came from it). `stem_width` is another width, which all stages follow (ImageNet's models on CIFAR
    have a "cifar" stem of 64). `zero_gamma` starts every block as the identity. All other options go to the blocks:
    `shortcut`, the paper's option ("A" parameter-free, "B" projection where the shape changes, "C" projections
    everywhere, "none" for the plain twin), `se` and its kin (`SEOptions`), and for bottlenecks `groups`, `width` and
    `stride_in`. Input (N, 3, H, W), output (N, classes) logits.
    """

    def __init__(
        self,
        block: Callable[..., nn.Module],
        depths: tuple[int, ...],
        num_classes: int = 1000,
        stem: Stem = "imagenet",
        stem_pool: StemPool = "pad",
        zero_init_last: bool = False,
        stem_width: int | None = None,
        **block_kwargs: Any,
    ) -> None:
        super().__init__()
        if stem not in ("imagenet", "cifar"):
            raise ValueError(f"The stem is 'imagenet' or 'cifar', not {stem!r}.")
        planes = stem_width or (16 if stem == "cifar" else 64)
        self.conv1 = (
            conv3x3(3, planes)
            if stem == "cifar"
            else nn.Conv2d(3, planes, 7, 2, padding=3, bias=False)
        )
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.maxpool = make_stem_pool(stem_pool) if stem == "imagenet" else None
        self.stages = len(depths)
        inplanes = planes
        for index, depth in enumerate(depths):
            blocks = make_stage(
                block, depth, inplanes, planes << index, 2 if index else 1, **block_kwargs
            )
            self.add_module(f"layer{index + 1}", blocks)
            inplanes = out_channels(block, planes << index)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inplanes, num_classes)
        self._start(zero_init_last)

    def _start(self, zero_init_last: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (BasicBlock, Bottleneck)) and zero_init_last:
                nn.init.zeros_(module.last_norm().weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for index in range(self.stages):
            x = self.get_submodule(f"layer{index + 1}")(
                x
            )  # (N, C << index, H >> index, W >> index)
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.fc(x)  # (N, classes)


def make_stem_pool(pool: StemPool) -> nn.MaxPool2d:
    if pool not in ("pad", "ceil"):
        raise ValueError(f"The stem's max-pool is 'pad' or 'ceil', not {pool!r}.")
    return nn.MaxPool2d(3, 2, padding=1) if pool == "pad" else nn.MaxPool2d(3, 2, ceil_mode=True)
