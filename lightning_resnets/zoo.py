"""All nets by name: ImageNet nets as torchvision and timm call them, CIFAR nets as their papers do."""

import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from lightning_resnets import foreign
from lightning_resnets.nets import comparison
from lightning_resnets.nets.densenet import DenseNet
from lightning_resnets.nets.highway import Highway
from lightning_resnets.nets.inception import BNInception, GoogLeNet
from lightning_resnets.nets.inception_resnet import InceptionResNetV2
from lightning_resnets.nets.preact import PreActBasic, PreActBottleneck, PreActResNet
from lightning_resnets.nets.residual import BasicBlock, Bottleneck
from lightning_resnets.nets.resnet import ResNet


@dataclass(frozen=True, slots=True)
class Entry:
    """How a net is made, and what its paper made it for: so many classes, pictures of (C, H, W)."""

    make: Callable[..., nn.Module]
    classes: int
    size: tuple[int, int, int]


def cifar(make: Callable[..., nn.Module], *args: Any, **options: Any) -> Entry:
    return Entry(partial(make, *args, **options), 10, (3, 32, 32))


def imagenet(make: Callable[..., nn.Module], *args: Any, side: int = 224, **options: Any) -> Entry:
    return Entry(partial(make, *args, **options), 1000, (3, side, side))


