"""Residual networks and plain networks without skip connections, for ImageNet and for CIFAR.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385. Parameters are
named as in torchvision, so that state dicts can be exchanged.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_resnets.models.heads import make_head
from lightning_resnets.models.one_layer_block import OneLayerBlock
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck, make_stage
from lightning_resnets.models.stems import (
    Stem,
    StemDesign,
    StemPool,
    get_stem,
    make_stem_conv,
    make_stem_pool,
)

POOL_STRIDE = 2


class ResNet(nn.Module):
    """Stem, stages `layer1` to `layer{len(depths)}` of blocks, global mean, `fc`.

    Input (N, in_channels, H, W), output (N, num_classes) logits.

    Args:
        block: class or function that builds a block, see `make_stage`.
        depths: number of blocks in each stage.
        num_classes: width of the last layer; 0 for a feature extractor without one.
        stem: "imagenet" (7x7 convolution with stride 2 and max-pool, 64 channels), "cifar" (one
            3x3 convolution, 16 channels; section 4.2 of the paper), or "deep" (three 3x3
            convolutions and max-pool, 64 channels).
        stem_pool: border of the stem's max-pool: "pad" (torchvision) or "ceil", where the last
            window reaches over the edge (Caffe); "none" for no pool; None for the stem's own.
        zero_init_last: start the last batch norm of every block at 0, so that the block starts as
            the identity.
        stem_width: other number of channels of the stem; the stages' widths follow. ImageNet
            models on CIFAR have a "cifar" stem of 64.
        stem_kernel: other side of the first convolution's kernel.
        stem_stride: other stride of the first convolution.
        in_channels: channels of the image.
        first_width: planes of the first stage, if they differ from the stem's channels.
        output_stride: stride of the last feature map; stages that would exceed it have dilated
            convolutions instead of a stride, as in torchvision. None for no dilation.
        head_widths: widths of linear layers in front of the last one, each followed by ReLU.
        dropout: probability in front of the head.
        **block_kwargs: passed to the blocks: `shortcut_type`, `shortcut_kernel`, `shortcut_pad`,
            the options of `SEOptions`, and for bottlenecks `groups`, `base_width`, `stride_in` and
            `expansion`.

    Raises:
        ValueError: an option is not valid.
    """

    def __init__(
        self,
        block: Callable[..., nn.Module],
        depths: tuple[int, ...],
        num_classes: int = 1000,
        stem: Stem = "imagenet",
        stem_pool: StemPool | None = None,
        zero_init_last: bool = False,
        stem_width: int | None = None,
        stem_kernel: int | None = None,
        stem_stride: int | None = None,
        in_channels: int = 3,
        first_width: int | None = None,
        output_stride: int | None = None,
        head_widths: Sequence[int] = (),
        dropout: float = 0.0,
        **block_kwargs: Any,
    ) -> None:
        super().__init__()
        design = _choose_stem(stem, stem_pool, stem_width, stem_kernel, stem_stride)
        self.conv1 = make_stem_conv(stem, in_channels, design)
        self.bn1 = nn.BatchNorm2d(design.width)
        self.relu = nn.ReLU()
        # CIFAR images are too small to be halved twice before the first stage.
        self.maxpool = make_stem_pool(design.pool)
        stride = design.stride * (POOL_STRIDE if self.maxpool is not None else 1)
        strides = stage_strides(len(depths), stride, output_stride)
        widths = [(first_width or design.width) << index for index in range(len(depths))]
        inplanes = self._add_stages(block, depths, design.width, widths, strides, block_kwargs)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.fc = make_head(inplanes, num_classes, head_widths)
        self._reset_parameters(zero_init_last)

    def _add_stages(
        self,
        block: Callable[..., nn.Module],
        depths: tuple[int, ...],
        inplanes: int,
        widths: Sequence[int],
        strides: Sequence[tuple[int, int]],
        block_kwargs: dict[str, Any],
    ) -> int:
        """Add the stages, each twice as wide as the one before; return the last one's channels."""
        self.stages = len(depths)
        expansion = block_kwargs.get("expansion", getattr(block, "expansion", 1))
        previous = 1
        for index, depth in enumerate(depths):
            stride, dilation = strides[index]
            width = widths[index]
            dilations = (previous, dilation)
            stage = make_stage(
                block, depth, inplanes, width, stride, dilations=dilations, **block_kwargs
            )
            self.add_module(f"layer{index + 1}", stage)
            inplanes = expansion * width
            previous = dilation
        return inplanes

    def _reset_parameters(self, zero_init_last: bool) -> None:
        """Initialize convolutions as in He et al. 2015, arXiv:1502.01852."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_last and isinstance(module, (BasicBlock, Bottleneck, OneLayerBlock)):
                nn.init.zeros_(module.last_norm().weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.relu(self.bn1(self.conv1(x)))  # (N, stem_width, H / 2, W / 2), CIFAR: H, W
        if self.maxpool is not None:
            x = self.maxpool(x)
        for index in range(self.stages):
            # Each stage but the first doubles the channels and halves the sides.
            x = self.get_submodule(f"layer{index + 1}")(x)
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc(x)  # (N, num_classes), or (N, C) without a head


def _choose_stem(
    stem: Stem,
    pool: StemPool | None,
    width: int | None,
    kernel: int | None,
    stride: int | None,
) -> StemDesign:
    """Return a stem's sizes with those that were given."""
    design = get_stem(stem)
    return replace(
        design,
        kernel=kernel or design.kernel,
        stride=stride or design.stride,
        width=width or design.width,
        pool=pool or design.pool,
    )


def stage_strides(
    stages: int, stem_stride: int, output_stride: int | None
) -> tuple[tuple[int, int], ...]:
    """Return stride and dilation of each stage.

    Args:
        stages: number of stages; all but the first have stride 2.
        stem_stride: stride of everything in front of the first stage.
        output_stride: largest stride of the feature maps, or None for no limit.

    Returns:
        (stride, dilation) of each stage.

    Raises:
        ValueError: no stage has this output stride.
    """
    possible = [stem_stride << index for index in range(stages)]
    _check_output_stride(output_stride, possible)
    # DeepLab's rule: a stage that may not halve the sides dilates all that follow instead.
    strides = list[tuple[int, int]]()
    for total in possible:
        dilation = max(1, total // (output_stride or possible[-1]))
        stride = 2 if total > stem_stride and dilation == 1 else 1
        strides.append((stride, dilation))
    return tuple(strides)


def _check_output_stride(output_stride: int | None, possible: Sequence[int]) -> None:
    """Raise ValueError if no stage has this output stride."""
    if output_stride is not None and output_stride not in possible:
        listed = ", ".join(map(str, possible))
        raise ValueError(f"output_stride must be one of {listed}, got {output_stride!r}.")
