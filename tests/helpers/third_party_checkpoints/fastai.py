"""fastai: a body of torchvision's children by index, and its own head.

Source: fastai/fastai, fastai/vision/learner.py at 00e4569645120444761394ab73595ea80454189b
(`create_body` cuts the children before the pooling, `create_head` concatenates maximum and
average). `Learner.save` writes `{"model": state, "opt": state}` or the bare state dict.
"""

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    make_trained,
    random_images,
    seed_weights,
)

NUM_CLASSES = 37  # pets


class ConcatPool(nn.Module):
    """Concatenate the maximum and the average of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([F.adaptive_max_pool2d(x, 1), F.adaptive_avg_pool2d(x, 1)], 1)


def build_model() -> nn.Sequential:
    """Build what `vision_learner(dls, resnet34)` trains."""
    body = nn.Sequential(*list(torchvision.models.resnet34().children())[:-2])
    head = nn.Sequential(
        ConcatPool(),
        nn.Flatten(),
        nn.BatchNorm1d(1024),
        nn.Dropout(0.25),
        nn.Linear(1024, 512, bias=False),
        nn.ReLU(),
        nn.BatchNorm1d(512),
        nn.Dropout(0.5),
        nn.Linear(512, NUM_CLASSES, bias=False),
    )
    return nn.Sequential(body, head)


def resnet34() -> Case:
    """Return what `learn.save("stage-1")` writes.

    The head has batch norms and two kinds of pooling, so only the body is a ResNet-34.
    """
    seed_weights(9)
    model = make_trained(build_model())
    image = random_images(3, IMAGENET_SIZE)
    with torch.no_grad():
        features = model[0](image).mean((2, 3))
        logits = model(image)
    content = {"model": model.state_dict(), "opt": {"state": [], "hypers": [{"lr": 0.001}]}}
    return Case(content=content, image=image, features=features, logits=logits)
