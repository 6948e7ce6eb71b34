"""Residual blocks, basic and bottleneck, and the function that stacks them to a stage.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385; grouped: Xie
et al., arXiv:1611.05431; with SE: arXiv:1709.01507. Parameters are named as in torchvision, those
of SE (`se.fc1`, `se.fc2`) as in timm.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Unpack

from torch import Tensor, nn

from lightning_resnets.merges import Add
from lightning_resnets.models.shortcuts import (
    ShortcutPad,
    ShortcutType,
    conv1x1,
    make_add,
    make_shortcut,
)
from lightning_resnets.models.squeeze_excite import SEOptions, SEPlacement, SqueezeExcite, make_se

StrideIn = Literal["1x1", "3x3"]


def conv3x3(
    inplanes: int, planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """Build a 3x3 convolution that keeps the size, with no bias.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        stride: stride.
        groups: groups of channels.
        dilation: distance of the window's pixels.

    Returns:
        Maps (N, inplanes, H, W) to (N, planes, H / stride, W / stride).
    """
    # A batch norm follows every convolution and has the bias.
    return nn.Conv2d(
        inplanes, planes, 3, stride, padding=dilation, dilation=dilation, groups=groups, bias=False
    )


def bottleneck_strides(stride: int, stride_in: StrideIn) -> tuple[int, int]:
    """Return the strides of a bottleneck's first 1x1 and its 3x3 convolution.

    Args:
        stride: stride of the block.
        stride_in: the convolution that has it.

    Returns:
        Stride of the 1x1 and of the 3x3 convolution.

    Raises:
        ValueError: `stride_in` is not valid.
    """
    if stride_in not in ("1x1", "3x3"):
        raise ValueError(f"stride_in must be 1x1 or 3x3, got {stride_in!r}.")
    return (stride, 1) if stride_in == "1x1" else (1, stride)


class ResidualBlock(nn.Module):
    """Base of all residual blocks: the Add with its shortcut, and SE at one of five placements.

    SE stands behind the branch ("standard"), before it ("pre"), behind the sum ("post"), on the
    shortcut ("identity"), or behind the first 3x3 convolution and its batch norm ("3x3"; the paper
    has it in bottlenecks only). See arXiv:1709.01507, section 6.5.
    """

    expansion: ClassVar[int] = 1
    add: Add | None
    downsample: nn.Module | None
    se: SqueezeExcite | None
    se_placement: SEPlacement = "standard"

    def make_block_se(
        self, inplanes: int, inner: int, planes: int, **se_kwargs: Unpack[SEOptions]
    ) -> SqueezeExcite | None:
        """Build the block's SE module and remember its placement.

        Args:
            inplanes: channels of the block's input.
            inner: channels behind the first 3x3 convolution.
            planes: channels of the block's output.
            **se_kwargs: see `SEOptions`.

        Returns:
            The module, or None for a block without SE.

        Raises:
            ValueError: an option is not valid.
        """
        # The forward pass asks for the placement at five positions.
        self.se_placement = se_kwargs.get("se_placement", "standard")
        channels: dict[SEPlacement, int] = {"standard": planes, "pre": inplanes, "post": planes}
        channels.update({"identity": planes, "3x3": inner})
        return make_se(channels, **se_kwargs)

    def apply_se(self, placement: SEPlacement, x: Tensor) -> Tensor:
        """Apply SE to x if it stands at this placement.

        Args:
            placement: position in the block.
            x: feature map (N, C, H, W).

        Returns:
            The weighted or the unchanged feature map.
        """
        if self.se is None or self.se_placement != placement:
            return x
        return self.se(x)

    def merge_shortcut(self, x: Tensor, branch: Tensor) -> Tensor:
        """Add shortcut and branch; a block of a plain model returns the branch.

        Args:
            x: input of the shortcut.
            branch: output of the branch (N, C, H, W).

        Returns:
            The sum (N, C, H, W).
        """
        if self.add is None:
            return branch
        # Without a projection the shortcut is the input itself.
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.add(self.apply_se("identity", shortcut), branch)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions (arXiv:1512.03385, figure 2).

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        stride: stride of the first convolution.
        shortcut_type: see `make_shortcut`; "none" builds the block without its Add.
        shortcut_kernel: see `make_shortcut`.
        shortcut_pad: see `PadShortcut`.
        **se_kwargs: see `SEOptions`.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: ShortcutType = "B",
        shortcut_kernel: int = 1,
        shortcut_pad: ShortcutPad = "both",
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.se = self.make_block_se(inplanes, planes, planes, **se_kwargs)
        self.downsample = make_shortcut(
            inplanes, planes, stride, shortcut_type, True, shortcut_kernel, shortcut_pad
        )
        self.add = make_add(shortcut_type, self.se_placement)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inplanes, H, W) to (N, planes, H / stride, W / stride)."""
        branch = self.bn1(self.conv1(self.apply_se("pre", x)))  # (N, planes, H / s, W / s)
        branch = self.relu1(self.apply_se("3x3", branch))
        branch = self.apply_se("standard", self.bn2(self.conv2(branch)))  # same shape
        # Activation comes after the sum (arXiv:1512.03385, figure 2).
        return self.apply_se("post", self.relu2(self.merge_shortcut(x, branch)))

    def last_norm(self) -> nn.BatchNorm2d:
        """Return the batch norm in front of the Add."""
        return self.bn2


