"""Stems: the first convolution, or three, and the pool in front of the first stage."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

# The first two have the names of the datasets that they were designed for.
Stem = Literal["imagenet", "cifar", "deep"]
StemPool = Literal["pad", "ceil", "none"]


@dataclass(frozen=True, slots=True)
class StemDesign:
    """Sizes of a stem's first convolution, its width, and its pool.

    Attributes:
        kernel: side of the first convolution's kernel.
        stride: stride of the first convolution.
        width: output channels.
        pool: see `make_stem_pool`.
    """

    kernel: int
    stride: int
    width: int
    pool: StemPool


STEMS: dict[str, StemDesign] = {
    "imagenet": StemDesign(kernel=7, stride=2, width=64, pool="pad"),
    "cifar": StemDesign(kernel=3, stride=1, width=16, pool="none"),
    # Three 3x3 convolutions instead of one of 7x7 (arXiv:1812.01187, figure 2b).
    "deep": StemDesign(kernel=3, stride=2, width=64, pool="pad"),
}


def get_stem(stem: Stem) -> StemDesign:
    """Return the sizes of a stem.

    Args:
        stem: "imagenet", "cifar" or "deep".

    Returns:
        Its sizes.

    Raises:
        ValueError: `stem` is not valid.
    """
    if stem not in STEMS:
        raise ValueError(f"stem must be 'imagenet', 'cifar' or 'deep', got {stem!r}.")
    return STEMS[stem]


def make_stem_conv(stem: Stem, in_channels: int, design: StemDesign) -> nn.Module:
    """Build the first convolution, or the three of a deep stem.

    Args:
        stem: "imagenet", "cifar" or "deep".
        in_channels: channels C of the image.
        design: its sizes.

    Returns:
        Maps (N, C, H, W) to (N, width, H / stride, W / stride).
    """
    if stem == "deep":
        return _make_deep_stem(in_channels, design)
    padding = design.kernel // 2
    return nn.Conv2d(
        in_channels, design.width, design.kernel, design.stride, padding=padding, bias=False
    )


def _make_deep_stem(in_channels: int, design: StemDesign) -> nn.Sequential:
    """Build three 3x3 convolutions, named as in timm; the last one's batch norm is `bn1`."""
    # Half the width until the last one, as in ResNet-C.
    inner = design.width // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, inner, 3, design.stride, padding=1, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, inner, 3, padding=1, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, design.width, 3, padding=1, bias=False),
    )


def make_stem_pool(stem_pool: StemPool) -> nn.MaxPool2d | None:
    """Build the pool behind the first convolution.

    Args:
        stem_pool: border of the 3x3 max-pool with stride 2: "pad" (torchvision), or "ceil", where
            the last window reaches over the edge (Caffe); "none" for no pool.

    Returns:
        The pool, or None.

    Raises:
        ValueError: `stem_pool` is not valid.
    """
    if stem_pool not in ("pad", "ceil", "none"):
        raise ValueError(f"stem_pool must be 'pad', 'ceil' or 'none', got {stem_pool!r}.")
    if stem_pool == "none":
        return None
    # The border is -inf, not 0, so that it never is the largest value.
    if stem_pool == "pad":
        return nn.MaxPool2d(3, 2, padding=1)
    return nn.MaxPool2d(3, 2, ceil_mode=True)
