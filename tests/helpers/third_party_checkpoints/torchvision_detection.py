"""torchvision's Faster R-CNN and FCN: ResNet-50 backbones beside other parts of a model.

Built by torchvision itself. Published detectors have frozen batch norms, which count no batches.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.segmentation import fcn_resnet50

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    is_counter,
    make_trained,
    random_images,
    seed_weights,
)


class LastMap(nn.Module):
    """Select the last feature map of a backbone that returns several by name."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        maps: OrderedDict[str, Tensor] = self.body(x)
        return maps[list(maps)[-1]] if "out" not in maps else maps["out"]


def pooled_features(body: nn.Module) -> tuple[Tensor, Tensor]:
    """Return an image and the pooled output of a backbone's last stage."""
    backbone = make_trained(LastMap(body))
    image = random_images(3, IMAGENET_SIZE)
    with torch.no_grad():
        return image, backbone(image).mean((2, 3))


def faster_rcnn() -> Case:
    """Return fasterrcnn_resnet50_fpn: `backbone.body`, `backbone.fpn`, `rpn`, `roi_heads`."""
    seed_weights(28)
    model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    image, features = pooled_features(model.get_submodule("backbone.body"))
    state = {key: weight for key, weight in model.state_dict().items() if not is_counter(key)}
    return Case(content=state, image=image, features=features)


def fcn() -> Case:
    """Return fcn_resnet50: `backbone`, dilated in its last two stages, and two classifiers."""
    seed_weights(29)
    model = fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True)
    image, features = pooled_features(model.get_submodule("backbone"))
    return Case(content=model.state_dict(), image=image, features=features)
