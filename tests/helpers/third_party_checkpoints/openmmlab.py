"""OpenMMLab's mmpretrain: ResNet-50 and SE-ResNet-50.

Names: open-mmlab/mmpretrain, mmpretrain/models/backbones/resnet.py at
0979e785737baa0342a6be2917736a58669a1238 and seresnet.py at
9fe593e3e04b1258795c1020ec3fa29b867324bf: `backbone.` before torchvision's names, `head.fc`, and a
`se_layer` of two `ConvModule`s (`conv1.conv`, `conv2.conv`, with biases) behind the last batch
norm. style="pytorch" has the stride in the 3x3 convolution. torchvision and timm compute the same.
"""

import timm
import torchvision
from torch import Tensor, nn

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    make_trained,
    random_images,
    run,
    seed_weights,
)

META = {"mmcls_version": "0.23.0", "epoch": 100, "config": "model = dict(type='ImageClassifier')"}


def mmpretrain_key(key: str) -> str:
    """Return mmpretrain's name for a weight of torchvision's or timm's model."""
    if key.startswith("fc."):
        return f"head.{key}"
    for number in (1, 2):
        key = key.replace(f".se.fc{number}.", f".se_layer.conv{number}.conv.")
    return f"backbone.{key}"


def published(model: nn.Module, head: nn.Module) -> Case:
    """Return the file of a model: `meta` and `state_dict`."""
    model = make_trained(model)
    image = random_images(3, IMAGENET_SIZE)
    features, logits = run(model, image, head)
    state = dict[str, Tensor]()
    for key, weight in model.state_dict().items():
        state[mmpretrain_key(key)] = weight
    content = {"meta": META, "state_dict": state}
    return Case(content=content, image=image, features=features, logits=logits)


def resnet50() -> Case:
    """Return resnet50_8xb32_in1k."""
    seed_weights(3)
    model = torchvision.models.resnet50()
    return published(model, model.fc)


def seresnet50() -> Case:
    """Return se-resnet50_batch256_imagenet."""
    seed_weights(4)
    model = timm.create_model("seresnet50")
    return published(model, model.get_submodule("fc"))
