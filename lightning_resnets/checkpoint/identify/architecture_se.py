"""Infer the squeeze-and-excitation (SE) of a residual network from shapes."""

from collections.abc import Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]


def find_se_shapes(shapes: Shapes) -> tuple[tuple[int, int], ...]:
    """Find the sizes of every SE module.

    Args:
        shapes: shapes by our keys.

    Returns:
        (channels, reduced channels) of each.
    """
    found = list[tuple[int, int]]()
    for name, shape in shapes.items():
        # A file may have a weight of any shape.
        if name.endswith(".se.fc1.weight") and len(shape) == 4 and shape[0] and shape[1]:
            found.append((shape[1], shape[0]))
    return tuple(found)


def se_kwargs(
    shapes: Shapes, stages: int, se_shapes: tuple[tuple[int, int], ...]
) -> dict[str, Any]:
    """Return the arguments of SE; the last module shows the reduction best.

    Args:
        shapes: shapes by our keys.
        stages: number of stages.
        se_shapes: (channels, reduced channels) of every SE module.

    Returns:
        Model kwargs.
    """
    channels, reduced = se_shapes[-1]
    return {
        "se_reduction": max(1, round(channels / reduced)),
        "se_placement": _se_placement(shapes, stages, channels),
        "se_bias": "layer1.0.se.fc1.bias" in shapes,
    }


def _se_placement(shapes: Shapes, stages: int, default_channels: int) -> str:
    """Return SE's placement, from its channels in the first block of the last stage."""
    block = f"layer{stages}.0."
    fc1 = shapes.get(f"{block}se.fc1.weight", ())
    # A damaged file may lack the module of this block, or have another shape there.
    channels = (*fc1, 0, 0)[1] or default_channels
    inner = shapes.get(f"{block}conv2.weight", ())[:1]
    last = shapes.get(f"{block}conv3.weight", ())[:1] or inner
    if (channels,) == last:
        return "standard"
    if (channels,) == inner:
        return "3x3"
    return "pre"
