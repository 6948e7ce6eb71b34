"""Models of parallel branches of several window sizes that are concatenated: GoogLeNet and BN-Inception, with SE.

Szegedy et al.: Going Deeper with Convolutions, arXiv:1409.4842; Ioffe, Szegedy: Batch Normalization, arXiv:1502.03167,
figure 5; SE behind every module: arXiv:1709.01507, figure 2.
"""

from typing import Any, Unpack

import torch
from torch import Tensor, nn

from lightning_resnets.merges import Concat
from lightning_resnets.models.squeeze_excite import SEOptions, SqueezeExcite, make_se


class ConvBNReLU(nn.Module):
    """Convolution, batch norm, ReLU, named as torchvision's GoogLeNet names them."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        kernel: Any,
        eps: float = 1e-3,
        bias: bool = False,
        **conv: Any,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inplanes, planes, kernel, bias=bias, **conv)
        self.bn = nn.BatchNorm2d(planes, eps)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Branches `branch1` to `branch{n}` of one input, their `concat`, and `se` where asked for."""

    def __init__(self, planes: int, *branches: nn.Module, **se_kwargs: Unpack[SEOptions]) -> None:
        super().__init__()
        self.branches = len(branches)
        for index, branch in enumerate(branches, 1):
            self.add_module(f"branch{index}", branch)
        self.concat = Concat()
        self.se: SqueezeExcite | None = make_se({"standard": planes}, **se_kwargs)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.get_submodule(f"branch{index + 1}")(x) for index in range(self.branches)]
        x = self.concat(*parts)  # (N, sum of the branches' C, H, W)
        return x if self.se is None else self.se(x)


# One row a module: 1x1; 3x3's reduction and width; 5x5's reduction and width; the pool's projection.
GOOGLENET: dict[str, tuple[int, int, int, int, int, int]] = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """Stem, nine Inception modules with pools between them, global mean, dropout, `fc`; no auxiliary classifiers.

    As torchvision has it: with batch norm, and 3x3 windows where the paper has 5x5 (`window=5` gives the paper's).
    Input (N, 3, H, W), output (N, classes) logits.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        window: int = 3,
        dropout: float = 0.2,
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        self.conv1 = ConvBNReLU(3, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = ConvBNReLU(64, 64, 1)
        self.conv3 = ConvBNReLU(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        planes, self.order = 192, ["maxpool2"]
        for name, row in GOOGLENET.items():
            self.add_module(name, module := googlenet_module(planes, row, window, **se_kwargs))
            self.order.append(name)
            planes = row[0] + row[2] + row[4] + row[5]
            assert isinstance(module, Inception)
            if name in ("inception3b", "inception4e"):
                pool = f"maxpool{name[9]}"
                self.add_module(
                    pool, nn.MaxPool2d(3 if name == "inception3b" else 2, 2, ceil_mode=True)
                )
                self.order.append(pool)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(planes, num_classes)
        reset_parameters(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3(self.conv2(self.maxpool1(self.conv1(x))))  # (N, 192, H / 4, W / 4)
        for name in self.order:
            x = self.get_submodule(name)(x)
        x = torch.flatten(self.avgpool(x), 1)  # (N, 1024)
        return self.fc(self.dropout(x))  # (N, classes)


def googlenet_module(
    inplanes: int,
    row: tuple[int, int, int, int, int, int],
    window: int,
    **se_kwargs: Unpack[SEOptions],
) -> Inception:
    """An Inception module of GoogLeNet from its row of the paper's table."""
    one, reduce3, three, reduce5, five, pool = row
    return Inception(
        one + three + five + pool,
        ConvBNReLU(inplanes, one, 1),
        nn.Sequential(ConvBNReLU(inplanes, reduce3, 1), ConvBNReLU(reduce3, three, 3, padding=1)),
        nn.Sequential(
            ConvBNReLU(inplanes, reduce5, 1), ConvBNReLU(reduce5, five, window, padding=window // 2)
        ),
        nn.Sequential(nn.MaxPool2d(3, 1, padding=1, ceil_mode=True), ConvBNReLU(inplanes, pool, 1)),
        **se_kwargs,
    )


# One row a module: 1x1 (0: none, stride 2); 3x3's reduction and width; the double 3x3's reduction and width; the pool
# and its projection (0: the pool alone). As the figure lists them; its sums for 4c and 4e, 576 and 1024, do not fit.
BN_INCEPTION: dict[str, tuple[int, int, int, int, int, str, int]] = {
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
    """Stem, ten Inception modules, two of which halve the maps, global mean, `fc`.

    `bias` gives the convolutions biases in front of their batch norms, as the published Caffe model has them. Input
    (N, 3, H, W) with H and W multiples of 32, output (N, classes) logits.
    """

    def __init__(
        self, num_classes: int = 1000, bias: bool = False, **se_kwargs: Unpack[SEOptions]
    ) -> None:
        super().__init__()
        unit: dict[str, Any] = {"eps": 1e-5, "bias": bias}
        self.conv1 = ConvBNReLU(3, 64, 7, stride=2, padding=3, **unit)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = ConvBNReLU(64, 64, 1, **unit)
        self.conv3 = ConvBNReLU(64, 192, 3, padding=1, **unit)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        planes = 192
        for name, row in BN_INCEPTION.items():
            one, _, three, _, double, _, pool = row
            width = one + three + double + (pool or planes)
            self.add_module(name, Inception(width, *bn_branches(planes, row, unit), **se_kwargs))
            planes = width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(planes, num_classes)
        reset_parameters(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool2(
            self.conv3(self.conv2(self.maxpool1(self.conv1(x))))
        )  # (N, 192, H / 8, W / 8)
        for name in BN_INCEPTION:
            x = self.get_submodule(name)(x)
        x = torch.flatten(self.avgpool(x), 1)  # (N, 1024)
        return self.fc(x)  # (N, classes)


def bn_branches(
    inplanes: int, row: tuple[int, int, int, int, int, str, int], unit: dict[str, Any]
) -> list[nn.Module]:
    """The branches of a module of BN-Inception from its row of figure 5."""
    one, reduce3, three, reduce5, double, pool, projected = row
    stride = 1 if one else 2
    branches: list[nn.Module] = [ConvBNReLU(inplanes, one, 1, **unit)] if one else []
    branches.append(
        nn.Sequential(
            ConvBNReLU(inplanes, reduce3, 1, **unit),
            ConvBNReLU(reduce3, three, 3, stride=stride, padding=1, **unit),
        )
    )
    branches.append(
        nn.Sequential(
            ConvBNReLU(inplanes, reduce5, 1, **unit),
            ConvBNReLU(reduce5, double, 3, padding=1, **unit),
            ConvBNReLU(double, double, 3, stride=stride, padding=1, **unit),
        )
    )
    if not projected:
        return [*branches, nn.MaxPool2d(3, 2, ceil_mode=True)]
    window = nn.AvgPool2d(3, 1, padding=1) if pool == "avg" else nn.MaxPool2d(3, 1, padding=1)
    return [*branches, nn.Sequential(window, ConvBNReLU(inplanes, projected, 1, **unit))]


def reset_parameters(model: nn.Module) -> None:
    """Weights of a fresh model: He's for convolutions, none for their biases."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