def cifar_resnet(depth: int, shortcut: str = "A", **options: Any) -> Entry:
    """ResNet of 6n + 2 layers for 32x32 pictures (arXiv:1512.03385, section 4.2)."""
    return cifar(ResNet, BasicBlock, ((depth - 2) // 6,) * 3, stem="cifar", shortcut=shortcut, **options)


def preact_resnet(depth: int, **options: Any) -> Entry:
    """Pre-activation net of 6n + 2 layers, from 164 on of 9n + 2 in bottlenecks (arXiv:1603.05027)."""
    if depth < 164:
        return cifar(PreActResNet, PreActBasic, ((depth - 2) // 6,) * 3, **options)
    return cifar(PreActResNet, PreActBottleneck, ((depth - 2) // 9,) * 3, **options)


def wide_resnet(depth: int, widen: int, **options: Any) -> Entry:
    """WRN-depth-widen of 6n + 4 layers (arXiv:1605.07146)."""
    return cifar(PreActResNet, PreActBasic, ((depth - 4) // 6,) * 3, widen=widen, **options)


def cifar_densenet(depth: int, growth: int, bc: bool) -> Entry:
    """DenseNet of three equal blocks for 32x32 pictures; `bc` adds bottlenecks and compression (arXiv:1608.06993)."""
    layers = (depth - 4) // (6 if bc else 3)
    width, bottleneck, compression = (2 * growth, 4, 0.5) if bc else (16, 0, 1.0)
    return cifar(
        DenseNet, (layers,) * 3, growth=growth, stem_width=width, stem="cifar", bottleneck=bottleneck,
        compression=compression,
    )  # fmt: skip


DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
DENSE = {121: (6, 12, 24, 16), 161: (6, 12, 36, 24), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
FULL = ((40, 12), (100, 12), (100, 24))  # layers and growth of the CIFAR DenseNets
BC = ((40, 12), (100, 12), (250, 24), (190, 40), (40, 36), (40, 48), (40, 60))
GROUPED = {"50_32x4d": (50, 32, 4), "101_32x4d": (101, 32, 4), "101_32x8d": (101, 32, 8), "101_64x4d": (101, 64, 4)}
TIMM: dict[str, Any] = {"se": 16, "se_multiple": 8}  # timm rounds the widths of its SE nets


def imagenet_resnet(depth: int, **options: Any) -> Entry:
    return imagenet(ResNet, BasicBlock if depth < 50 else Bottleneck, DEPTHS[depth], **options)


NETS: dict[str, Entry] = {
    **{f"resnet{depth}": cifar_resnet(depth) for depth in (20, 32, 44, 56, 110, 1202)},
    **{f"plain{depth}": cifar_resnet(depth, "none") for depth in (20, 32, 44, 56, 110, 1202)},
    **{f"seresnet{depth}": cifar_resnet(depth, se=16) for depth in (20, 32, 44, 56, 110)},
    **{f"preresnet{depth}": preact_resnet(depth) for depth in (20, 56, 110, 164, 1001)},
    **{f"sepreresnet{depth}": preact_resnet(depth, se=16) for depth in (110, 164)},
    "wrn_16_8": wide_resnet(16, 8),
    "wrn_28_10": wide_resnet(28, 10),
    "sewrn_16_8": wide_resnet(16, 8, se=16),
    **{f"densenet_{depth}_{k}": cifar_densenet(depth, k, False) for depth, k in FULL},
    **{f"densenet_bc_{depth}_{k}": cifar_densenet(depth, k, True) for depth, k in BC},
    "highway19": cifar(Highway, ((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6)),
    "highway32": cifar(Highway, ((32,) * 10, (48,) * 10, (64,) * 10)),
    **{f"resnet{depth}": imagenet_resnet(depth) for depth in DEPTHS},
    **{f"plain{depth}": imagenet_resnet(depth, shortcut="none") for depth in (18, 34)},
    **{f"resnext{name}": imagenet_resnet(d, groups=g, width=w) for name, (d, g, w) in GROUPED.items()},
    **{f"wide_resnet{depth}_2": imagenet_resnet(depth, width=128) for depth in (50, 101)},
    **{f"seresnet{depth}": imagenet_resnet(depth, **TIMM) for depth in DEPTHS},
    **{f"seresnext{name}": imagenet_resnet(d, groups=g, width=w, **TIMM) for name, (d, g, w) in GROUPED.items()},
    **{f"densenet{depth}": imagenet(DenseNet, blocks) for depth, blocks in DENSE.items() if depth != 161},
    "densenet161": imagenet(DenseNet, DENSE[161], growth=48, stem_width=96),
    "googlenet": imagenet(GoogLeNet),
    "bn_inception": imagenet(BNInception),
    "se_bn_inception": imagenet(BNInception, se=16),
    "inception_resnet_v2": imagenet(InceptionResNetV2, side=299),
    "inception_v3": imagenet(comparison.inception_v3, side=299),
    "alexnet": imagenet(comparison.alexnet),
    "vgg16": imagenet(comparison.vgg16),
    "vgg19": imagenet(comparison.vgg19),
}


def names() -> tuple[str, ...]:
    """Names of the nets that the library brings."""
    return tuple(NETS)


def build(name: str, classes: int = 10, pretrained: bool | str = False, **options: Any) -> nn.Module:
    """Build a net by name, in training mode, with fresh weights, or with published ones of ImageNet.

    `classes` is the width of the last layer; `options` go to the net's class (`shortcut="B"`, `se=8`, `dropout=0.2`).
    `torchvision/NAME` and `timm/NAME` are classification nets of these packages (`foreign.make`), without options.
    A name with a colon, `module:function`, is a net of your own: the module is imported (from where Python looks, then
    from the current folder) and the function called with `classes` and `options`. That runs the module's code, so such
    a name must come from you, never from a file. `pretrained` fetches weights by the name that torchvision or timm give
    them ("IMAGENET1K_V1", "ra2_in1k"), True the best there are. Raises ValueError for a name that is not known, naming
    near ones, for an option that the net does not have, and where weights cannot be had.
    """
    if pretrained:
        return trained(name, classes, pretrained, options)
    make = own(name) if ":" in name else partial(foreign.make, name) if "/" in name else known(name)
    try:
        net = make(classes=classes, **options)
    except TypeError as error:
        raise ValueError(f"The net {name} does not take these options: {error}.") from error
    if not isinstance(net, nn.Module):
        raise ValueError(f"{name} gave {type(net).__name__}, not a net: return a torch.nn.Module from it.")
    return net


def trained(name: str, classes: int, pretrained: bool | str, options: dict[str, Any]) -> nn.Module:
    """The same with published weights, in the form of the net that they are for."""
    from lightning_resnets.published import fill
    from lightning_resnets.weights import chosen

    weights = chosen(name, pretrained)
    net = build(name, classes, **{**weights.options, **options})
    fill(net, weights)
    return net


def known(name: str) -> Callable[..., nn.Module]:
    """How a net of the library is made."""
    if name not in NETS:
        near = difflib.get_close_matches(name, NETS, 3, 0.5)
        hint = f"near: {', '.join(near)}" if near else f"known: {', '.join(NETS)}"
        raise ValueError(f"There is no net named {name!r} ({hint}).")
    return NETS[name].make


def own(name: str) -> Callable[..., nn.Module]:
    """The user's function behind `module:function`, imported."""
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"There is no net {name!r} ({error}): name it as module:function, the module's file in this folder."
        ) from error
    finally:
        sys.path.remove(here)
    return make
