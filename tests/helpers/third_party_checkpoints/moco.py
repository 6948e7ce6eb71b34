"""MoCo v2: two encoders, a queue of keys, and DistributedDataParallel's prefix.

Source: facebookresearch/moco, moco/builder.py at 4397a04ed63a95c4a157f017a71883944003b615
(mlp=True); main_moco.py saves epoch, arch, state_dict and optimizer.
"""

import torch
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

DIM = 128
QUEUE = 256  # published: 65,536


def build_encoder(seed: int) -> nn.Module:
    """Build ResNet-50 with MoCo's projection: Linear, ReLU, Linear."""
    seed_weights(seed)
    encoder = torchvision.models.resnet50(num_classes=DIM)
    projection = nn.Sequential(nn.Linear(2048, 2048), nn.ReLU(), encoder.fc)
    encoder.fc = projection  # type: ignore[assignment]
    return make_trained(encoder, seed=seed)


def checkpoint() -> Case:
    """Return moco_v2_800ep_pretrain.pth.tar with both encoders."""
    image = random_images(3, IMAGENET_SIZE)
    query, key = build_encoder(10), build_encoder(11)
    features, logits = run(query, image, query.get_submodule("fc"))
    key_features, _ = run(key, image, key.get_submodule("fc"))
    state = dict[str, Tensor]()
    for name, encoder in (("encoder_q", query), ("encoder_k", key)):
        for weight_name, weight in encoder.state_dict().items():
            state[f"module.{name}.{weight_name}"] = weight
    state["module.queue"] = torch.randn(DIM, QUEUE)
    state["module.queue_ptr"] = torch.zeros(1, dtype=torch.long)
    content = {"epoch": 800, "arch": "resnet50", "state_dict": state, "optimizer": {"state": {}}}
    return Case(
        content=content,
        image=image,
        features=features,
        logits=logits,
        other_features={"encoder_k": key_features},
    )
