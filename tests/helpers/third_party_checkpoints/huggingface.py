"""Hugging Face transformers: `ResNetForImageClassification` and `ResNetModel`.

Names and arithmetic: huggingface/transformers, src/transformers/models/resnet/modeling_resnet.py
at 00cbbe53b2f70d551ce82a1f6b43a2e4a4debe42 (the code of microsoft/resnet-50).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    make_trained,
    random_images,
    run,
    seed_weights,
)


class Layer(nn.Module):
    """Convolution, batch norm and (unless it ends a branch) ReLU."""

    def __init__(self, inplanes: int, planes: int, kernel: int, stride: int, relu: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inplanes, planes, kernel, stride, kernel // 2, bias=False)
        self.normalization = nn.BatchNorm2d(planes)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.normalization(self.convolution(x))
        return F.relu(x) if self.relu else x


class Bottleneck(nn.Module):
    def __init__(self, inplanes: int, planes: int, stride: int) -> None:
        super().__init__()
        width = planes // 4
        self.shortcut = None
        if inplanes != planes or stride != 1:
            self.shortcut = Layer(inplanes, planes, 1, stride, relu=False)
        self.layer = nn.Sequential(
            Layer(inplanes, width, 1, 1, relu=True),
            Layer(width, width, 3, stride, relu=True),
            Layer(width, planes, 1, 1, relu=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu(self.layer(x) + shortcut)


class Stage(nn.Module):
    def __init__(self, inplanes: int, planes: int, stride: int, depth: int) -> None:
        super().__init__()
        blocks = [Bottleneck(inplanes, planes, stride)]
        blocks += [Bottleneck(planes, planes, 1) for _ in range(depth - 1)]
        self.layers = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedder = Layer(3, 64, 7, 2, relu=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.embedder(x), 3, 2, 1)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                Stage(64, 256, 1, 3),
                Stage(256, 512, 2, 4),
                Stage(512, 1024, 2, 6),
                Stage(1024, 2048, 2, 3),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class ResNetModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedder = Embeddings()
        self.encoder = Encoder()

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(self.embedder(x)).mean((2, 3))


class ResNetForImageClassification(nn.Module):
    def __init__(self, num_labels: int = 1000) -> None:
        super().__init__()
        self.resnet = ResNetModel()
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(2048, num_labels))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.resnet(x))


def image_classification() -> Case:
    """Return `model.safetensors` or `pytorch_model.bin` of microsoft/resnet-50."""
    seed_weights(1)
    model = make_trained(ResNetForImageClassification())
    image = random_images(3, IMAGENET_SIZE)
    features, logits = run(model, image, model.classifier)
    return Case(content=model.state_dict(), image=image, features=features, logits=logits)


def base_model() -> Case:
    """Return what `ResNetModel.save_pretrained` writes: no prefix and no head."""
    seed_weights(2)
    model = make_trained(ResNetModel())
    image = random_images(3, IMAGENET_SIZE)
    with torch.no_grad():
        return Case(content=model.state_dict(), image=image, features=model(image))
