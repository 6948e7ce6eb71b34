"""All nets by name: ImageNet nets as torchvision and timm call them, CIFAR nets as their papers do."""

import difflib
from collections.abc import Callable
from functools import partial

from torch import nn

from lightning_resnets.densenet import DenseNet
from lightning_resnets.resnet import BasicBlock, Bottleneck, ResNet


def cifar_resnet(depth: int, shortcut: str = "A", **options: object) -> Callable[..., nn.Module]:
    """ResNet of 6n + 2 layers for 32x32 pictures (arXiv:1512.03385, section 4.2)."""
    blocks = ((depth - 2) // 6,) * 3
    return partial(ResNet, BasicBlock, blocks, stem="cifar", shortcut=shortcut, **options)  # type: ignore[arg-type]


def cifar_densenet(depth: int, growth: int, bc: bool) -> Callable[..., nn.Module]:
    """DenseNet of three equal blocks for 32x32 pictures; `bc` adds bottlenecks and compression (arXiv:1608.06993)."""
    layers = (depth - 4) // (6 if bc else 3)
    width, bottleneck, compression = (2 * growth, 4, 0.5) if bc else (16, 0, 1.0)
    return partial(
        DenseNet, (layers,) * 3, growth, width, stem="cifar", bottleneck=bottleneck, compression=compression
    )  # fmt: skip


NETS: dict[str, Callable[..., nn.Module]] = {
    **{f"resnet{depth}": cifar_resnet(depth) for depth in (20, 32, 44, 56, 110)},
    **{f"plain{depth}": cifar_resnet(depth, "none") for depth in (20, 32, 44, 56, 110)},
    **{f"seresnet{depth}": cifar_resnet(depth, se=16) for depth in (20, 32, 44, 56, 110)},
    "densenet_bc_40_12": cifar_densenet(40, 12, bc=True),
    "densenet_bc_100_12": cifar_densenet(100, 12, bc=True),
    "densenet_40_12": cifar_densenet(40, 12, bc=False),
    "resnet18": partial(ResNet, BasicBlock, (2, 2, 2, 2)),
    "resnet34": partial(ResNet, BasicBlock, (3, 4, 6, 3)),
    "resnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3)),
    "resnet101": partial(ResNet, Bottleneck, (3, 4, 23, 3)),
    "resnet152": partial(ResNet, Bottleneck, (3, 8, 36, 3)),
    "seresnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3), se=16),
    "densenet121": partial(DenseNet, (6, 12, 24, 16)),
    "densenet161": partial(DenseNet, (6, 12, 36, 24), 48, 96),
    "densenet169": partial(DenseNet, (6, 12, 32, 32)),
    "densenet201": partial(DenseNet, (6, 12, 48, 32)),
}


def names() -> tuple[str, ...]:
    """Names that `build` knows."""
    return tuple(NETS)


def build(name: str, classes: int = 10, **options: object) -> nn.Module:
    """Build a net by name, in training mode, with fresh weights.

    `classes` is the width of the last layer; `options` go to the net's class (`shortcut="B"`, `se=8`, `dropout=0.2`).
    Raises ValueError for a name that is not known, naming near ones, and for an option that the net does not have.
    """
    if name not in NETS:
        near = difflib.get_close_matches(name, NETS, 3, 0.5)
        hint = f"near: {', '.join(near)}" if near else f"known: {', '.join(NETS)}"
        raise ValueError(f"There is no net named {name!r} ({hint}).")
    try:
        return NETS[name](classes=classes, **options)
    except TypeError as error:
        raise ValueError(f"The net {name} does not take these options: {error}.") from error
