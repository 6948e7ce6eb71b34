"""Checkpoints of other projects with random weights, and what those projects compute from them.

Keys, shapes and arithmetic come from the projects' own code or from the libraries themselves, never
from this package: every file names its source. `CASES` lists all by name.
"""

from collections.abc import Callable

from tests.helpers.third_party_checkpoints import (
    cifar_spellings,
    detectron2,
    dino,
    fastai,
    headless,
    heads,
    huggingface,
    kuangliu,
    lightning_modules,
    moco,
    one_channel,
    openmmlab,
    paddle,
    pytorchcv,
    torchvision_detection,
)
from tests.helpers.third_party_checkpoints.case import Case

CASES: dict[str, Callable[[], Case]] = {
    "huggingface resnet50": huggingface.image_classification,
    "huggingface base model": huggingface.base_model,
    "mmpretrain resnet50": openmmlab.resnet50,
    "mmpretrain seresnet50": openmmlab.seresnet50,
    "detectron2 msra blobs": detectron2.msra_blobs,
    "detectron2 msra blobs, flat": detectron2.msra_blobs_flat,
    "detectron2 from torchvision": detectron2.converted_torchvision,
    "detectron2 detector": detectron2.detector,
    "paddle resnet50": paddle.resnet50,
    "fastai resnet34": fastai.resnet34,
    "moco v2": moco.checkpoint,
    "dino backbone": dino.backbone,
    "dino training": dino.training_checkpoint,
    "spark resnet50": headless.spark_resnet50,
    "timm headless resnet34": headless.timm_resnet34,
    "timm headless seresnet50": headless.timm_seresnet50,
    "lightly simclr": headless.lightly_simclr,
    "kuangliu preact_resnet18": kuangliu.preact_resnet18,
    "kuangliu senet18": kuangliu.senet18,
    "kuangliu resnext29_32x4d": kuangliu.resnext29_32x4d,
    "pytorchcv resnext29_32x4d": pytorchcv.resnext29_32x4d,
    "pytorchcv resnetd50b": pytorchcv.resnetd50b,
    "one channel torchvision resnet18": one_channel.torchvision_resnet18,
    "one channel timm seresnet18": one_channel.timm_seresnet18,
    "one channel torchvision densenet121": one_channel.torchvision_densenet121,
    "torchvision faster r-cnn": torchvision_detection.faster_rcnn,
    "torchvision fcn": torchvision_detection.fcn,
    "lightning learner.net": lightning_modules.learner_net,
    "lightning metric states": lightning_modules.with_metric_states,
    "head fc.1": heads.dropout_linear,
    "head fc.0 fc.3": heads.two_linear,
    "head head.fc": heads.head_fc,
    "head classifier.0": heads.classifier_0,
    "cifar conv bn linear": cifar_spellings.conv_bn_linear,
    "cifar conv bn 3x3 downsample fc": cifar_spellings.conv_bn_downsample3x3_fc,
    "cifar shortcut fc": cifar_spellings.shortcut_fc,
    "cifar conv_1 bn_1 stage_1": cifar_spellings.conv_1_bn_1_stage_1,
    "cifar conv_1_3x3 padded": cifar_spellings.conv_1_3x3_stage_1_padded,
}

__all__ = ["CASES", "Case"]
