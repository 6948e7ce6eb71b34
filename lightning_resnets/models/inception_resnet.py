"""Inception-ResNet-v2: Inception branches whose scaled output is added to their input.

Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the Impact of Residual
Connections on Learning, arXiv:1602.07261. Parameters are named as in timm, so that state dicts can
be exchanged.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_resnets.merges import Add, Concat
from lightning_resnets.models.heads import make_head
from lightning_resnets.models.inception import ConvBNReLU, reset_parameters

KernelSize = int | tuple[int, int]


def conv_bn_relu(
    inplanes: int, planes: int, kernel_size: KernelSize = 1, same: bool = True, stride: int = 1
) -> ConvBNReLU:
    """Build a convolution with batch norm and ReLU.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        kernel_size: side or (height, width) of the window.
        same: pad so that the size is kept; otherwise there is no padding.
        stride: stride of the convolution.

    Returns:
        The module.
    """
    height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    padding = (height // 2, width // 2) if same else 0
    return ConvBNReLU(inplanes, planes, kernel_size, stride=stride, padding=padding)


class ConcatBranches(nn.Module):
    """Branches `branch0` to `branch{n - 1}` of one input and their `concat`.

    Args:
        *branches: modules that map the input to maps of the same size.
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = len(branches)
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the concatenation of all branches' outputs."""
        features = [self.get_submodule(f"branch{index}")(x) for index in range(self.branches)]
        return self.concat(*features)


class ResidualScale(nn.Module):
    """Multiply by a constant, which keeps the training stable (section 3.3).

    Args:
        factor: the constant.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        return x * self.factor  # (N, C, H, W)

    def extra_repr(self) -> str:
        """Show the factor in the model's text."""
        return str(self.factor)


