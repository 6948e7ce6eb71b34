"""What the papers say of each net: its published test error and where that is printed.

CIFAR nets: error on CIFAR-10 with the usual shifts and flips. ImageNet nets: top-1 error on the validation set, one
crop where nothing else is said. A net that is not here has no figure in its paper.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """A test error in %, and the paper (and its table) that prints it."""

    error: float
    source: str


RESNET = "He et al. 2015, arXiv:1512.03385, table 6"
TENCROP = "He et al. 2015, arXiv:1512.03385, 10-crop"
RESNET_ONE = "ResNet authors' release, 1-crop"
PREACT = "He et al. 2016, arXiv:1603.05027"
WIDE = "Zagoruyko & Komodakis 2016, arXiv:1605.07146"
DENSE = "Huang et al. 2017, arXiv:1608.06993, C10+"
DENSE_ONE = "Huang et al. 2017, arXiv:1608.06993"
WIDE_BC = "Huang et al., authors' repository, C10+"
SE = "Hu et al. 2019, arXiv:1709.01507"
HIGHWAY = "Srivastava et al. 2015, as quoted in arXiv:1512.03385, table 6"

PUBLISHED: dict[str, Published] = {
    "resnet20": Published(8.75, RESNET),
    "resnet32": Published(7.51, RESNET),
    "resnet44": Published(7.17, RESNET),
    "resnet56": Published(6.97, RESNET),
    "resnet110": Published(6.43, RESNET),
    "resnet1202": Published(7.93, RESNET),
    "preresnet110": Published(6.37, PREACT),
    "preresnet164": Published(5.46, PREACT),
    "preresnet1001": Published(4.92, PREACT),
    "sepreresnet110": Published(5.21, SE),
    "sepreresnet164": Published(4.39, SE),
    "wrn_16_8": Published(4.27, WIDE),
    "wrn_28_10": Published(4.00, WIDE),
    "sewrn_16_8": Published(3.88, SE),
    "densenet_40_12": Published(5.24, DENSE),
    "densenet_100_12": Published(4.10, DENSE),
    "densenet_100_24": Published(3.74, DENSE),
    "densenet_bc_100_12": Published(4.51, DENSE),
    "densenet_bc_250_24": Published(3.62, DENSE),
    "densenet_bc_190_40": Published(3.46, DENSE),
    "densenet_bc_40_36": Published(4.58, WIDE_BC),
    "densenet_bc_40_48": Published(3.99, WIDE_BC),
    "densenet_bc_40_60": Published(4.01, WIDE_BC),
    "highway19": Published(7.54, HIGHWAY),
    "highway32": Published(8.80, HIGHWAY),
    "resnet18": Published(27.88, TENCROP),
    "resnet34": Published(25.03, f"{TENCROP}, shortcut A (B 24.52, C 24.19)"),
    "resnet50": Published(24.7, RESNET_ONE),
    "resnet101": Published(23.6, RESNET_ONE),
    "resnet152": Published(23.0, RESNET_ONE),
    "plain18": Published(27.94, TENCROP),
    "plain34": Published(28.54, TENCROP),
    "resnext50_32x4d": Published(22.11, f"{SE}, its own run"),
    "resnext101_32x4d": Published(21.18, f"{SE}, its own run"),
    "seresnet50": Published(23.29, SE),
    "seresnet101": Published(22.38, SE),
    "seresnet152": Published(21.57, SE),
    "seresnext50_32x4d": Published(21.10, SE),
    "seresnext101_32x4d": Published(20.70, SE),
    "densenet121": Published(25.02, DENSE_ONE),
    "densenet161": Published(22.33, DENSE_ONE),
    "densenet169": Published(23.80, DENSE_ONE),
    "densenet201": Published(22.58, DENSE_ONE),
    "bn_inception": Published(25.38, f"{SE}, its own run"),
    "se_bn_inception": Published(24.23, SE),
    "inception_resnet_v2": Published(19.9, "Szegedy et al. 2016, arXiv:1602.07261"),
    "inception_v3": Published(21.2, "Szegedy et al. 2015, arXiv:1512.00567"),
    "vgg16": Published(28.07, TENCROP),
}
