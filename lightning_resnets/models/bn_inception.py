"""BN-Inception, also with SE.

Ioffe, Szegedy: Batch Normalization, arXiv:1502.03167, figure 5; SE behind every module:
arXiv:1709.01507, figure 2.
"""

from itertools import pairwise
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from lightning_resnets.models.heads import make_head
from lightning_resnets.models.inception import ConvBNReLU, Inception, reset_parameters
from lightning_resnets.models.squeeze_excite import SEOptions

BNInceptionRow = tuple[int, int, int, int, int, str, int]

# One row per module (arXiv:1502.03167, figure 5): width of the 1x1 (0: no 1x1 and stride 2);
# reduction and width of the 3x3; reduction and width of the double 3x3; the pool and the width of
# its projection (0: the pool alone). The figure's sums for 4c and 4e, 576 and 1024, do not match
# its own rows; here the rows count.
BN_INCEPTION: dict[str, BNInceptionRow] = {
    "inception3a": (64, 64, 64, 64, 96, "avg", 32),
    "inception3b": (64, 64, 96, 64, 96, "avg", 64),
    "inception3c": (0, 128, 160, 64, 96, "max", 0),
    "inception4a": (224, 64, 96, 96, 128, "avg", 128),
    "inception4b": (192, 96, 128, 96, 128, "avg", 128),
    "inception4c": (160, 128, 160, 128, 160, "avg", 128),
    "inception4d": (96, 128, 192, 160, 192, "avg", 128),
    "inception4e": (0, 128, 192, 192, 256, "max", 0),
    "inception5a": (352, 192, 320, 160, 224, "avg", 128),
    "inception5b": (352, 192, 320, 192, 224, "max", 128),
}


class BNInception(nn.Module):
    """Stem, ten Inception modules, two of which halve the sides, global mean, `fc`.

    Input (N, in_channels, H, W) with H and W multiples of 32, output (N, num_classes) logits.

    Args:
        num_classes: width of the last layer; 0 for a feature extractor without one.
        bias: give the convolutions biases in front of their batch norms, as the published Caffe
            model has them.
        in_channels: channels of the image.
        **se_kwargs: see `SEOptions`.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        bias: bool = False,
        in_channels: int = 3,
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        # PyTorch's default epsilon; GoogLeNet has torchvision's 1e-3.
        unit: dict[str, Any] = {"eps": 1e-5, "bias": bias}
        self.conv1 = ConvBNReLU(in_channels, 64, 7, stride=2, padding=3, **unit)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = ConvBNReLU(64, 64, 1, **unit)
        self.conv3 = ConvBNReLU(64, 192, 3, padding=1, **unit)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        planes = self._add_modules(192, unit, se_kwargs)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = make_head(planes, num_classes)
        reset_parameters(self)

    def _add_modules(self, planes: int, unit: dict[str, Any], se_kwargs: SEOptions) -> int:
        """Add the Inception modules behind so many channels; return those of the last one."""
        for name, row in BN_INCEPTION.items():
            width1, _, width3, _, width5, _, width_pool = row
            # A pool without projection keeps the channels of its input.
            width = width1 + width3 + width5 + (width_pool or planes)
            branches = make_bn_branches(planes, row, unit)
            self.add_module(name, Inception(width, *branches, **se_kwargs))
            planes = width
        return planes

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.conv3(self.conv2(self.maxpool1(self.conv1(x))))  # (N, 192, H / 4, W / 4)
        x = self.maxpool2(x)  # (N, 192, H / 8, W / 8)
        for name in BN_INCEPTION:
            x = self.get_submodule(name)(x)
        x = torch.flatten(self.avgpool(x), 1)  # (N, 1024)
        return self.fc(x)  # (N, num_classes)


def make_bn_branches(inplanes: int, row: BNInceptionRow, unit: dict[str, Any]) -> list[nn.Module]:
    """Build the branches of a module of BN-Inception.

    Args:
        inplanes: channels of the input.
        row: its row of `BN_INCEPTION`.
        unit: kwargs of every `ConvBNReLU`.

    Returns:
        Three or four branches; without a 1x1 they halve the sides.
    """
    width1, reduce3, width3, reduce5, width5, pool, width_pool = row
    # The two modules without a 1x1 branch halve the sides.
    stride = 1 if width1 else 2
    branches: list[nn.Module] = []
    if width1:
        branches.append(ConvBNReLU(inplanes, width1, 1, **unit))
    # Two 3x3 windows see as much as the 5x5 that they replace.
    branches += [
        _make_window_branch((inplanes, reduce3, width3), stride, unit),
        _make_window_branch((inplanes, reduce5, width5, width5), stride, unit),
        _make_pool_branch(inplanes, pool, width_pool, unit),
    ]
    return branches


def _make_window_branch(
    widths: tuple[int, ...], stride: int, unit: dict[str, Any]
) -> nn.Sequential:
    """Build a 1x1 convolution and 3x3 ones between these widths; the last has the stride."""
    first, *windows = pairwise(widths)
    layers = [ConvBNReLU(*first, 1, **unit)]
    layers += [ConvBNReLU(*pair, 3, padding=1, **unit) for pair in windows[:-1]]
    layers.append(ConvBNReLU(*windows[-1], 3, stride=stride, padding=1, **unit))
    return nn.Sequential(*layers)


def _make_pool_branch(inplanes: int, pool: str, width: int, unit: dict[str, Any]) -> nn.Module:
    """Build a pool with its projection, or where `width` is 0 a max-pool that halves the sides."""
    if not width:
        return nn.MaxPool2d(3, 2, ceil_mode=True)
    window = nn.AvgPool2d(3, 1, padding=1) if pool == "avg" else nn.MaxPool2d(3, 1, padding=1)
    return nn.Sequential(window, ConvBNReLU(inplanes, width, 1, **unit))
