"""The nets that residual nets are compared with, as torchvision has them: AlexNet, VGG-16 and -19, Inception-v3.

torchvision is imported when one of them is built, not before. Their joins are torchvision's own code, not named merges.
"""

from typing import Any

from torch import nn


def alexnet(classes: int = 1000, **options: Any) -> nn.Module:
    from torchvision import models

    return models.alexnet(num_classes=classes, **options)


def vgg16(classes: int = 1000, **options: Any) -> nn.Module:
    from torchvision import models

    return models.vgg16(num_classes=classes, **options)


def vgg19(classes: int = 1000, **options: Any) -> nn.Module:
    from torchvision import models

    return models.vgg19(num_classes=classes, **options)


def inception_v3(classes: int = 1000, **options: Any) -> nn.Module:
    """Without the auxiliary classifier, so that it answers with logits in training too."""
    from torchvision import models

    options = {"aux_logits": False, "init_weights": True, **options}
    return models.inception_v3(num_classes=classes, **options)
