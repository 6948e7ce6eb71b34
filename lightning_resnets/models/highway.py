"""Convolutional highway models: every layer learns how much of its input it changes and how much it carries on.

Srivastava, Greff, Schmidhuber: Highway Networks, arXiv:1505.00387, and Training Very Deep Networks, arXiv:1507.06228.
The papers give layers and parameters of their CIFAR-10 models (19 and 2.3 M, 32 and 1.25 M) and say that these follow
the FitNets of Romero et al., arXiv:1412.6550: highway layers for maxout ones, plain layers where the width changes, a
1x1 convolution and a global mean in place of the hidden linear layer. Highway-19 has FitNet-4's widths. Left open are
the widths of Highway-32 (here 10 layers each of 32, 48 and 64, which meets the budget), the width of the 1x1 layer
(here that of the layer before it) and each gate's first bias (a negative number). There is no batch norm.
"""

import torch
from torch import Tensor, nn

from lightning_resnets.merges import Add, Gate


class OneMinus(nn.Module):
    """One minus a gate: what it lets pass by."""

    def forward(self, gate: Tensor) -> Tensor:
        return 1 - gate  # (N, C, H, W)


class HighwayLayer(nn.Module):
    """y = H(x) T(x) + x (1 - T(x)), with H a 3x3 convolution and ReLU and T a 3x3 convolution and sigmoid.

    `gate_bias` is T's bias at first: the more negative, the more a fresh layer carries.
    """

    def __init__(self, planes: int, gate_bias: float = -2.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(planes, planes, 3, padding=1)
        self.relu = nn.ReLU()
        self.gate_conv = nn.Conv2d(planes, planes, 3, padding=1)
        self.sigmoid = nn.Sigmoid()
        self.gate_bias = gate_bias
        self.complement = OneMinus()
        self.carry = Gate()
        self.transform = Gate()
        self.add = Add()

    def reset_parameters(self) -> None:
        """Convolutions as He et al. start them, no bias in H, the negative one in T."""
        assert self.conv.bias is not None and self.gate_conv.bias is not None  # noqa: PT018
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.gate_conv.weight, nonlinearity="sigmoid")
        nn.init.zeros_(self.conv.bias)
        nn.init.constant_(self.gate_conv.bias, self.gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        made = self.relu(self.conv(x))  # (N, C, H, W)
        gate = self.sigmoid(self.gate_conv(x))  # (N, C, H, W), all in 0..1
        carried = self.carry(x, self.complement(gate))
        return self.add(carried, self.transform(made, gate))


class ConvReLU(nn.Sequential):
    """A convolution and ReLU: what changes the width, which no highway layer can."""

    def __init__(self, inplanes: int, planes: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inplanes, planes, kernel, padding=kernel // 2)
        self.relu = nn.ReLU()

    def reset_parameters(self) -> None:
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)


class Highway(nn.Module):
    """Stages `stage1` to `stage3` with max-pools between them, a 1x1 layer `last`, global mean, `fc`.

    `widths` lists the width of every 3x3 layer, stage by stage; a layer that keeps the width is a highway layer, any
    other is plain. `dropout` follows every stage. Input (N, 3, H, W), output (N, classes) logits.
    """

    def __init__(
        self,
        widths: tuple[tuple[int, ...], ...],
        num_classes: int = 10,
        gate_bias: float = -2.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        planes = 3
        self.stages = len(widths)
        for index, stage in enumerate(widths, 1):
            layers: list[nn.Module] = []
            for width in stage:
                layers.append(
                    HighwayLayer(width, gate_bias) if width == planes else ConvReLU(planes, width)
                )
                planes = width
            self.add_module(f"stage{index}", nn.Sequential(*layers))
        self.pool = nn.ModuleList(nn.MaxPool2d(2) for _ in widths[1:])
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.last = ConvReLU(planes, planes, 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(planes, num_classes)
        for module in self.modules():
            if isinstance(module, (HighwayLayer, ConvReLU)):
                module.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        for index in range(self.stages):
            x = self.get_submodule(f"stage{index + 1}")(x)  # (N, C, H >> index, W >> index)
            if index < self.stages - 1:
                x = self.pool[index](x)
            if self.dropout is not None:
                x = self.dropout(x)
        x = self.last(x)  # (N, C, H / 4, W / 4)
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.fc(x)  # (N, classes)
