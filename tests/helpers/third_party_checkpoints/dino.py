"""DINO's ResNet-50: the published backbone without a head, and a full training checkpoint.

Source: facebookresearch/dino, main_dino.py at 04c0ad957c9fd04cced6d703668bc049586d1d21 (student
inside DistributedDataParallel, `MultiCropWrapper` with `backbone` and `head`, args as a Namespace).
"""

from argparse import Namespace

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


def build_backbone(seed: int) -> nn.Module:
    """Build ResNet-50 whose `fc` is the identity."""
    seed_weights(seed)
    backbone = torchvision.models.resnet50()
    backbone.fc = nn.Identity()  # type: ignore[assignment]
    return make_trained(backbone, seed=seed)


def backbone() -> Case:
    """Return dino_resnet50_pretrain.pth."""
    model = build_backbone(12)
    image = random_images(3, IMAGENET_SIZE)
    with torch.no_grad():
        return Case(content=model.state_dict(), image=image, features=model(image))


def head_weights() -> dict[str, Tensor]:
    """Return the weights of DINO's head (out_dim reduced), with old-style weight norm."""
    return {
        "mlp.0.weight": torch.randn(64, 2048),
        "mlp.0.bias": torch.zeros(64),
        "mlp.2.weight": torch.randn(64, 64),
        "mlp.2.bias": torch.zeros(64),
        "mlp.4.weight": torch.randn(32, 64),
        "mlp.4.bias": torch.zeros(32),
        "last_layer.weight_g": torch.ones(128, 1),
        "last_layer.weight_v": torch.randn(128, 32),
    }


def training_checkpoint() -> Case:
    """Return checkpoint.pth of a run: student, teacher, optimizer, loss.

    `features` are the teacher's, which is the model that DINO publishes.
    """
    image = random_images(3, IMAGENET_SIZE)
    student, teacher = build_backbone(13), build_backbone(14)
    content: dict[str, object] = {
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 100,
        "args": Namespace(arch="resnet50", lr=0.03),
        "dino_loss": {"center": torch.zeros(1, 128)},
    }
    for name, model in (("student", student), ("teacher", teacher)):
        state = {f"module.backbone.{key}": weight for key, weight in model.state_dict().items()}
        state.update({f"module.head.{key}": weight for key, weight in head_weights().items()})
        content[name] = state
    with torch.no_grad():
        return Case(
            content=content,
            image=image,
            features=teacher(image),
            other_features={"student": student(image)},
        )
