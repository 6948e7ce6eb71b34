"""Convolutional highway networks: a layer learns how much of its input to transform or to carry.

Srivastava, Greff, Schmidhuber: Highway Networks, arXiv:1505.00387, and Training Very Deep Networks,
arXiv:1507.06228. The papers give the layers and parameters of their CIFAR-10 models (19 and 2.3 M,
32 and 1.25 M) and state that these follow the FitNets of Romero et al., arXiv:1412.6550: highway
layers for maxout layers, plain layers where the width changes, a 1x1 convolution and a global mean
for the hidden linear layer. Highway-19 has FitNet-4's widths.

The papers leave three things open: the widths of Highway-32 (here 10 layers each of 32, 48 and 64,
which fit the number of parameters), the width of the 1x1 layer (here that of the layer before it),
and each gate's initial bias (a negative number). There is no batch norm.
"""

import torch
from torch import Tensor, nn

from lightning_resnets.merges import Add, Gate
from lightning_resnets.models.heads import make_head


class OneMinus(nn.Module):
    """One minus a gate: the weight of the carried input."""

    def forward(self, gate: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        return 1 - gate  # (N, C, H, W)


class HighwayLayer(nn.Module):
    """Compute y = H(x) T(x) + x (1 - T(x)) (arXiv:1505.00387, equation 3).

    H is a 3x3 convolution and ReLU, T a 3x3 convolution and sigmoid.

    Args:
        planes: channels of the input and the output.
        gate_bias: initial bias of T. The more negative, the more an untrained layer carries.
    """

    def __init__(self, planes: int, gate_bias: float = -2.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(planes, planes, 3, padding=1)
        self.relu = nn.ReLU()
        self.gate_conv = nn.Conv2d(planes, planes, 3, padding=1)
        self.sigmoid = nn.Sigmoid()
        self.gate_bias = gate_bias
        # A module of its own, so that the carry gate's weight has a name.
        self.complement = OneMinus()
        self.carry = Gate()
        self.transform = Gate()
        self.add = Add()

    def reset_parameters(self) -> None:
        """Initialize as in He et al. 2015, with bias 0 in H and `gate_bias` in T."""
        assert self.conv.bias is not None
        assert self.gate_conv.bias is not None
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.gate_conv.weight, nonlinearity="sigmoid")
        nn.init.zeros_(self.conv.bias)
        nn.init.constant_(self.gate_conv.bias, self.gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        transformed = self.relu(self.conv(x))  # (N, C, H, W)
        gate = self.sigmoid(self.gate_conv(x))  # (N, C, H, W), in 0..1
        # The carry is the shortcut, the transform the branch.
        carried = self.carry(x, self.complement(gate))
        return self.add(carried, self.transform(transformed, gate))


class ConvReLU(nn.Sequential):
    """Convolution and ReLU, used where the width changes: a highway layer cannot change it.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        kernel_size: side of the window.
    """

    def __init__(self, inplanes: int, planes: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inplanes, planes, kernel_size, padding=kernel_size // 2)
        self.relu = nn.ReLU()

    def reset_parameters(self) -> None:
        """Initialize as in He et al. 2015, with bias 0."""
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)


class Highway(nn.Module):
    """Stages `stage1` to `stage3` with max-pools between them, 1x1 layer `last`, global mean, `fc`.

    Input (N, in_channels, H, W), output (N, num_classes) logits.

    Args:
        widths: channels of every 3x3 layer, stage by stage. A layer that keeps the width is a
            highway layer, any other is plain.
        num_classes: width of the last layer; 0 for a feature extractor without one.
        gate_bias: see `HighwayLayer`.
        dropout: probability behind every stage.
        in_channels: channels of the image.
    """

    def __init__(
        self,
        widths: tuple[tuple[int, ...], ...],
        num_classes: int = 10,
        gate_bias: float = -2.0,
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        planes = in_channels
        self.stages = len(widths)
        for index, stage_widths in enumerate(widths, 1):
            self.add_module(f"stage{index}", make_highway_stage(planes, stage_widths, gate_bias))
            planes = stage_widths[-1]
        self.pool = nn.ModuleList(nn.MaxPool2d(2) for _ in widths[1:])
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.last = ConvReLU(planes, planes, 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = make_head(planes, num_classes)
        for module in self.modules():
            if isinstance(module, (HighwayLayer, ConvReLU)):
                module.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        for index in range(self.stages):
            x = self.get_submodule(f"stage{index + 1}")(x)  # (N, C, H >> index, W >> index)
            if index < self.stages - 1:
                x = self.pool[index](x)
            if self.dropout is not None:
                x = self.dropout(x)
        x = self.last(x)  # (N, C, H / 4, W / 4)
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.fc(x)  # (N, num_classes), or (N, C) without a head


def make_highway_stage(inplanes: int, widths: tuple[int, ...], gate_bias: float) -> nn.Sequential:
    """Stack the 3x3 layers of one stage.

    Args:
        inplanes: channels of the input.
        widths: channels of every layer.
        gate_bias: see `HighwayLayer`.

    Returns:
        Highway layers, and plain ones where the width changes.
    """
    layers: list[nn.Module] = []
    for width in widths:
        is_highway = width == inplanes
        layers.append(HighwayLayer(width, gate_bias) if is_highway else ConvReLU(inplanes, width))
        inplanes = width
    return nn.Sequential(*layers)
