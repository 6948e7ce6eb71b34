"""Infer the arguments of a DenseNet from shapes."""

from collections.abc import Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

FIRST_LAYER = "features.denseblock1.denselayer1."


def densenet_kwargs(shapes: Shapes) -> dict[str, Any] | None:
    """Infer the arguments of a DenseNet.

    Args:
        shapes: shapes by our keys.

    Returns:
        Model kwargs, or None if a weight that tells them is missing.
    """
    stem = shapes.get("features.conv0.weight", ())
    conv1 = shapes.get(f"{FIRST_LAYER}conv1.weight", ())
    conv2 = shapes.get(f"{FIRST_LAYER}conv2.weight", ())
    if len(stem) != 4 or len(conv1) != 4 or 0 in conv1:
        return None
    growth_rate, bottleneck_factor = _layer_widths(conv1, conv2)
    model_kwargs: dict[str, Any] = {
        "growth_rate": growth_rate,
        "stem_width": stem[0],
        "stem": _stem_type(shapes),
        "bottleneck_factor": bottleneck_factor,
        "compression": _compression(shapes),
    }
    if stem[1] != 3:
        model_kwargs["in_channels"] = stem[1]
    return model_kwargs


def _layer_widths(conv1: tuple[int, ...], conv2: tuple[int, ...]) -> tuple[int, int]:
    """Return growth rate and bottleneck factor of a layer with these convolutions."""
    # Without bottlenecks the first convolution already has growth_rate channels.
    if not conv2:
        return conv1[0], 0
    growth_rate = conv1[0]
    # A damaged file may have a second convolution of any shape.
    if len(conv2) == 4 and conv2[0]:
        growth_rate = conv2[0]
    return growth_rate, conv1[0] // growth_rate


def _stem_type(shapes: Shapes) -> str:
    """Return "imagenet" or "cifar"; CIFAR's stem is a convolution without a batch norm."""
    if "features.norm0.weight" in shapes:
        return "imagenet"
    return "cifar"


def _compression(shapes: Shapes) -> float:
    """Return the fraction of channels that the first transition keeps."""
    transition = (*shapes.get("features.transition1.conv.weight", ()), 1, 1)
    outputs, inputs = transition[:2]
    # Half of an odd number is rounded down.
    if outputs == inputs // 2:
        return 0.5
    return outputs / max(1, inputs)
