"""CIFAR ResNets whose repositories mix the names of stem, block, shortcut and head.

`conv`, `bn`, 3x3 `downsample`, `fc`: yunjey/pytorch-tutorial, tutorials/02-intermediate/
deep_residual_network/main.py at 20aed908f24c3b79b67facf187ef580e1ef7c232, whose depths are 2, 2, 2.
`conv_1_3x3`, `bn_1`, `stage_1`, `conv_a`, `bn_a`: models/resnet.py of D-X-Y/ResNeXt-DenseNet, which
has since been removed there and lives on in copies. The others combine the same parts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.third_party_checkpoints.case import (
    CIFAR_SIZE,
    Case,
    make_trained,
    random_images,
    run,
    seed_weights,
)


@dataclass(frozen=True, slots=True)
class Spelling:
    """Names of a model's parts.

    Attributes:
        stem: convolution and batch norm of the stem.
        stage: text before a stage's number.
        block: convolutions and batch norms of a block.
        shortcut: name of the projection; "" pads channels instead (shortcut A).
        kernel: side of the projection's kernel.
        head: name of the classifier.
    """

    stem: tuple[str, str] = ("conv1", "bn1")
    stage: str = "layer"
    block: tuple[str, str, str, str] = ("conv1", "bn1", "conv2", "bn2")
    shortcut: str = "downsample"
    kernel: int = 1
    head: str = "fc"


def conv(inplanes: int, planes: int, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inplanes, planes, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    """Basic block; where its shape changes, the shortcut is a projection or padding."""

    def __init__(self, inplanes: int, planes: int, spelling: Spelling) -> None:
        super().__init__()
        self.spelling = spelling
        stride = 1 if inplanes == planes else 2
        conv1, bn1, conv2, bn2 = spelling.block
        self.add_module(conv1, conv(inplanes, planes, stride))
        self.add_module(bn1, nn.BatchNorm2d(planes))
        self.add_module(conv2, conv(planes, planes))
        self.add_module(bn2, nn.BatchNorm2d(planes))
        self.pads = stride == 2 and not spelling.shortcut
        self.projects = stride == 2 and bool(spelling.shortcut)
        if self.projects:
            project = conv(inplanes, planes, 2, spelling.kernel)
            self.add_module(spelling.shortcut, nn.Sequential(project, nn.BatchNorm2d(planes)))

    def forward(self, x: Tensor) -> Tensor:
        conv1, bn1, conv2, bn2 = (self.get_submodule(name) for name in self.spelling.block)
        branch = bn2(conv2(F.relu(bn1(conv1(x)))))
        if self.projects:
            x = self.get_submodule(self.spelling.shortcut)(x)
        elif self.pads:
            # D-X-Y's DownsampleA: average pooling of one pixel, then zeros behind the channels.
            half = x[:, :, ::2, ::2]
            x = torch.cat((half, torch.zeros_like(half)), 1)
        return F.relu(branch + x)


class Net(nn.Module):
    """ResNet of 6n + 2 layers."""

    def __init__(self, spelling: Spelling, n: int) -> None:
        super().__init__()
        self.spelling = spelling
        self.add_module(spelling.stem[0], conv(3, 16))
        self.add_module(spelling.stem[1], nn.BatchNorm2d(16))
        inplanes = 16
        for stage, planes in enumerate((16, 32, 64), 1):
            blocks = [Block(inplanes, planes, spelling)]
            blocks += [Block(planes, planes, spelling) for _ in range(n - 1)]
            self.add_module(f"{spelling.stage}{stage}", nn.Sequential(*blocks))
            inplanes = planes
        self.add_module(spelling.head, nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        conv1, bn1 = (self.get_submodule(name) for name in self.spelling.stem)
        x = F.relu(bn1(conv1(x)))
        for stage in (1, 2, 3):
            x = self.get_submodule(f"{self.spelling.stage}{stage}")(x)
        return self.get_submodule(self.spelling.head)(x.mean((2, 3)))


def case_of(spelling: Spelling, n: int, seed: int) -> Case:
    """Return the state dict of a model in a spelling."""
    seed_weights(seed)
    model = make_trained(Net(spelling, n), size=CIFAR_SIZE, seed=seed)
    image = random_images(3, CIFAR_SIZE)
    features, logits = run(model, image, model.get_submodule(spelling.head))
    return Case(content=model.state_dict(), image=image, features=features, logits=logits)


def conv_bn_linear() -> Case:
    """Return a ResNet-20 with `conv`, `bn`, `shortcut` and `linear`."""
    return case_of(Spelling(stem=("conv", "bn"), shortcut="shortcut", head="linear"), 3, 40)


def conv_bn_downsample3x3_fc() -> Case:
    """Return yunjey's model (two blocks a stage): `conv`, `bn`, 3x3 `downsample`, `fc`."""
    return case_of(Spelling(stem=("conv", "bn"), kernel=3), 2, 41)


def shortcut_fc() -> Case:
    """Return a ResNet-20 with `shortcut.0`, `shortcut.1` and `fc`."""
    return case_of(Spelling(shortcut="shortcut"), 3, 42)


def conv_1_bn_1_stage_1() -> Case:
    """Return a ResNet-20 with `conv_1`, `bn_1`, `stage_1` and projections."""
    spelling = Spelling(
        stem=("conv_1", "bn_1"), stage="stage_", block=("conv_1", "bn_1", "conv_2", "bn_2")
    )
    return case_of(spelling, 3, 43)


def conv_1_3x3_stage_1_padded() -> Case:
    """Return D-X-Y's ResNet-20: `conv_1_3x3`, `stage_1`, `conv_a`, shortcut A, `classifier`."""
    spelling = Spelling(
        stem=("conv_1_3x3", "bn_1"),
        stage="stage_",
        block=("conv_a", "bn_a", "conv_b", "bn_b"),
        shortcut="",
        head="classifier",
    )
    return case_of(spelling, 3, 44)
