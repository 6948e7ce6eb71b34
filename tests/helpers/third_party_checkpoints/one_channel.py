"""Models for gray images, whose first convolution has one input channel.

torchvision users replace `conv1`; timm builds it with in_chans=1.
"""

import timm
import torchvision
from torch import nn

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    make_trained,
    random_images,
    run,
    seed_weights,
)


def case_of(model: nn.Module, head: str) -> Case:
    """Return the state dict and the outputs for a gray image."""
    make_trained(model, channels=1)
    image = random_images(1, IMAGENET_SIZE)
    features, logits = run(model, image, model.get_submodule(head))
    return Case(content=model.state_dict(), image=image, features=features, logits=logits)


def torchvision_resnet18() -> Case:
    """Return a ResNet-18 for MNIST or Fashion-MNIST."""
    seed_weights(25)
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return case_of(model, "fc")


def timm_seresnet18() -> Case:
    """Return timm's seresnet18 with in_chans=1."""
    seed_weights(26)
    return case_of(timm.create_model("seresnet18", in_chans=1, num_classes=4), "fc")


def torchvision_densenet121() -> Case:
    """Return a DenseNet-121 for X-ray images, as torchxrayvision has it."""
    seed_weights(27)
    model = torchvision.models.densenet121(num_classes=18)
    model.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return case_of(model, "classifier")
