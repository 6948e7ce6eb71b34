"""Registry entries: one function for each family of models."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.one_layer_block import OneLayerBlock
from lightning_resnets.models.preact_resnet import PreActBasicBlock, PreActBottleneck, PreActResNet
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.resnet import ResNet
from lightning_resnets.models.senet import SENetBottleneck

# Classes of the datasets that the papers train on.
IMAGENET_CLASSES = 1000
CIFAR_CLASSES = 10

# Blocks in each stage, by the number of layers.
RESNET_DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}

# Layers, groups and width of a group.
RESNEXTS = {
    "50_32x4d": (50, 32, 4),
    "101_32x4d": (101, 32, 4),
    "101_32x8d": (101, 32, 8),
    "101_64x4d": (101, 64, 4),
}


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """Registry entry of one model.

    Attributes:
        factory: builds the model from `num_classes` and model kwargs.
        num_classes: number of classes of the dataset that its paper trained on.
        input_size: (C, H, W) of the images that its paper trained on.
    """

    factory: Callable[..., nn.Module]
    num_classes: int
    input_size: tuple[int, int, int]


def cifar_entry(factory: Callable[..., nn.Module], *args: Any, **model_kwargs: Any) -> ModelEntry:
    """Register a model for CIFAR-10.

    Args:
        factory: class or function that builds the model.
        *args: its first arguments.
        **model_kwargs: its further arguments.

    Returns:
        Its entry.
    """
    return ModelEntry(partial(factory, *args, **model_kwargs), CIFAR_CLASSES, (3, 32, 32))


def imagenet_entry(
    factory: Callable[..., nn.Module], *args: Any, image_size: int = 224, **model_kwargs: Any
) -> ModelEntry:
    """Register a model for ImageNet.

    Args:
        factory: class or function that builds the model.
        *args: its first arguments.
        image_size: side of the images in pixels.
        **model_kwargs: its further arguments.

    Returns:
        Its entry.
    """
    input_size = (3, image_size, image_size)
    return ModelEntry(partial(factory, *args, **model_kwargs), IMAGENET_CLASSES, input_size)


def cifar_resnet_entry(depth: int, shortcut_type: str = "A", **model_kwargs: Any) -> ModelEntry:
    """Register a ResNet of 6n + 2 layers for 32x32 images (arXiv:1512.03385, section 4.2).

    Args:
        depth: number of layers.
        shortcut_type: see `make_shortcut`; the paper's CIFAR models have A.
        **model_kwargs: further arguments of the model.

    Returns:
        Its entry.
    """
    # Three stages of blocks of two layers, one layer before them and one behind.
    depths = ((depth - 2) // 6,) * 3
    return cifar_entry(
        ResNet, BasicBlock, depths, stem="cifar", shortcut_type=shortcut_type, **model_kwargs
    )


def preact_entry(depth: int, **model_kwargs: Any) -> ModelEntry:
    """Register a pre-activation ResNet of 6n + 2 layers (arXiv:1603.05027, section 4).

    From 164 layers on it has 9n + 2 in bottlenecks.

    Args:
        depth: number of layers.
        **model_kwargs: further arguments of the model.

    Returns:
        Its entry.
    """
    # A bottleneck has three layers, a basic block two.
    if depth < 164:
        depths = ((depth - 2) // 6,) * 3
        return cifar_entry(PreActResNet, PreActBasicBlock, depths, **model_kwargs)
    depths = ((depth - 2) // 9,) * 3
    return cifar_entry(PreActResNet, PreActBottleneck, depths, **model_kwargs)


def wide_resnet_entry(depth: int, widen_factor: int, **model_kwargs: Any) -> ModelEntry:
    """Register WRN-depth-widen_factor of 6n + 4 layers (arXiv:1605.07146, table 1).

    Args:
        depth: number of layers.
        widen_factor: the paper's k.
        **model_kwargs: further arguments of the model.

    Returns:
        Its entry.
    """
    # The paper counts convolutions: the 4 are the first one and the stages' projections.
    depths = ((depth - 4) // 6,) * 3
    return cifar_entry(
        PreActResNet, PreActBasicBlock, depths, widen_factor=widen_factor, **model_kwargs
    )


def cifar_densenet_entry(depth: int, growth_rate: int) -> ModelEntry:
    """Register a DenseNet of three equal blocks for 32x32 images (arXiv:1608.06993, section 3).

    Args:
        depth: number of layers, 3n + 4.
        growth_rate: the paper's k.

    Returns:
        Its entry.
    """
    return cifar_entry(
        DenseNet,
        ((depth - 4) // 3,) * 3,
        growth_rate=growth_rate,
        stem_width=16,
        stem="cifar",
        bottleneck_factor=0,
        compression=1.0,
    )


def cifar_densenet_bc_entry(depth: int, growth_rate: int) -> ModelEntry:
    """Register a DenseNet-BC, with bottlenecks and compression (arXiv:1608.06993, section 3).

    Args:
        depth: number of layers, 6n + 4.
        growth_rate: the paper's k.

    Returns:
        Its entry.
    """
    return cifar_entry(
        DenseNet,
        ((depth - 4) // 6,) * 3,
        growth_rate=growth_rate,
        stem_width=2 * growth_rate,
        stem="cifar",
        bottleneck_factor=4,
        compression=0.5,
    )


def resnet_entry(depth: int, **model_kwargs: Any) -> ModelEntry:
    """Register a ResNet for ImageNet (arXiv:1512.03385, table 1).

    Args:
        depth: a key of `RESNET_DEPTHS`.
        **model_kwargs: further arguments of the model.

    Returns:
        Its entry.
    """
    # The paper has bottlenecks from 50 layers on, to save time.
    block = BasicBlock if depth < 50 else Bottleneck
    return imagenet_entry(ResNet, block, RESNET_DEPTHS[depth], **model_kwargs)


def one_layer_entry(depth: int) -> ModelEntry:
    """Register a CIFAR ResNet of as many layers in blocks of one layer each.

    Args:
        depth: number of layers, 3n + 2.

    Returns:
        Its entry.
    """
    # One convolution before the three stages, one linear layer behind them.
    depths = ((depth - 2) // 3,) * 3
    return cifar_entry(ResNet, OneLayerBlock, depths, stem="cifar", shortcut_type="A")


def senet154_entry() -> ModelEntry:
    """Register SENet-154 (arXiv:1709.01507, appendix), with the max-pool of timm's `senet154`."""
    return imagenet_entry(
        ResNet,
        SENetBottleneck,
        RESNET_DEPTHS[152],
        stem="deep",
        stem_width=128,
        first_width=64,
        se_reduction=16,
        dropout=0.2,
    )


def resnext_entry(name: str, **model_kwargs: Any) -> ModelEntry:
    """Register a ResNeXt for ImageNet (arXiv:1611.05431, table 1).

    Args:
        name: a key of `RESNEXTS`.
        **model_kwargs: further arguments of the model.

    Returns:
        Its entry.
    """
    depth, groups, base_width = RESNEXTS[name]
    return resnet_entry(depth, groups=groups, base_width=base_width, **model_kwargs)
