"""detectron2's R-50 in its three forms: MSRA's blobs, torchvision's converted, a whole detector.

Blobs: facebookresearch/detectron2, detectron2/checkpoint/c2_model_loading.py at
31542d62eabaef2cbce5092bf79287ecce2459ab (`res2_0_branch2a_w`, `..._bn_s`, `..._bn_b`: batch norm
is folded to scale and shift; `pred_w` is the classifier). Module names: detectron2/modeling/
backbone/resnet.py at 0af92994bc09a1ea256feb7a76f996cdc3930193 (`res2.0.conv1.norm`, `shortcut`;
MSRA has the stride in the first 1x1 convolution). Conversion: tools/convert-torchvision-to-d2.py
at 1d650efc02992da9acb4ab80b553cf726639af8d. All are pickles of NumPy arrays.
"""

import re
from dataclasses import replace
from typing import Any

import torch
import torchvision
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models import ResNet

from tests.helpers.third_party_checkpoints.case import (
    IMAGENET_SIZE,
    Case,
    is_counter,
    make_trained,
    random_images,
    run,
    seed_weights,
)

BRANCHES = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c"}
BLOB_LEAVES = {"weight": "s", "bias": "b"}


def msra_resnet50() -> ResNet:
    """Build ResNet-50 with the stride in the first convolution of a block."""
    model = torchvision.models.resnet50()
    for stage in (model.layer2, model.layer3, model.layer4):
        block: Any = stage[0]
        block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    return model


def module_key(key: str) -> str:
    """Return detectron2's name for a weight of torchvision's ResNet."""
    if not key.startswith("layer"):
        key = f"stem.{key}"
    key = re.sub(r"^layer(\d)", lambda match: f"res{int(match[1]) + 1}", key)
    key = re.sub(r"\bbn(\d)\.", r"conv\1.norm.", key)
    return key.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


def blob_key(key: str) -> str:
    """Return Caffe2's name for a weight of torchvision's ResNet."""
    parts = key.split(".")
    leaf = parts[-1]
    if parts[0] == "fc":
        return {"weight": "pred_w", "bias": "pred_b"}[leaf]
    if parts[0] == "conv1":
        return "conv1_w"
    if parts[0] == "bn1":
        return f"res_conv1_bn_{BLOB_LEAVES[leaf]}"
    stage = int(parts[0].removeprefix("layer")) + 1
    start = f"res{stage}_{parts[1]}_"
    if parts[2] == "downsample":
        end = "branch1_w" if parts[3] == "0" else f"branch1_bn_{BLOB_LEAVES[leaf]}"
    elif parts[2].startswith("conv"):
        end = f"{BRANCHES[parts[2]]}_w"
    else:
        end = f"{BRANCHES[parts[2].replace('bn', 'conv')]}_bn_{BLOB_LEAVES[leaf]}"
    return start + end


def fold_statistics(model: ResNet) -> None:
    """Move the running statistics into weight and bias, as MSRA's published blobs have it."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            scale = module.weight.data / (module.running_var + module.eps).sqrt()
            module.bias.data -= scale * module.running_mean
            module.weight.data = scale
            module.running_mean.zero_()
            # Caffe2 has no epsilon left to apply: scale and shift are all.
            module.running_var.fill_(1 - module.eps)


def msra_blobs_flat() -> Case:
    """Return blobs without a wrapper, with the classifier's Caffe name and momenta of training."""
    case = msra_blobs()
    blobs = dict(case.content["blobs"])
    blobs["fc1000_w"] = blobs.pop("pred_w")
    blobs["fc1000_b"] = blobs.pop("pred_b")
    blobs["fc1000_w_momentum"] = blobs["fc1000_w"] * 0
    return replace(case, content=blobs)


def msra_blobs() -> Case:
    """Return ImageNetPretrained/MSRA/R-50.pkl."""
    seed_weights(5)
    model = make_trained(msra_resnet50())
    fold_statistics(model)
    image = random_images(3, IMAGENET_SIZE)
    features, logits = run(model, image, model.fc)
    blobs = dict[str, Any]()
    for key, weight in model.state_dict().items():
        if not is_counter(key) and "running" not in key:
            blobs[blob_key(key)] = weight.numpy()
    content = {"blobs": blobs}
    return Case(content=content, image=image, features=features, logits=logits, is_pickle=True)


def converted_torchvision() -> Case:
    """Return ImageNetPretrained/torchvision/R-50.pkl."""
    seed_weights(6)
    model = make_trained(torchvision.models.resnet50())
    image = random_images(3, IMAGENET_SIZE)
    features, logits = run(model, image, model.fc)
    arrays = {module_key(key): weight.numpy() for key, weight in model.state_dict().items()}
    content = {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}
    return Case(content=content, image=image, features=features, logits=logits, is_pickle=True)


def detector() -> Case:
    """Return model_final.pkl of a Faster R-CNN with FPN: the backbone has frozen batch norms."""
    seed_weights(7)
    model = make_trained(msra_resnet50())
    image = random_images(3, IMAGENET_SIZE)
    features, _ = run(model, image, model.fc)
    arrays = dict[str, Any]()
    for key, weight in model.state_dict().items():
        if not is_counter(key) and not key.startswith("fc."):
            arrays[f"backbone.bottom_up.{module_key(key)}"] = weight.numpy()
    for key, shape in DETECTOR_SHAPES.items():
        arrays[key] = torch.zeros(shape).numpy()
    content = {"model": arrays, "__author__": "Detectron2 Model Zoo"}
    return Case(content=content, image=image, features=features, is_pickle=True)


DETECTOR_SHAPES: dict[str, tuple[int, ...]] = {
    "backbone.fpn_lateral5.weight": (256, 2048, 1, 1),
    "backbone.fpn_lateral5.bias": (256,),
    "backbone.fpn_output5.weight": (256, 256, 3, 3),
    "backbone.fpn_output5.bias": (256,),
    "proposal_generator.rpn_head.conv.weight": (256, 256, 3, 3),
    "proposal_generator.rpn_head.conv.bias": (256,),
    "proposal_generator.rpn_head.objectness_logits.weight": (3, 256, 1, 1),
    "roi_heads.box_predictor.cls_score.weight": (81, 1024),
    "roi_heads.box_predictor.cls_score.bias": (81,),
}
