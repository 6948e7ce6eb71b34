"""Infer the arguments of a DenseNet from shapes."""

from collections.abc import Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]


def densenet_kwargs(shapes: Shapes) -> dict[str, Any] | None:
    """Infer the arguments of a DenseNet.

    Args:
        shapes: shapes by our keys.

    Returns:
        Model kwargs, or None if a weight that tells them is missing.
    """
    stem = shapes.get("features.conv0.weight", ())
    layer = "features.denseblock1.denselayer1."
    conv1 = shapes.get(f"{layer}conv1.weight", ())
    conv2 = shapes.get(f"{layer}conv2.weight", ())
    if len(stem) != 4 or len(conv1) != 4 or 0 in conv1:
        return None
    # Without bottlenecks the first convolution already has growth_rate channels.
    growth_rate = conv2[0] if len(conv2) == 4 and conv2[0] else conv1[0]
    # CIFAR's stem is a convolution without a batch norm.
    stem_type = "imagenet" if "features.norm0.weight" in shapes else "cifar"
    model_kwargs: dict[str, Any] = {
        "growth_rate": growth_rate,
        "stem_width": stem[0],
        "stem": stem_type,
        "bottleneck_factor": conv1[0] // growth_rate if conv2 else 0,
        "compression": _compression(shapes),
    }
    if stem[1] != 3:
        model_kwargs["in_channels"] = stem[1]
    return model_kwargs


def _compression(shapes: Shapes) -> float:
    """Return the fraction of channels that the first transition keeps."""
    transition = (*shapes.get("features.transition1.conv.weight", ()), 1, 1)
    outputs, inputs = transition[:2]
    # Half of an odd number is rounded down.
    if outputs == inputs // 2:
        return 0.5
    return 1.0 if outputs == inputs else outputs / max(1, inputs)
