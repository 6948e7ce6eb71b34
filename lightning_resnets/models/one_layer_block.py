"""A residual block of one convolution, to try why a shortcut should skip at least two.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 3.2: a
branch of a single layer is similar to a linear layer, y = W x + x. The authors saw no advantage.
"""

from typing import Unpack

from torch import Tensor, nn

from lightning_resnets.models.residual_blocks import ResidualBlock, conv3x3
from lightning_resnets.models.shortcuts import ShortcutType, make_add, make_shortcut
from lightning_resnets.models.squeeze_excite import SEOptions


class OneLayerBlock(ResidualBlock):
    """One 3x3 convolution with batch norm, its shortcut, and ReLU.

    There is no nonlinearity inside the branch. Where the shortcut is the identity the block equals
    a plain layer whose kernel has 1 added at its center: it computes nothing that the plain layer
    cannot. Only where training starts differs.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        stride: stride of the convolution.
        shortcut_type: see `make_shortcut`.
        **se_kwargs: see `SEOptions`; a gate does make the branch nonlinear.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: ShortcutType = "B",
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.se = self.make_block_se(inplanes, planes, planes, **se_kwargs)
        self.downsample = make_shortcut(inplanes, planes, stride, shortcut_type)
        self.add = make_add(shortcut_type, self.se_placement)
        self.relu1 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inplanes, H, W) to (N, planes, H / stride, W / stride)."""
        branch = self.bn1(self.conv1(self.apply_se("pre", x)))  # (N, planes, H / s, W / s)
        # Both placements are behind the only convolution.
        branch = self.apply_se("standard", self.apply_se("3x3", branch))
        return self.apply_se("post", self.relu1(self.merge_shortcut(x, branch)))

    def last_norm(self) -> nn.BatchNorm2d:
        """Return the batch norm in front of the Add."""
        return self.bn1
