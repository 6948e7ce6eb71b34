"""pytorchcv: resnext29_32x4d_cifar10 and resnetd50b.

Source: osmr/imgclsmob, pytorch/pytorchcv/models/resnext_cifar.py at
151807f01422ff61abc9b4656c6a461ee657fb1a, resnext.py at 1b4ad655fa0e52e031dd9c10f690b51c828b4932,
resnetd.py and resnet.py at 0fc95398ab5f9885c359fbb2b66d9176f70232b4, senet.py (`SEInitBlock`) at
1581d633fb54033c772b23ae634612bd4f424968.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.third_party_checkpoints.case import (
    CIFAR_SIZE,
    IMAGENET_SIZE,
    Case,
    make_trained,
    random_images,
    run,
    seed_weights,
)

RESNETD50B_PARAMETERS = 25_680_808  # asserted by resnetd.py itself


class ConvBlock(nn.Module):
    """`conv`, `bn` and (unless it ends a branch) ReLU."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(
            inplanes, planes, kernel, stride, padding, dilation, groups, bias=False
        )
        self.bn = nn.BatchNorm2d(planes)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return F.relu(x) if self.relu else x


class Unit(nn.Module):
    """`body` of three convolutions and `identity_conv`; the stride is in the second one."""

    def __init__(
        self, inplanes: int, width: int, planes: int, stride: int, dilation: int, groups: int
    ) -> None:
        super().__init__()
        self.body = nn.Sequential()
        self.body.add_module("conv1", ConvBlock(inplanes, width))
        self.body.add_module("conv2", ConvBlock(width, width, 3, stride, dilation, groups))
        self.body.add_module("conv3", ConvBlock(width, planes, relu=False))
        self.identity_conv = None
        if inplanes != planes or stride != 1:
            self.identity_conv = ConvBlock(inplanes, planes, 1, stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.identity_conv is None else self.identity_conv(x)
        return F.relu(self.body(x) + identity)


class Net(nn.Module):
    """`features` with `init_block`, `stageN.unitN`, then `output`."""

    def __init__(
        self, stem: nn.Module, stages: list[list[Unit]], planes: int, num_classes: int
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("init_block", stem)
        for number, units in enumerate(stages, 1):
            stage = nn.Sequential()
            for index, unit in enumerate(units, 1):
                stage.add_module(f"unit{index}", unit)
            self.features.add_module(f"stage{number}", stage)
        self.output = nn.Linear(planes, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x).mean((2, 3)))


class SEInitBlock(nn.Module):
    """Deep stem: three 3x3 convolutions and a max pool."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBlock(3, 64, 3, 2)
        self.conv2 = ConvBlock(64, 64, 3)
        self.conv3 = ConvBlock(64, 128, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.conv3(self.conv2(self.conv1(x))), 3, 2, 1)


def case_of(model: Net, size: int) -> Case:
    """Return the state dict that pytorchcv publishes, and the outputs."""
    make_trained(model, size=size)
    image = random_images(3, size)
    features, logits = run(model, image, model.output)
    return Case(content=model.state_dict(), image=image, features=features, logits=logits)


def resnext29_32x4d() -> Case:
    """Return resnext29_32x4d_cifar10: widths of 128, 256, 512 and four times 64, 128, 256 out."""
    seed_weights(23)
    stages, inplanes = list[list[Unit]](), 64
    for stage, planes in enumerate((256, 512, 1024)):
        units = list[Unit]()
        for index in range(3):
            stride = 2 if stage > 0 and index == 0 else 1
            width = 32 * (planes // 4 * 4 // 64)
            units.append(Unit(inplanes, width, planes, stride, 1, 32))
            inplanes = planes
        stages.append(units)
    return case_of(Net(ConvBlock(3, 64, 3), stages, 1024, 10), CIFAR_SIZE)


def resnetd50b() -> Case:
    """Return resnetd50b: a deep stem, and dilation instead of stride in the last two stages."""
    seed_weights(24)
    stages, inplanes = list[list[Unit]](), 128
    for stage, depth in enumerate((3, 4, 6, 3)):
        units, planes = list[Unit](), 256 << stage
        for index in range(depth):
            stride = 2 if stage == 1 and index == 0 else 1
            # 1, then 2 in the third stage; 2, then 4 in the fourth.
            dilation = 2 ** max(0, stage - 1 - int(index == 0))
            units.append(Unit(inplanes, planes // 4, planes, stride, dilation, 1))
            inplanes = planes
        stages.append(units)
    model = Net(SEInitBlock(), stages, 2048, 1000)
    assert sum(weight.numel() for weight in model.parameters()) == RESNETD50B_PARAMETERS
    return case_of(model, IMAGENET_SIZE)
