"""Pre-activation residual networks, in which nothing follows the sum, and wide ones.

He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks, arXiv:1603.05027; Zagoruyko,
Komodakis: Wide Residual Networks, arXiv:1605.07146. As in the code of both papers a block whose
shortcut is a projection activates before the two paths part, and the projection is a 1x1
convolution without batch norm.
"""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from lightning_resnets.models.heads import make_head
from lightning_resnets.models.residual_blocks import (
    ResidualBlock,
    StrideIn,
    bottleneck_strides,
    conv3x3,
    make_stage,
    out_channels,
)
from lightning_resnets.models.shortcuts import ShortcutType, conv1x1, make_add, make_shortcut
from lightning_resnets.models.squeeze_excite import SEOptions

# Channels of the first convolution; not multiplied by widen_factor (arXiv:1605.07146, table 1).
STEM_WIDTH = 16


class PreActBlock(ResidualBlock):
    """Block whose first activation lies in the branch, or if `shared` in front of both paths."""

    bn1: nn.BatchNorm2d
    relu1: nn.ReLU
    shared: bool

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inplanes, H, W) to (N, planes, H / stride, W / stride)."""
        active = self.relu1(self.bn1(x))  # (N, inplanes, H, W)
        branch = self.apply_se("standard", self.branch(self.apply_se("pre", active)))
        # An identity shortcut carries the raw input, a projection the activated one.
        shortcut = active if self.shared else x
        return self.apply_se("post", self.merge_shortcut(shortcut, branch))

    def branch(self, active: Tensor) -> Tensor:
        """Compute the branch behind its first activation.

        Args:
            active: activated input (N, inplanes, H, W).

        Returns:
            The branch's output (N, planes, H / stride, W / stride).
        """
        raise NotImplementedError


class PreActBasicBlock(PreActBlock):
    """Two 3x3 convolutions, each behind batch norm and ReLU (arXiv:1603.05027, figure 1b).

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        stride: stride of the first convolution.
        shortcut_type: see `make_shortcut`.
        dropout: probability in front of the second convolution (arXiv:1605.07146, section 2.4).
        **se_kwargs: see `SEOptions`.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: ShortcutType = "B",
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
        self.se = self.make_block_se(inplanes, planes, planes, **se_kwargs)
        self.downsample = make_shortcut(inplanes, planes, stride, shortcut_type, norm=False)
        self.add = make_add(shortcut_type, self.se_placement)
        # The first block of the model is shared too, see PreActResNet.
        self.shared = self.downsample is not None

    def branch(self, active: Tensor) -> Tensor:
        """Map the activated input to the branch's output.

        Args:
            active: the block's input behind its first norm and ReLU.

        Returns:
            The output, which the shortcut is added to.
        """
        active = self.apply_se("3x3", self.bn2(self.conv1(active)))
        active = self.relu2(active)  # (N, planes, H / stride, W / stride)
        if self.dropout is not None:
            active = self.dropout(active)
        return self.conv2(active)  # (N, planes, H / stride, W / stride)


class PreActBottleneck(PreActBlock):
    """1x1 convolution that narrows, 3x3 convolution, 1x1 convolution that widens by 4.

    Args:
        inplanes: channels of the input.
        planes: a quarter of the output's channels.
        stride: stride of the block.
        shortcut_type: see `make_shortcut`.
        stride_in: convolution with the stride, "1x1" in the authors' code.
        **se_kwargs: see `SEOptions`.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: ShortcutType = "B",
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
        self.se = self.make_block_se(inplanes, planes, outplanes, **se_kwargs)
        self.downsample = make_shortcut(inplanes, outplanes, stride, shortcut_type, norm=False)
        self.add = make_add(shortcut_type, self.se_placement)
        self.shared = self.downsample is not None

    def branch(self, active: Tensor) -> Tensor:
        """Map the activated input to the branch's output.

        Args:
            active: the block's input behind its first norm and ReLU.

        Returns:
            The output, which the shortcut is added to.
        """
        active = self.relu2(self.bn2(self.conv1(active)))
        active = self.apply_se("3x3", self.bn3(self.conv2(active)))  # (N, planes, H / s, W / s)
        return self.conv3(self.relu3(active))  # (N, 4 planes, H / stride, W / stride)


class PreActResNet(nn.Module):
    """Stem, stages `layer1` to `layer{len(depths)}`, `bn`, `relu`, global mean, `fc`: for CIFAR.

    Input (N, in_channels, H, W), output (N, num_classes) logits.

    Args:
        block: class or function that builds a block, see `make_stage`.
        depths: number of blocks in each stage.
        widen_factor: factor on the stages' planes of 16, 32, 64 (the k of WRN-n-k).
        num_classes: width of the last layer; 0 for a feature extractor without one.
        share_first: activate in front of both paths of the very first block (appendix of
            arXiv:1603.05027); otherwise only if its shortcut is a projection.
        stem_norm: put batch norm and ReLU behind the first convolution.
        last_norm: put batch norm and ReLU behind the last block; some published models have none.
        stem_width: channels of the first convolution; the stages' planes are this, twice and four
            times this, and so on, times `widen_factor`.
        in_channels: channels of the image.
        head_widths: widths of linear layers in front of the last one, each followed by ReLU.
        **block_kwargs: passed to the blocks: `shortcut_type`, `dropout`, `stride_in`, and the
            options of `SEOptions`.

    Raises:
        ValueError: an option is not valid.
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
        stem_width: int = STEM_WIDTH,
        in_channels: int = 3,
        head_widths: Sequence[int] = (),
        **block_kwargs: Any,
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, stem_width)
        self.bn1 = nn.BatchNorm2d(stem_width) if stem_norm else None
        self.relu1 = nn.ReLU() if stem_norm else None
        inplanes = self._add_stages(block, depths, stem_width, widen_factor, block_kwargs)
        first = self.get_submodule("layer1.0")
        assert isinstance(first, PreActBlock)
        first.shared = first.shared or share_first
        # The last sum has not been activated yet.
        self.bn = nn.BatchNorm2d(inplanes) if last_norm else None
        self.relu = nn.ReLU() if last_norm else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = make_head(inplanes, num_classes, head_widths)
        self._reset_parameters()

    def _add_stages(
        self,
        block: Callable[..., PreActBlock],
        depths: tuple[int, ...],
        stem_width: int,
        widen_factor: int,
        block_kwargs: dict[str, Any],
    ) -> int:
        """Add the stages, each twice as wide as the one before; return the last one's channels."""
        self.stages = len(depths)
        inplanes = stem_width
        for index, depth in enumerate(depths):
            planes = (stem_width << index) * widen_factor
            # The first stage works at the size of the image.
            stride = 2 if index else 1
            stage = make_stage(block, depth, inplanes, planes, stride, **block_kwargs)
            self.add_module(f"layer{index + 1}", stage)
            inplanes = out_channels(block, planes)
        return inplanes

    def _reset_parameters(self) -> None:
        """Initialize convolutions as in He et al. 2015, arXiv:1502.01852."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.conv1(x)  # (N, 16, H, W)
        if self.bn1 is not None and self.relu1 is not None:
            x = self.relu1(self.bn1(x))
        for index in range(self.stages):
            # Each stage but the first doubles the channels and halves the sides.
            x = self.get_submodule(f"layer{index + 1}")(x)
        if self.bn is not None and self.relu is not None:
            x = self.relu(self.bn(x))
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.fc(x)  # (N, num_classes), or (N, C) without a head
