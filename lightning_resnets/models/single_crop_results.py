"""Top-1 errors on ImageNet under one protocol, so that models can be compared.

One central crop of 224 x 224 pixels (299 x 299 for Inception-v3 and Inception-ResNet-v2) from each
image of the validation set, one model, no ensemble. torchvision's first weights (IMAGENET1K_V1)
where they are trained with the classic recipe: these are our very models, with shortcut B and the
stride in the 3x3 convolution. The papers' own single-crop errors for the others.
"""

from lightning_resnets.models.published_results import (
    DENSENET_1CROP,
    RESNEXT,
    SE,
    PublishedResult,
)

TORCHVISION = "torchvision, IMAGENET1K_V1"

TORCHVISION_ERRORS = {
    "alexnet": 43.48,
    "vgg16": 28.41,
    "vgg16_bn": 26.64,
    "vgg19": 27.62,
    "vgg19_bn": 25.78,
    "googlenet": 30.22,
    "inception_v3": 22.71,
    "resnet18": 30.24,
    "resnet34": 26.69,
    "resnet50": 23.87,
    "resnet101": 22.63,
    "resnet152": 21.69,
    "resnext50_32x4d": 22.38,
    "resnext101_32x8d": 20.69,
    "wide_resnet50_2": 21.53,
    "wide_resnet101_2": 21.15,
    "densenet121": 25.57,
    "densenet161": 22.86,
    "densenet169": 24.40,
    "densenet201": 23.10,
}

SINGLE_CROP_RESULTS: dict[str, PublishedResult] = {
    **{name: PublishedResult(error, TORCHVISION) for name, error in TORCHVISION_ERRORS.items()},
    "densenet264": PublishedResult(22.15, DENSENET_1CROP),
    "resnext101_32x4d": PublishedResult(21.2, RESNEXT),
    "resnext101_64x4d": PublishedResult(20.4, RESNEXT),
    "seresnet50": PublishedResult(23.29, SE),
    "seresnet101": PublishedResult(22.38, SE),
    "seresnet152": PublishedResult(21.57, SE),
    "seresnext50_32x4d": PublishedResult(21.10, SE),
    "seresnext101_32x4d": PublishedResult(20.70, SE),
    "senet154": PublishedResult(18.68, SE),
    "bn_inception": PublishedResult(25.38, f"{SE}, reimplementation"),
    "se_bn_inception": PublishedResult(24.23, SE),
    "inception_resnet_v2": PublishedResult(19.9, "Szegedy et al. 2016, arXiv:1602.07261"),
}
