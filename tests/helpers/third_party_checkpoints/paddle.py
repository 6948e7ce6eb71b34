"""PaddlePaddle's `paddle.vision.models.resnet50`: a pickle of NumPy arrays (`.pdparams`).

Names: PaddlePaddle/Paddle, python/paddle/vision/models/resnet.py at
02c53c2deaa4a3752e53a80f278729600eaa084a. Its attributes are torchvision's; a batch norm's
statistics are `_mean` and `_variance`, and a Linear weight is (inputs, outputs).
"""

from typing import Any

import torchvision

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    is_counter,
    make_trained,
    random_images,
    run,
    seed_weights,
)

STATISTICS = {"running_mean": "_mean", "running_var": "_variance"}


def resnet50() -> Case:
    """Return resnet50.pdparams."""
    seed_weights(8)
    model = make_trained(torchvision.models.resnet50())
    image = random_images(3, IMAGENET_SIZE)
    features, logits = run(model, image, model.fc)
    content = dict[str, Any]()
    for key, weight in model.state_dict().items():
        if is_counter(key):
            continue
        layer, _, leaf = key.rpartition(".")
        array = weight.numpy()
        if key == "fc.weight":
            array = array.T.copy()
        content[f"{layer}.{STATISTICS.get(leaf, leaf)}"] = array
    # paddle.save adds the names that the variables have in a static graph.
    names = {key: f"{key.replace('.', '_')}_0" for key in content}
    content["StructuredToParameterName@@"] = names
    return Case(content=content, image=image, features=features, logits=logits, is_pickle=True)
