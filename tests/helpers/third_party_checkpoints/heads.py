"""ResNets with another head than one `fc`: Dropout, two linear layers, other names.

`fc.1`: transfer learning with Dropout. `fc.0`, `fc.3`: Linear, ReLU, Dropout, Linear. `head.fc`:
OpenMMLab's and timm's later models. `classifier.0`: a Sequential of one layer.
"""

from collections.abc import Callable

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

NUM_CLASSES = 5


def case_of(head: nn.Module, rename: Callable[[str], str], seed: int) -> Case:
    """Return a ResNet-18 with a head in place of `fc`, its keys renamed."""
    seed_weights(seed)
    model = torchvision.models.resnet18()
    model.fc = head  # type: ignore[assignment]
    make_trained(model, seed=seed)
    image = random_images(3, IMAGENET_SIZE)
    features, logits = run(model, image, head)
    state = dict[str, Tensor]()
    for key, weight in model.state_dict().items():
        state[rename(key)] = weight
    return Case(content=state, image=image, features=features, logits=logits)


def same(key: str) -> str:
    return key


def dropout_linear() -> Case:
    """Return a head `fc.1`: Dropout, Linear."""
    return case_of(nn.Sequential(nn.Dropout(0.5), nn.Linear(512, NUM_CLASSES)), same, 31)


def two_linear() -> Case:
    """Return a head `fc.0`, `fc.3`: Linear, ReLU, Dropout, Linear."""
    layers = nn.Linear(512, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, NUM_CLASSES)
    return case_of(nn.Sequential(*layers), same, 32)


def head_fc() -> Case:
    """Return a head `head.fc`."""
    return case_of(nn.Linear(512, NUM_CLASSES), lambda key: key.replace("fc.", "head.fc."), 33)


def classifier_0() -> Case:
    """Return a head `classifier.0`."""
    return case_of(nn.Linear(512, NUM_CLASSES), lambda key: key.replace("fc.", "classifier.0."), 34)
