"""Residual blocks, basic and bottleneck, their shortcuts, and the builder that stacks blocks to a stage.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385; grouped: Xie et al.,
arXiv:1611.05431; with SE: arXiv:1709.01507. Parameters are named as torchvision names them (`se.fc1`, `se.fc2` as timm
does).
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Unpack

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.merges import Add
from lightning_resnets.models.squeeze_excite import SEOptions, SEPlacement, SqueezeExcite, make_se

Shortcut = Literal["A", "B", "C", "none"]


StrideIn = Literal["1x1", "3x3"]


class PadShortcut(nn.Module):
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


def make_shortcut(
    inplanes: int, planes: int, stride: int, shortcut_type: Shortcut, norm: bool = True
) -> nn.Module | None:
    """What makes the shortcut fit the branch: nothing, zeros (A) or a 1x1 convolution (B; C: even where it fits)."""
    if shortcut_type not in ("A", "B", "C", "none"):
        raise ValueError(f"A shortcut is A, B, C or none, not {shortcut_type!r}.")
    fits = stride == 1 and inplanes == planes
    if shortcut_type == "none" or (fits and shortcut_type != "C"):
        return None
    if shortcut_type == "A":
        return PadShortcut(inplanes, planes, stride)
    conv = conv1x1(inplanes, planes, stride)
    return nn.Sequential(conv, nn.BatchNorm2d(planes)) if norm else conv


def bottleneck_strides(stride: int, stride_in: StrideIn) -> tuple[int, int]:
    """The strides of a bottleneck's first 1x1 and of its 3x3."""
    if stride_in not in ("1x1", "3x3"):
        raise ValueError(f"A bottleneck's stride lies in its 1x1 or its 3x3, not in {stride_in!r}.")
    return (stride, 1) if stride_in == "1x1" else (1, stride)


class ResidualBlock(nn.Module):
    """What all residual blocks share: the Add with its shortcut, and SE at one of five places (SE, section 6.5).

    SE stands behind the branch (standard), before it (pre), behind the sum (post), on the shortcut (identity), or
    behind the first 3x3 convolution and its batch norm (3x3; the paper has it in bottlenecks only).
    """

    expansion: ClassVar[int] = 1
    add: Add | None
    downsample: nn.Module | None
    se: SqueezeExcite | None
    se_place: SEPlacement = "standard"

    def add_se(
        self, inplanes: int, inner: int, planes: int, **se_kwargs: Unpack[SEOptions]
    ) -> SqueezeExcite | None:
        self.se_place = se_kwargs.get("se_placement", "standard")
        return make_se(
            {"standard": planes, "pre": inplanes, "post": planes, "identity": planes, "3x3": inner},
            **se_kwargs,
        )

    def apply_se(self, place: SEPlacement, x: Tensor) -> Tensor:
        """The tensor weighed by SE where it stands at this place, else as it is."""
        return self.se(x) if self.se is not None and self.se_place == place else x

    def merge_shortcut(self, x: Tensor, branch: Tensor) -> Tensor:
        """The sum of shortcut and branch; in a plain twin the branch alone."""
        if self.add is None:
            return branch
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.add(self.apply_se("identity", shortcut), branch)


def make_add(shortcut_type: Shortcut, se_place: SEPlacement) -> Add | None:
    """The block's Add, None for the plain twin, which has no shortcut for SE to stand on."""
    if shortcut_type == "none" and se_place == "identity":
        raise ValueError(
            "A plain model has no shortcut where SE could stand; take another se_place than 'identity'."
        )
    return None if shortcut_type == "none" else Add()


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions; shortcut "none" makes the same block without its Add (the plain twin)."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: Shortcut = "B",
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.se = self.add_se(inplanes, planes, planes, **se_kwargs)
        self.downsample = make_shortcut(inplanes, planes, stride, shortcut_type)
        self.add = make_add(shortcut_type, self.se_place)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn1(self.conv1(self.apply_se("pre", x)))  # (N, C, H / stride, W / stride)
        branch = self.relu1(self.apply_se("3x3", branch))
        branch = self.apply_se("standard", self.bn2(self.conv2(branch)))
        return self.apply_se("post", self.relu2(self.merge_shortcut(x, branch)))

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2


class Bottleneck(ResidualBlock):
    """1x1 narrows, 3x3 works, 1x1 widens by 4.

    The stride lies in the 3x3 ("v1.5", torchvision's) or, as in the paper, in the first 1x1 (`stride_in="1x1"`).
    `groups` and `width` are ResNeXt's: groups of width / 64 of the planes.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: Shortcut = "B",
        groups: int = 1,
        base_width: int = 64,
        stride_in: StrideIn = "3x3",
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        inner, outplanes = planes * base_width // 64 * groups, planes * self.expansion
        first, second = bottleneck_strides(stride, stride_in)
        self.conv1 = conv1x1(inplanes, inner, first)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(inner, inner, second, groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = conv1x1(inner, outplanes)
        self.bn3 = nn.BatchNorm2d(outplanes)
        self.se = self.add_se(inplanes, inner, outplanes, **se_kwargs)
        self.downsample = make_shortcut(inplanes, outplanes, stride, shortcut_type)
        self.add = make_add(shortcut_type, self.se_place)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu1(self.bn1(self.conv1(self.apply_se("pre", x))))  # (N, inner, H, W)
        branch = self.apply_se(
            "3x3", self.bn2(self.conv2(branch))
        )  # (N, inner, H / stride, W / stride)
        branch = self.bn3(self.conv3(self.relu2(branch)))  # (N, 4 planes, H / stride, W / stride)
        branch = self.apply_se("standard", branch)
        return self.apply_se("post", self.relu3(self.merge_shortcut(x, branch)))

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3


def out_channels(block: Callable[..., nn.Module], planes: int) -> int:
    """How many channels a block of so many planes gives: its class says by `expansion`, 1 where it says nothing."""
    return planes * getattr(block, "expansion", 1)


def make_stage(
    block: Callable[..., nn.Module],
    depth: int,
    inplanes: int,
    planes: int,
    stride: int = 1,
    **block_kwargs: Any,
) -> nn.Sequential:
    """`depth` blocks behind one another, the first of which changes the width and takes the stride.

    `block` is any class or function of (inplanes, planes, stride, **options) whose module maps (N, inplanes, H, W) to
    (N, expansion * planes, H / stride, W / stride); `options` are handed on to every block.
    """
    outplanes = out_channels(block, planes)
    first = block(inplanes, planes, stride, **block_kwargs)
    return nn.Sequential(
        first, *(block(outplanes, planes, 1, **block_kwargs) for _ in range(1, depth))
    )
