"""Models of any depth: the classes of the registry, with block and depths as options.

They are not listed. A checkpoint whose blocks are stacked as in no named model is opened as one.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.preact_resnet import PreActBasicBlock, PreActBottleneck, PreActResNet
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.resnet import ResNet

# A block fits one class of models: its sum is activated, or the next block's input is.
BLOCKS: dict[str, type[nn.Module]] = {"basic": BasicBlock, "bottleneck": Bottleneck}
PREACT_BLOCKS: dict[str, Any] = {"basic": PreActBasicBlock, "bottleneck": PreActBottleneck}


def generic_resnet(
    block: str = "basic",
    depths: Sequence[int] = (2, 2, 2, 2),
    num_classes: int = 1000,
    **model_kwargs: Any,
) -> nn.Module:
    """Build a ResNet of any depth.

    Args:
        block: "basic" or "bottleneck".
        depths: number of blocks in each stage.
        num_classes: width of the last layer; 0 for none.
        **model_kwargs: options of `ResNet`.

    Returns:
        The model.

    Raises:
        ValueError: an option is not valid.
    """
    # Depths from a card are lists, because JSON has no tuples.
    return ResNet(_find_block(block, BLOCKS), tuple(depths), num_classes, **model_kwargs)


def generic_preresnet(
    block: str = "basic",
    depths: Sequence[int] = (2, 2, 2),
    num_classes: int = 10,
    **model_kwargs: Any,
) -> nn.Module:
    """Build a pre-activation ResNet of any depth.

    Args:
        block: "basic" or "bottleneck".
        depths: number of blocks in each stage.
        num_classes: width of the last layer; 0 for none.
        **model_kwargs: options of `PreActResNet`.

    Returns:
        The model.

    Raises:
        ValueError: an option is not valid.
    """
    found = _find_block(block, PREACT_BLOCKS)
    return PreActResNet(found, tuple(depths), num_classes=num_classes, **model_kwargs)


def generic_densenet(
    depths: Sequence[int] = (6, 6, 6), num_classes: int = 10, **model_kwargs: Any
) -> nn.Module:
    """Build a DenseNet of any depth.

    Args:
        depths: number of layers in each block.
        num_classes: width of the last layer; 0 for none.
        **model_kwargs: options of `DenseNet`.

    Returns:
        The model.

    Raises:
        ValueError: an option is not valid.
    """
    return DenseNet(tuple(depths), num_classes=num_classes, **model_kwargs)


def _find_block(block: str, blocks: dict[str, Any]) -> Any:
    """Return a class of blocks by its name; raise ValueError if there is none."""
    if block not in blocks:
        raise ValueError(f"block must be 'basic' or 'bottleneck', got {block!r}.")
    return blocks[block]


GENERIC_MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnet": generic_resnet,
    "preresnet": generic_preresnet,
    "densenet": generic_densenet,
}
