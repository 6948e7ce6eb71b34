"""Inception modules, parallel branches that are concatenated, and GoogLeNet, also with SE.

Szegedy et al.: Going Deeper with Convolutions, arXiv:1409.4842; SE behind every module:
arXiv:1709.01507, figure 2.
"""

from typing import Any, Unpack

import torch
from torch import Tensor, nn

from lightning_resnets.merges import Concat
from lightning_resnets.models.heads import make_head
from lightning_resnets.models.squeeze_excite import SEOptions, SqueezeExcite, make_se

GoogLeNetRow = tuple[int, int, int, int, int, int]


class ConvBNReLU(nn.Module):
    """Convolution, batch norm and ReLU, named as in torchvision's GoogLeNet.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        kernel_size: side or sides of the window.
        eps: epsilon of the batch norm.
        bias: give the convolution a bias.
        **conv_kwargs: passed to `nn.Conv2d`.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        kernel_size: Any,
        eps: float = 1e-3,
        bias: bool = False,
        **conv_kwargs: Any,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inplanes, planes, kernel_size, bias=bias, **conv_kwargs)
        self.bn = nn.BatchNorm2d(planes, eps)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inplanes, H, W) to (N, planes, H', W')."""
        return self.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Branches `branch1` to `branch{n}` of one input, their `concat`, and SE if requested.

    Args:
        planes: channels of all branches together.
        *branches: modules that map the input to maps of the same size.
        **se_kwargs: see `SEOptions`.
    """

    def __init__(self, planes: int, *branches: nn.Module, **se_kwargs: Unpack[SEOptions]) -> None:
        super().__init__()
        self.branches = len(branches)
        for index, branch in enumerate(branches, 1):
            self.add_module(f"branch{index}", branch)
        self.concat = Concat()
        self.se: SqueezeExcite | None = make_se({"standard": planes}, **se_kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, planes, H', W')."""
        features = [self.get_submodule(f"branch{index + 1}")(x) for index in range(self.branches)]
        x = self.concat(*features)  # (N, planes, H', W')
        return x if self.se is None else self.se(x)


# One row per module (arXiv:1409.4842, table 1): width of the 1x1; reduction and width of the 3x3;
# reduction and width of the 5x5; width of the projection behind the pool.
GOOGLENET: dict[str, GoogLeNetRow] = {
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
    """Stem, nine Inception modules with pools between them, global mean, dropout, `fc`.

    As in torchvision it has batch norm and no auxiliary classifiers here. Input (N, in_channels,
    H, W), output (N, num_classes) logits.

    Args:
        num_classes: width of the last layer; 0 for a feature extractor without one.
        window: side of the window of the third branch: 3 in torchvision, 5 in the paper.
        dropout: probability in front of the last layer.
        in_channels: channels of the image.
        **se_kwargs: see `SEOptions`.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        window: int = 3,
        dropout: float = 0.2,
        in_channels: int = 3,
        **se_kwargs: Unpack[SEOptions],
    ) -> None:
        super().__init__()
        self.conv1 = ConvBNReLU(in_channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = ConvBNReLU(64, 64, 1)
        self.conv3 = ConvBNReLU(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        planes = self._add_modules(192, window, **se_kwargs)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = make_head(planes, num_classes)
        reset_parameters(self)

    def _add_modules(self, planes: int, window: int, **se_kwargs: Unpack[SEOptions]) -> int:
        """Add the modules of the paper's table 1; return the last one's channels."""
        self.order = ["maxpool2"]
        for name, row in GOOGLENET.items():
            self._append(name, make_googlenet_module(planes, row, window, **se_kwargs))
            planes = row[0] + row[2] + row[4] + row[5]
            # A max-pool follows the last module of stages 3 and 4.
            if name == "inception3b":
                self._append("maxpool3", nn.MaxPool2d(3, 2, ceil_mode=True))
            elif name == "inception4e":
                self._append("maxpool4", nn.MaxPool2d(2, 2, ceil_mode=True))
        return planes

    def _append(self, name: str, module: nn.Module) -> None:
        """Add a module and remember its position in the forward pass."""
        self.add_module(name, module)
        self.order.append(name)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.conv3(self.conv2(self.maxpool1(self.conv1(x))))  # (N, 192, H / 4, W / 4)
        for name in self.order:
            x = self.get_submodule(name)(x)
        x = torch.flatten(self.avgpool(x), 1)  # (N, 1024)
        return self.fc(self.dropout(x))  # (N, num_classes)


def make_googlenet_module(
    inplanes: int, row: GoogLeNetRow, window: int, **se_kwargs: Unpack[SEOptions]
) -> Inception:
    """Build an Inception module of GoogLeNet.

    Args:
        inplanes: channels of the input.
        row: its row of `GOOGLENET`.
        window: side of the window of the third branch.
        **se_kwargs: see `SEOptions`.

    Returns:
        The module with four branches.
    """
    width1, reduce3, width3, reduce5, width5, width_pool = row
    # Built first: the order decides which random numbers each branch draws.
    branch3 = _make_window_branch(inplanes, reduce3, width3, 3)
    return Inception(
        width1 + width3 + width5 + width_pool,
        ConvBNReLU(inplanes, width1, 1),
        branch3,
        _make_window_branch(inplanes, reduce5, width5, window),
        _make_pool_branch(inplanes, width_pool),
        **se_kwargs,
    )


def _make_window_branch(inplanes: int, reduced: int, planes: int, window: int) -> nn.Module:
    """Build a 1x1 convolution that reduces the channels, and one with a larger window."""
    return nn.Sequential(
        ConvBNReLU(inplanes, reduced, 1),
        ConvBNReLU(reduced, planes, window, padding=window // 2),
    )


def _make_pool_branch(inplanes: int, planes: int) -> nn.Module:
    """Build a max-pool and a 1x1 convolution that reduces its channels."""
    return nn.Sequential(
        nn.MaxPool2d(3, 1, padding=1, ceil_mode=True), ConvBNReLU(inplanes, planes, 1)
    )


def reset_parameters(model: nn.Module) -> None:
    """Initialize a model's convolutions as in He et al. 2015, arXiv:1502.01852, with bias 0.

    Args:
        model: changed by this function.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
