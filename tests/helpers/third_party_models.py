"""Small models with the keys and arithmetic of other projects, written from descriptions."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def randomize_stats(model: nn.Module, seed: int = 0) -> nn.Module:
    """Set evaluation mode and random batch norm statistics and biases."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None  # noqa: PT018
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
            elif isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                module.bias.normal_(0, 0.2, generator=generator)
    return model.eval()


def conv(
    inplanes: int, planes: int, window: int = 3, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    return nn.Conv2d(inplanes, planes, window, stride, window // 2, bias=bias)


class AkamasterBlock(nn.Module):
    def __init__(self, inplanes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inplanes, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes), nn.BatchNorm2d(planes)
        self.extra = planes // 4 if stride > 1 else 0
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(
            out
            + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra, self.extra))
        )


class Akamaster(nn.Module):
    """ResNet of 6n + 2 layers, shortcut A, `linear`."""

    def __init__(self, n: int = 3) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 16), nn.BatchNorm2d(16)
        for stage, width in enumerate((16, 32, 64)):
            first = AkamasterBlock(width // 2 if stage else 16, width, 2 if stage else 1)
            rest = (AkamasterBlock(width, width, 1) for _ in range(n - 1))
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *rest))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(3):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return self.linear(x.mean((2, 3)))


class KuangliuLayer(nn.Module):
    def __init__(self, inplanes: int, growth: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inplanes), conv(inplanes, 4 * growth, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), conv(4 * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        return torch.cat([new, x], 1)  # newest first


class KuangliuTransition(nn.Module):
    def __init__(self, inplanes: int) -> None:
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(inplanes), conv(inplanes, inplanes // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2)


class KuangliuDense(nn.Module):
    """DenseNet with a CIFAR stem that puts new channels first."""

    def __init__(self, depths: tuple[int, ...] = (6, 12, 24, 16), growth: int = 12) -> None:
        super().__init__()
        planes = 2 * growth
        self.depths, self.conv1 = depths, conv(3, planes)
        for block, depth in enumerate(depths, 1):
            layers = [KuangliuLayer(planes + growth * layer, growth) for layer in range(depth)]
            self.add_module(f"dense{block}", nn.Sequential(*layers))
            planes += depth * growth
            if block < len(depths):
                self.add_module(f"trans{block}", KuangliuTransition(planes))
                planes //= 2
        self.bn, self.linear = nn.BatchNorm2d(planes), nn.Linear(planes, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for block in range(1, len(self.depths) + 1):
            x = self.get_submodule(f"dense{block}")(x)
            if block < len(self.depths):
                x = self.get_submodule(f"trans{block}")(x)
        return self.linear(F.relu(self.bn(x)).mean((2, 3)))


class ExcitedBlock(nn.Module):
    """weiaicunzai's SE block: convolutions with biases, a ReLU before SE, Linear layers in it."""

    def __init__(self, inplanes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            conv(inplanes, planes, 3, stride, bias=True),
            nn.BatchNorm2d(planes),
            nn.ReLU(),
            conv(planes, planes, bias=True),
            nn.BatchNorm2d(planes),
            nn.ReLU(),
        )
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                conv(inplanes, planes, 1, stride, bias=True), nn.BatchNorm2d(planes)
            )
        hidden = planes // 16
        self.excitation = nn.Sequential(
            nn.Linear(planes, hidden), nn.ReLU(), nn.Linear(hidden, planes), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        branch = self.residual(x)
        return F.relu(
            branch * self.excitation(branch.mean((2, 3)))[:, :, None, None] + self.shortcut(x)
        )


class Weiaicunzai(nn.Module):
    """SE-ResNet-18 of ImageNet's widths for images of 32x32, 100 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Sequential(conv(3, 64, bias=True), nn.BatchNorm2d(64), nn.ReLU())
        for stage, width in enumerate((64, 128, 256, 512), 1):
            first = ExcitedBlock(width if stage == 1 else width // 2, width, 1 if stage == 1 else 2)
            self.add_module(f"stage{stage}", nn.Sequential(first, ExcitedBlock(width, width, 1)))
        self.linear = nn.Linear(512, 100)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pre(x)
        for stage in range(1, 5):
            x = self.get_submodule(f"stage{stage}")(x)
        return self.linear(x.mean((2, 3)))


class SE(nn.Module):
    """moskomule's: Linear without biases."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        hidden = planes // 16
        layers = (
            nn.Linear(planes, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, planes, bias=False),
            nn.Sigmoid(),
        )
        self.fc = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class MoskomuleBlock(nn.Module):
    def __init__(self, inplanes: int, planes: int) -> None:
        super().__init__()
        stride = 1 if inplanes == planes else 2
        self.conv1, self.bn1 = conv(inplanes, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes), nn.BatchNorm2d(planes)
        self.se = SE(planes)
        self.downsample = (
            nn.Sequential(conv(inplanes, planes, 1, 2), nn.BatchNorm2d(planes))
            if stride > 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        branch = self.se(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(branch + (x if self.downsample is None else self.downsample(x)))


class Moskomule(nn.Module):
    """SE-ResNet-20 for CIFAR, shortcut B."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 16), nn.BatchNorm2d(16)
        for stage, width in enumerate((16, 32, 64), 1):
            first = MoskomuleBlock(16 if stage == 1 else width // 2, width)
            rest = MoskomuleBlock(width, width), MoskomuleBlock(width, width)
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class PreConv(nn.Module):
    """pytorchcv's batch norm, ReLU, convolution; also returns the activated input."""

    def __init__(self, inplanes: int, planes: int, window: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(inplanes), conv(inplanes, planes, window, stride)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        active = F.relu(self.bn(x))
        return self.conv(active), active


class PreUnit(nn.Module):
    """Pre-activation unit whose identity shortcut is the bare input, also in the first unit."""

    def __init__(self, inplanes: int, planes: int) -> None:
        super().__init__()
        stride = 1 if inplanes == planes else 2
        self.body = nn.Module()
        self.body.conv1, self.body.conv2 = (
            PreConv(inplanes, planes, 3, stride),
            PreConv(planes, planes),
        )
        if stride > 1:
            self.identity_conv = conv(inplanes, planes, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        branch, active = self.body.conv1(x)
        branch, _ = self.body.conv2(branch)
        return branch + (self.identity_conv(active) if hasattr(self, "identity_conv") else x)


class Osmr(nn.Module):
    """A model of pytorchcv: `features` with named stages and units, `output`."""

    def __init__(
        self, stem: nn.Module, stages: list[list[tuple[str, nn.Module]]], planes: int
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("init_block", stem)
        for index, units in enumerate(stages, 1):
            stage = nn.Sequential()
            for name, unit in units:
                stage.add_module(name, unit)
            self.features.add_module(f"stage{index}", stage)
        last = nn.Sequential()
        last.add_module("bn", nn.BatchNorm2d(planes))
        last.add_module("activ", nn.ReLU())
        self.features.add_module("post_activ", last)
        self.output = nn.Linear(planes, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x).mean((2, 3)))


def osmr_preresnet20() -> nn.Module:
    stages = [
        [
            (f"unit{unit + 1}", PreUnit(width // 2 if width > 16 and not unit else width, width))
            for unit in range(3)
        ]
        for width in (16, 32, 64)
    ]
    return Osmr(conv(3, 16), stages, 64)  # type: ignore[arg-type]


class DenseUnit(nn.Module):
    def __init__(self, inplanes: int, growth: int) -> None:
        super().__init__()
        self.conv = PreConv(inplanes, growth)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.conv(x)[0]), 1)


class DenseTransition(nn.Module):
    def __init__(self, inplanes: int) -> None:
        super().__init__()
        self.conv = PreConv(inplanes, inplanes // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(x)[0], 2)


def osmr_densenet40() -> nn.Module:
    """Build pytorchcv's DenseNet-40 without bottlenecks, with compression and 24 channels."""
    planes, stages = 24, list[list[tuple[str, nn.Module]]]()
    for stage in range(3):
        units: list[tuple[str, nn.Module]] = (
            [(f"trans{stage + 1}", DenseTransition(planes))] if stage else []
        )
        planes = planes // 2 if stage else planes
        units += [(f"unit{unit + 1}", DenseUnit(planes + 12 * unit, 12)) for unit in range(12)]
        planes += 144
        stages.append(units)
    return Osmr(conv(3, 24), stages, planes)


Layers = Mapping[str, Tensor]
BLOCKS = {"2": "abc", "3": "abcd", "4": "abcdef", "5": "abc"}  # He's letters of ResNet-50


def he_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of ResNet-50 by He's names: `conv1`, `res2a_branch2a`, `fc1000`."""
    shapes: dict[str, tuple[int, ...]] = {"conv1": (64, 3, 7, 7)}
    inplanes = 64
    for stage, letters in BLOCKS.items():
        planes = 64 << (int(stage) - 2)
        for letter in letters:
            start = f"res{stage}{letter}_branch"
            if letter == "a":
                shapes[f"{start}1"] = (4 * planes, inplanes, 1, 1)
            shapes[f"{start}2a"] = (planes, inplanes, 1, 1)
            shapes[f"{start}2b"] = (planes, planes, 3, 3)
            shapes[f"{start}2c"] = (4 * planes, planes, 1, 1)
            inplanes = 4 * planes
    return {**shapes, "fc1000": (1000, 2048)}


def he_layers(seed: int = 0) -> dict[str, Tensor]:
    """Return random weights of these shapes."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator)
        * (2 / (shape[1] * (shape[2] ** 2 if len(shape) > 2 else 1))) ** 0.5
        for name, shape in he_shapes().items()
    }


def norm_of(layer: str, word: str = "bn") -> str:
    """Return the name of the batch norm (or scale) behind a layer."""
    return f"{word}_conv1" if layer == "conv1" else layer.replace("res", word)


def he_resnet50(
    conv: Callable[[Tensor, str, int], Tensor],
    pool: Callable[[Tensor], Tensor],
    stride_in_1x1: bool,
    x: Tensor,
) -> Tensor:
    """Run ResNet-50 up to its mean, with convolutions and batch norms of `conv(x, layer, stride)`.

    `stride_in_1x1` is the original ResNet (v1).
    """
    x = pool(F.relu(conv(x, "conv1", 2)))
    for stage, letters in BLOCKS.items():
        for letter in letters:
            stride, start = 2 if letter == "a" and stage > "2" else 1, f"res{stage}{letter}_branch"
            shortcut = conv(x, f"{start}1", stride) if letter == "a" else x
            branch = F.relu(conv(x, f"{start}2a", stride if stride_in_1x1 else 1))
            branch = F.relu(conv(branch, f"{start}2b", 1 if stride_in_1x1 else stride))
            x = F.relu(conv(branch, f"{start}2c", 1) + shortcut)
    return x.mean((2, 3))
