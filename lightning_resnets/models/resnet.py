"""Residual networks and plain networks without skip connections, for ImageNet and for CIFAR.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385. Parameters are
named as in torchvision, so that state dicts can be exchanged.
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

# Both have the names of the datasets that they were designed for.
Stem = Literal["imagenet", "cifar"]
StemPool = Literal["pad", "ceil"]


class ResNet(nn.Module):
    """Stem, stages `layer1` to `layer{len(depths)}` of blocks, global mean, `fc`.

    Input (N, 3, H, W), output (N, num_classes) logits.

    Args:
        block: class or function that builds a block, see `make_stage`.
        depths: number of blocks in each stage.
        num_classes: width of the last layer.
        stem: "imagenet" (7x7 convolution with stride 2 and max-pool, 64 channels) or "cifar" (one
            3x3 convolution, 16 channels; section 4.2 of the paper).
        stem_pool: border of ImageNet's max-pool: "pad" (torchvision) or "ceil", where the last
            window reaches over the edge (Caffe).
        zero_init_last: start the last batch norm of every block at 0, so that the block starts as
            the identity.
        stem_width: other number of channels of the stem; the stages' widths follow. ImageNet
            models on CIFAR have a "cifar" stem of 64.
        **block_kwargs: passed to the blocks: `shortcut_type`, the options of `SEOptions`, and for
            bottlenecks `groups`, `base_width` and `stride_in`.

    Raises:
        ValueError: an option is not valid.
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
        planes = stem_width or (16 if stem == "cifar" else 64)
        self.conv1 = make_stem_conv(stem, planes)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        # CIFAR images are too small to be halved twice before the first stage.
        self.maxpool = make_stem_pool(stem_pool) if stem == "imagenet" else None
        inplanes = self._add_stages(block, depths, planes, block_kwargs)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inplanes, num_classes)
        self._reset_parameters(zero_init_last)

    def _add_stages(
        self,
        block: Callable[..., nn.Module],
        depths: tuple[int, ...],
        planes: int,
        block_kwargs: dict[str, Any],
    ) -> int:
        """Add the stages, each twice as wide as the one before; return the last one's channels."""
        self.stages = len(depths)
        inplanes = planes
        for index, depth in enumerate(depths):
            width = planes << index
            # The stem has done the first reduction.
            stride = 2 if index else 1
            stage = make_stage(block, depth, inplanes, width, stride, **block_kwargs)
            self.add_module(f"layer{index + 1}", stage)
            inplanes = out_channels(block, width)
        return inplanes

    def _reset_parameters(self, zero_init_last: bool) -> None:
        """Initialize convolutions as in He et al. 2015, arXiv:1502.01852."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (BasicBlock, Bottleneck)) and zero_init_last:
                nn.init.zeros_(module.last_norm().weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, num_classes)."""
        x = self.relu(self.bn1(self.conv1(x)))  # (N, stem_width, H / 2, W / 2), CIFAR: H, W
        if self.maxpool is not None:
            x = self.maxpool(x)
        for index in range(self.stages):
            # Each stage but the first doubles the channels and halves the sides.
            x = self.get_submodule(f"layer{index + 1}")(x)
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.fc(x)  # (N, num_classes)


def make_stem_conv(stem: Stem, planes: int) -> nn.Conv2d:
    """Build the first convolution.

    Args:
        stem: "imagenet" or "cifar".
        planes: channels of the output.

    Returns:
        A 7x7 convolution with stride 2, or a 3x3 convolution.

    Raises:
        ValueError: `stem` is not valid.
    """
    if stem not in ("imagenet", "cifar"):
        raise ValueError(f"stem must be 'imagenet' or 'cifar', got {stem!r}.")
    if stem == "cifar":
        return conv3x3(3, planes)
    return nn.Conv2d(3, planes, 7, 2, padding=3, bias=False)


def make_stem_pool(stem_pool: StemPool) -> nn.MaxPool2d:
    """Build ImageNet's max-pool.

    Args:
        stem_pool: "pad" or "ceil", see `ResNet`.

    Returns:
        A 3x3 max-pool with stride 2.

    Raises:
        ValueError: `stem_pool` is not valid.
    """
    if stem_pool not in ("pad", "ceil"):
        raise ValueError(f"stem_pool must be 'pad' or 'ceil', got {stem_pool!r}.")
    if stem_pool == "pad":
        return nn.MaxPool2d(3, 2, padding=1)
    return nn.MaxPool2d(3, 2, ceil_mode=True)
