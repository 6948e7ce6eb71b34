"""Backbones without a head: SparK, timm with num_classes=0, lightly's numbered children.

SparK: keyu-tian/SparK, pretrain/main.py at 00883b885dce68413ea048c6703a82d8a67a83b8 saves
`sp_cnn.state_dict()` of timm's ResNet-50 with num_classes=0 (`..._1kpretrained_timm_style.pth`).
lightly: lightly-ai/lightly, examples/pytorch_lightning/simclr.py at
1d55c26d4fc5f9a46b86909d875f7ae969e621bb (`backbone` is a Sequential of torchvision's children
without `fc`; a `projection_head` beside it).
"""

import timm
import torch
import torchvision
from torch import Tensor, nn

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    make_trained,
    random_images,
    seed_weights,
)


def timm_backbone(name: str, seed: int) -> Case:
    """Return the state dict of a timm model without a head."""
    seed_weights(seed)
    model = make_trained(timm.create_model(name, num_classes=0), seed=seed)
    image = random_images(3, IMAGENET_SIZE)
    with torch.no_grad():
        return Case(content=model.state_dict(), image=image, features=model(image))


def spark_resnet50() -> Case:
    """Return resnet50_1kpretrained_timm_style.pth."""
    return timm_backbone("resnet50", 15)


def timm_resnet34() -> Case:
    """Return timm's resnet34 with num_classes=0."""
    return timm_backbone("resnet34", 16)


def timm_seresnet50() -> Case:
    """Return timm's seresnet50 with num_classes=0."""
    return timm_backbone("seresnet50", 17)


def lightly_simclr() -> Case:
    """Return a Lightning checkpoint of lightly's SimCLR example."""
    seed_weights(18)
    children = list(torchvision.models.resnet18().children())[:-1]
    backbone = make_trained(nn.Sequential(*children))
    image = random_images(3, IMAGENET_SIZE)
    state = dict[str, Tensor]()
    for key, weight in backbone.state_dict().items():
        state[f"backbone.{key}"] = weight
    head = nn.Sequential(nn.Linear(512, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
    for key, weight in head.state_dict().items():
        state[f"projection_head.layers.{key}"] = weight
    content = {
        "epoch": 9,
        "global_step": 1950,
        "pytorch-lightning_version": "2.1.0",
        "state_dict": state,
        "loops": {},
    }
    with torch.no_grad():
        features = backbone(image).flatten(1)
    return Case(content=content, image=image, features=features)
