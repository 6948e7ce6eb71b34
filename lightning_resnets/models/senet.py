"""The bottleneck of SENet-154, the model that won ILSVRC 2017.

Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, arXiv:1709.01507, appendix "Details of
SENet-154": a ResNeXt-152 of 64 groups with half as many channels in the first 1x1 convolution,
three 3x3 convolutions as its stem, 3x3 convolutions in the projections, and dropout.
"""

from typing import Unpack

from lightning_resnets.models.residual_blocks import Bottleneck
from lightning_resnets.models.shortcuts import ShortcutType
from lightning_resnets.models.squeeze_excite import SEOptions


class SENetBottleneck(Bottleneck):
    """1x1 convolution to half the width, grouped 3x3 convolution at full width, 1x1, and SE.

    Args:
        inplanes: channels of the input.
        planes: a quarter of the output's channels.
        stride: stride of the 3x3 convolution.
        shortcut_type: see `make_shortcut`.
        groups: groups of the 3x3 convolution.
        **se_kwargs: see `SEOptions`.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        shortcut_type: ShortcutType = "B",
        groups: int = 64,
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__(
            inplanes,
            planes,
            stride,
            shortcut_type,
            groups,
            # The 3x3 convolution has as many channels as the output.
            base_width=256 // groups,
            narrow_factor=2,
            # Only a projection that halves the sides has a 3x3 window.
            shortcut_kernel=1 if stride == 1 else 3,
            **se_kwargs,
        )
