"""kuangliu's CIFAR models: PreActResNet18, SENet18 and ResNeXt29_32x4d.

Source: kuangliu/pytorch-cifar, models/preact_resnet.py, models/senet.py and models/resnext.py at
49b7aa97b0c12fe0d4054e670403a16b6b834ddd. Neither of the first two has a batch norm before its
average pooling; SENet18 has pre-activation blocks behind a normalized and rectified stem.
Files are saved as `{"net": state, "acc": percent, "epoch": number}` by main.py.
"""

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


def conv3x3(inplanes: int, planes: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)


class PreActBlock(nn.Module):
    """Pre-activation block; its SE layers `fc1` and `fc2` are 1x1 convolutions."""

    def __init__(self, inplanes: int, planes: int, stride: int, se: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inplanes)
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        if stride != 1 or inplanes != planes:
            self.shortcut = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False))
        self.se = se
        if se:
            self.fc1 = nn.Conv2d(planes, planes // 16, 1)
            self.fc2 = nn.Conv2d(planes // 16, planes, 1)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        shortcut = self.shortcut(active) if hasattr(self, "shortcut") else x
        branch = self.conv2(F.relu(self.bn2(self.conv1(active))))
        if self.se:
            squeezed = branch.mean((2, 3), keepdim=True)
            branch = branch * torch.sigmoid(self.fc2(F.relu(self.fc1(squeezed))))
        return branch + shortcut


class PreActNet(nn.Module):
    """Four stages of two pre-activation blocks; `bn1` only in SENet18."""

    def __init__(self, se: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(3, 64)
        self.bn1 = nn.BatchNorm2d(64) if se else None
        inplanes = 64
        for stage, planes in enumerate((64, 128, 256, 512), 1):
            stride = 1 if stage == 1 else 2
            blocks = PreActBlock(inplanes, planes, stride, se), PreActBlock(planes, planes, 1, se)
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            inplanes = planes
        self.linear = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if self.bn1 is not None:
            x = F.relu(self.bn1(x))
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.linear(x.mean((2, 3)))


class ResNeXtBlock(nn.Module):
    """Bottleneck with a grouped convolution and twice its width at the output."""

    def __init__(self, inplanes: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=32, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 2 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * width)
        self.shortcut = nn.Sequential()
        if stride != 1 or inplanes != 2 * width:
            project = nn.Conv2d(inplanes, 2 * width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(project, nn.BatchNorm2d(2 * width))

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = F.relu(self.bn2(self.conv2(branch)))
        return F.relu(self.bn3(self.conv3(branch)) + self.shortcut(x))


class ResNeXt29(nn.Module):
    """32x4d: the stem is a 1x1 convolution, widths are 128, 256 and 512."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inplanes = 64
        for stage, width in enumerate((128, 256, 512), 1):
            blocks = list[nn.Module]()
            for block in range(3):
                stride = 2 if stage > 1 and block == 0 else 1
                blocks.append(ResNeXtBlock(inplanes, width, stride))
                inplanes = 2 * width
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(1024, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.linear(x.mean((2, 3)))


def saved_by_main(model: nn.Module) -> Case:
    """Return what main.py saves of a model trained on several GPUs: `module.` prefixes."""
    model = make_trained(model, size=CIFAR_SIZE)
    image = random_images(3, CIFAR_SIZE)
    features, logits = run(model, image, model.get_submodule("linear"))
    state = {f"module.{key}": weight for key, weight in model.state_dict().items()}
    content = {"net": state, "acc": 95.11, "epoch": 199}
    return Case(content=content, image=image, features=features, logits=logits)


def preact_resnet18() -> Case:
    """Return a checkpoint of PreActResNet18."""
    seed_weights(20)
    return saved_by_main(PreActNet(se=False))


def senet18() -> Case:
    """Return a checkpoint of SENet18."""
    seed_weights(21)
    return saved_by_main(PreActNet(se=True))


def resnext29_32x4d() -> Case:
    """Return a checkpoint of ResNeXt29_32x4d."""
    seed_weights(22)
    return saved_by_main(ResNeXt29())
