"""Published test error of each model, and the paper that prints it.

CIFAR models: error on CIFAR-10 with standard augmentation (shifts and flips). ImageNet models:
top-1 error on the validation set. A model that is missing here has no error rate in its paper.
"""

from typing import NamedTuple


class PublishedResult(NamedTuple):
    """Test error in % as a paper prints it.

    Attributes:
        error: the error.
        source: the paper, its table, and on ImageNet the number of crops unless it is one.
        note: which of several runs the error is of, or how the paper's model differs from ours;
            empty for a single run, or where the paper says neither.
    """

    error: float
    source: str
    note: str = ""


RESNET = "He et al. 2015, arXiv:1512.03385, table 6"
RESNET_10CROP = "He et al. 2015, arXiv:1512.03385, 10-crop"
RESNET_1CROP = "ResNet authors' release, 1-crop"
PREACT = "He et al. 2016, arXiv:1603.05027"
WIDE_RESNET = "Zagoruyko & Komodakis 2016, arXiv:1605.07146"
RESNEXT = "Xie et al. 2017, arXiv:1611.05431"
DENSENET = "Huang et al. 2017, arXiv:1608.06993, C10+"
DENSENET_1CROP = "Huang et al. 2017, arXiv:1608.06993"
DENSENET_BC_WIDE = "Huang et al., authors' repository, C10+"
SE = "Hu et al. 2019, arXiv:1709.01507"
HIGHWAY = "Srivastava et al. 2015, as quoted in arXiv:1512.03385, table 6"
VGG = "Simonyan & Zisserman 2014, arXiv:1409.1556, table 3"

# The papers on pre-activation and wide ResNets report medians.
MEDIAN_OF_5 = "median of 5 runs"


def _v15(error: float) -> str:
    """Describe the difference of the paper's bottlenecks, with the error of ours."""
    return (
        "the paper's model has the stride in the first 1x1 convolution; with the stride in the "
        f"3x3, as here, {error:.2f} % (fb.resnet.torch, 1-crop)"
    )


PUBLISHED_RESULTS: dict[str, PublishedResult] = {
    "resnet20": PublishedResult(8.75, RESNET),
    "resnet32": PublishedResult(7.51, RESNET),
    "resnet44": PublishedResult(7.17, RESNET),
    "resnet56": PublishedResult(6.97, RESNET),
    "resnet110": PublishedResult(6.43, RESNET, "best of 5 runs; mean 6.61 ± 0.16 %"),
    "resnet1202": PublishedResult(7.93, RESNET),
    "preresnet110": PublishedResult(6.37, PREACT, MEDIAN_OF_5),
    "preresnet164": PublishedResult(5.46, PREACT, MEDIAN_OF_5),
    "preresnet1001": PublishedResult(4.92, PREACT, f"{MEDIAN_OF_5}; mean 4.89 ± 0.14 %"),
    "sepreresnet110": PublishedResult(5.21, SE),
    "sepreresnet164": PublishedResult(4.39, SE),
    "wrn_16_8": PublishedResult(4.27, WIDE_RESNET, MEDIAN_OF_5),
    "wrn_28_10": PublishedResult(4.00, WIDE_RESNET, MEDIAN_OF_5),
    "sewrn_16_8": PublishedResult(3.88, SE),
    "densenet_40_12": PublishedResult(5.24, DENSENET),
    "densenet_100_12": PublishedResult(4.10, DENSENET),
    "densenet_100_24": PublishedResult(3.74, DENSENET),
    "densenet_bc_100_12": PublishedResult(4.51, DENSENET),
    "densenet_bc_250_24": PublishedResult(3.62, DENSENET),
    "densenet_bc_190_40": PublishedResult(3.46, DENSENET),
    "densenet_bc_40_36": PublishedResult(4.58, DENSENET_BC_WIDE),
    "densenet_bc_40_48": PublishedResult(3.99, DENSENET_BC_WIDE),
    "densenet_bc_40_60": PublishedResult(4.01, DENSENET_BC_WIDE),
    "highway19": PublishedResult(7.54, HIGHWAY, "best run; mean 7.72 ± 0.16 %"),
    "highway32": PublishedResult(8.80, HIGHWAY),
    "resnet18": PublishedResult(
        27.88,
        RESNET_10CROP,
        "the paper's shortcut A; with B, as here, 30.43 % (fb.resnet.torch, 1-crop)",
    ),
    "resnet34": PublishedResult(
        24.52, RESNET_10CROP, "shortcut B, as here; the paper also has A 25.03 % and C 24.19 %"
    ),
    "resnet50": PublishedResult(24.7, RESNET_1CROP, _v15(24.01)),
    "resnet101": PublishedResult(23.6, RESNET_1CROP, _v15(22.44)),
    "resnet152": PublishedResult(23.0, RESNET_1CROP, _v15(22.16)),
    "plain18": PublishedResult(27.94, RESNET_10CROP),
    "plain34": PublishedResult(28.54, RESNET_10CROP),
    "resnext50_32x4d": PublishedResult(22.2, RESNEXT),
    "resnext101_32x4d": PublishedResult(21.2, RESNEXT),
    "resnext101_64x4d": PublishedResult(20.4, RESNEXT),
    "wide_resnet50_2": PublishedResult(21.9, WIDE_RESNET),
    "seresnet50": PublishedResult(23.29, SE),
    "seresnet101": PublishedResult(22.38, SE),
    "seresnet152": PublishedResult(21.57, SE),
    "seresnext50_32x4d": PublishedResult(21.10, SE),
    "seresnext101_32x4d": PublishedResult(20.70, SE),
    "senet154": PublishedResult(18.68, SE),
    "densenet121": PublishedResult(25.02, DENSENET_1CROP),
    "densenet161": PublishedResult(22.33, DENSENET_1CROP),
    "densenet169": PublishedResult(23.80, DENSENET_1CROP),
    "densenet201": PublishedResult(22.58, DENSENET_1CROP),
    "densenet264": PublishedResult(22.15, DENSENET_1CROP),
    "bn_inception": PublishedResult(25.38, f"{SE}, reimplementation"),
    "se_bn_inception": PublishedResult(24.23, SE),
    "inception_resnet_v2": PublishedResult(19.9, "Szegedy et al. 2016, arXiv:1602.07261"),
    "inception_v3": PublishedResult(21.2, "Szegedy et al. 2015, arXiv:1512.00567"),
    "vgg16": PublishedResult(28.07, RESNET_10CROP),
    "vgg19": PublishedResult(25.5, VGG, "not one crop: the whole image, at several scales"),
}