class InceptionResNetBlock(ConcatBranches):
    """Compute relu(x + factor * conv2d(concat of the branches)).

    Args:
        planes: channels of x, which `conv2d` restores.
        inner: channels of all branches together.
        factor: see `ResidualScale`.
        *branches: see `ConcatBranches`.
        last: leave out the ReLU, as in the very last block.
    """

    def __init__(
        self, planes: int, inner: int, factor: float, *branches: nn.Module, last: bool = False
    ) -> None:
        super().__init__(*branches)
        # Neither batch norm nor ReLU in front of the sum (section 3.2).
        self.conv2d = nn.Conv2d(inner, planes, 1)
        self.scale = ResidualScale(factor)
        self.add = Add()
        # The last block feeds a convolution with its own norm.
        self.act = None if last else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, planes, H, W) to (N, planes, H, W)."""
        branch = self.scale(self.conv2d(super().forward(x)))  # (N, planes, H, W)
        x = self.add(x, branch)  # (N, planes, H, W)
        return x if self.act is None else self.act(x)


def block35() -> InceptionResNetBlock:
    """Build Inception-ResNet-A (figure 16)."""
    three = nn.Sequential(conv_bn_relu(320, 32), conv_bn_relu(32, 48, 3), conv_bn_relu(48, 64, 3))
    return InceptionResNetBlock(
        320,
        128,
        0.17,
        conv_bn_relu(320, 32),
        nn.Sequential(conv_bn_relu(320, 32), conv_bn_relu(32, 32, 3)),
        three,
    )


def block17() -> InceptionResNetBlock:
    """Build Inception-ResNet-B (figure 17)."""
    cross = nn.Sequential(
        conv_bn_relu(1088, 128), conv_bn_relu(128, 160, (1, 7)), conv_bn_relu(160, 192, (7, 1))
    )
    return InceptionResNetBlock(1088, 384, 0.10, conv_bn_relu(1088, 192), cross)


def block8(factor: float = 0.20, last: bool = False) -> InceptionResNetBlock:
    """Build Inception-ResNet-C (figure 19).

    Args:
        factor: see `ResidualScale`.
        last: leave out the ReLU.

    Returns:
        The block, for 2,080 channels.
    """
    cross = nn.Sequential(
        conv_bn_relu(2080, 192), conv_bn_relu(192, 224, (1, 3)), conv_bn_relu(224, 256, (3, 1))
    )
    return InceptionResNetBlock(2080, 448, factor, conv_bn_relu(2080, 192), cross, last=last)


def mixed_5b() -> ConcatBranches:
    """Build the Inception module behind the stem, which widens 192 channels to 320."""
    return ConcatBranches(
        conv_bn_relu(192, 96),
        nn.Sequential(conv_bn_relu(192, 48), conv_bn_relu(48, 64, 5)),
        nn.Sequential(conv_bn_relu(192, 64), conv_bn_relu(64, 96, 3), conv_bn_relu(96, 96, 3)),
        nn.Sequential(
            nn.AvgPool2d(3, 1, padding=1, count_include_pad=False), conv_bn_relu(192, 64)
        ),
    )


def mixed_6a() -> ConcatBranches:
    """Build Reduction-A (figure 7), which halves the sides and widens 320 channels to 1,088."""
    three = nn.Sequential(
        conv_bn_relu(320, 256),
        conv_bn_relu(256, 256, 3),
        conv_bn_relu(256, 384, 3, same=False, stride=2),
    )
    return ConcatBranches(
        conv_bn_relu(320, 384, 3, same=False, stride=2), three, nn.MaxPool2d(3, 2)
    )


def mixed_7a() -> ConcatBranches:
    """Build Reduction-B (figure 18), which halves the sides and widens 1,088 channels to 2,080."""
    return ConcatBranches(
        nn.Sequential(conv_bn_relu(1088, 256), conv_bn_relu(256, 384, 3, same=False, stride=2)),
        nn.Sequential(conv_bn_relu(1088, 256), conv_bn_relu(256, 288, 3, same=False, stride=2)),
        nn.Sequential(
            conv_bn_relu(1088, 256),
            conv_bn_relu(256, 288, 3),
            conv_bn_relu(288, 320, 3, same=False, stride=2),
        ),
        nn.MaxPool2d(3, 2),
    )


class InceptionResNetV2(nn.Module):
    """Stem, `mixed_5b`, three series of residual blocks with reductions between them, `classif`.

    Input (N, in_channels, H, W) of at least 75 pixels a side, 299 in the paper; output (N,
    num_classes) logits.

    Args:
        num_classes: width of the last layer; 0 for a feature extractor without one.
        depths: number of blocks of each kind; fewer make a smaller model.
        dropout: probability in front of the last layer.
        in_channels: channels of the image.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        depths: Sequence[int] = (10, 20, 9),
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv2d_1a = conv_bn_relu(in_channels, 32, 3, same=False, stride=2)
        self.conv2d_2a = conv_bn_relu(32, 32, 3, same=False)
        self.conv2d_2b = conv_bn_relu(32, 64, 3)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = conv_bn_relu(64, 80)
        self.conv2d_4a = conv_bn_relu(80, 192, 3, same=False)
        self.maxpool_5a = nn.MaxPool2d(3, 2)
        self.mixed_5b = mixed_5b()
        self.repeat = nn.Sequential(*(block35() for _ in range(depths[0])))
        self.mixed_6a = mixed_6a()
        self.repeat_1 = nn.Sequential(*(block17() for _ in range(depths[1])))
        self.mixed_7a = mixed_7a()
        self.repeat_2 = nn.Sequential(*(block8() for _ in range(depths[2])))
        self.block8 = block8(1.0, last=True)
        self.conv2d_7b = conv_bn_relu(2080, 1536)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.classif = make_head(1536, num_classes)
        reset_parameters(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        # Unpadded windows take a little more than half off the sides.
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))  # (N, 64, H / 2, W / 2)
        x = self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x)))  # (N, 192, H / 4, W / 4)
        x = self.repeat(self.mixed_5b(self.maxpool_5a(x)))  # (N, 320, H / 8, W / 8)
        x = self.repeat_1(self.mixed_6a(x))  # (N, 1088, H / 16, W / 16)
        x = self.block8(self.repeat_2(self.mixed_7a(x)))  # (N, 2080, H / 32, W / 32)
        x = torch.flatten(self.avgpool(self.conv2d_7b(x)), 1)  # (N, 1536)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.classif(x)  # (N, num_classes)