class Bottleneck(ResidualBlock):
    """1x1 convolution that narrows, 3x3 convolution, 1x1 convolution that widens by 4.

    Args:
        inplanes: channels of the input.
        planes: a quarter of the output's channels.
        stride: stride of the block.
        shortcut_type: see `make_shortcut`.
        groups: groups of the 3x3 convolution (ResNeXt, arXiv:1611.05431, section 3.3).
        base_width: width of a group for 64 planes.
        stride_in: place of the stride: "3x3" as in torchvision ("v1.5"), or "1x1" as in the paper.
        dilation: dilation of the 3x3 convolution.
        shortcut_kernel: see `make_shortcut`.
        shortcut_pad: see `PadShortcut`.
        expansion: output channels for each of `planes`.
        narrow_factor: the first 1x1 convolution has this many times fewer channels than the 3x3.
        **se_kwargs: see `SEOptions`.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: ShortcutType = "B",
        groups: int = 1,
        base_width: int = 64,
        stride_in: StrideIn = "3x3",
        dilation: int = 1,
        expansion: int = 4,
        shortcut_kernel: int = 1,
        shortcut_pad: ShortcutPad = "both",
        narrow_factor: int = 1,
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        # 64 is the width of the narrowest stage, for which base_width is given.
        inner = planes * base_width // 64 * groups
        outplanes = planes * expansion
        first, second = bottleneck_strides(stride, stride_in)
        narrow = inner // narrow_factor
        self.conv1 = conv1x1(inplanes, narrow, first)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(narrow, inner, second, groups, dilation)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = conv1x1(inner, outplanes)
        self.bn3 = nn.BatchNorm2d(outplanes)
        self.se = self.make_block_se(inplanes, inner, outplanes, **se_kwargs)
        self.downsample = make_shortcut(
            inplanes, outplanes, stride, shortcut_type, True, shortcut_kernel, shortcut_pad
        )
        self.add = make_add(shortcut_type, self.se_placement)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inplanes, H, W) to (N, 4 planes, H / stride, W / stride)."""
        branch = self.relu1(self.bn1(self.conv1(self.apply_se("pre", x))))  # (N, inner, H, W)
        branch = self.apply_se("3x3", self.bn2(self.conv2(branch)))  # (N, inner, H / s, W / s)
        branch = self.bn3(self.conv3(self.relu2(branch)))  # (N, 4 planes, H / s, W / s)
        branch = self.apply_se("standard", branch)
        return self.apply_se("post", self.relu3(self.merge_shortcut(x, branch)))

    def last_norm(self) -> nn.BatchNorm2d:
        """Return the batch norm in front of the Add."""
        return self.bn3


def out_channels(block: Callable[..., nn.Module], planes: int) -> int:
    """Return the channels of a block's output.

    Args:
        block: its class; `expansion` is 1 where it has none.
        planes: width of the stage.

    Returns:
        `planes` times the expansion.
    """
    return planes * getattr(block, "expansion", 1)


def make_stage(
    block: Callable[..., nn.Module],
    depth: int,
    inplanes: int,
    planes: int,
    stride: int = 1,
    dilations: tuple[int, int] = (1, 1),
    **block_kwargs: Any,
) -> nn.Sequential:
    """Stack blocks, of which the first changes the width and has the stride.

    Args:
        block: maps (N, inplanes, H, W) to (N, expansion * planes, H / stride, W / stride).
        depth: number of blocks.
        inplanes: channels of the input.
        planes: see `block`.
        stride: stride of the first block.
        dilations: dilation of the first block and of the others; blocks get it if it is not 1.
        **block_kwargs: passed to every block.

    Returns:
        The blocks in order.
    """
    expansion = block_kwargs.get("expansion", getattr(block, "expansion", 1))
    first_kwargs = {**block_kwargs, **_dilation_kwargs(dilations[0])}
    rest_kwargs = {**block_kwargs, **_dilation_kwargs(dilations[1])}
    blocks = [block(inplanes, planes, stride, **first_kwargs)]
    inplanes = expansion * planes
    blocks += [block(inplanes, planes, 1, **rest_kwargs) for _ in range(1, depth)]
    return nn.Sequential(*blocks)


def _dilation_kwargs(dilation: int) -> dict[str, int]:
    """Return the argument of a dilated block; blocks without dilation need not know it."""
    return {} if dilation == 1 else {"dilation": dilation}
