"""Infer a model's architecture from the names and shapes of its weights alone.

Depths, widths, groups, shortcuts and squeeze-and-excitation (SE) of ResNets, pre-activation ResNets
and DenseNets.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from lightning_resnets.checkpoint.identify.conversions import dense_block_depths
from lightning_resnets.data.datasets import MAX_CLASSES
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.preact_resnet import PreActBasicBlock, PreActBottleneck, PreActResNet
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.resnet import ResNet

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

# Names of last layers, the most common first.
CLASSIFIER_WEIGHTS = (
    "fc.weight",
    "classifier.weight",
    "classifier.6.weight",
    "last_linear.weight",
    "head.weight",
)


@dataclass(frozen=True, slots=True)
class InferredArchitecture:
    """The architecture that shapes tell.

    Attributes:
        model_class: its class.
        positional_args: block and depths, the arguments that a name of the registry fixes.
        model_kwargs: further arguments.
        traits: words that dialects refer to: `imagenet` or `cifar` (the stem), `basic`,
            `bottleneck` or `grouped`, `preact`, `dense`, `se`, and `bare` if no shortcut has
            weights.
        se_shapes: (channels, reduced channels) of every SE module.
    """

    model_class: type[nn.Module]
    positional_args: tuple[Any, ...]
    model_kwargs: dict[str, Any]
    traits: frozenset[str]
    se_shapes: tuple[tuple[int, int], ...] = ()

    def has(self, traits: str) -> bool:
        """Check for traits.

        Args:
            traits: words separated by spaces.

        Returns:
            True if the model has all of them.
        """
        return self.traits.issuperset(traits.split())


def infer_architecture(shapes: Shapes) -> InferredArchitecture | None:
    """Infer the architecture.

    Args:
        shapes: shapes by our keys.

    Returns:
        The architecture, or None if it is neither a residual nor a dense model.
    """
    if "features.denseblock1.denselayer1.norm1.weight" in shapes:
        return _infer_densenet(shapes)
    if _is_conv(shapes, "layer1.0.conv1.weight") and _is_conv(shapes, "conv1.weight"):
        return _infer_residual(shapes)
    return None


def _is_conv(shapes: Shapes, name: str) -> bool:
    """Return True if the weight exists and has four dimensions."""
    return len(shapes.get(name, ())) == 4


def _infer_residual(shapes: Shapes) -> InferredArchitecture | None:
    """Infer a ResNet or pre-activation ResNet."""
    # The first stage tells block and widths, the others repeat them.
    depths = _stage_depths(shapes)
    convs = [_first_stage_conv(shapes, index, depths[0]) for index in (1, 2, 3)]
    has_bottleneck = bool(convs[2])  # only bottlenecks have a third convolution
    if not has_bottleneck:
        convs = convs[:2]
    if any(len(shape) != 4 or 0 in shape for shape in convs):
        return None
    is_preact = _is_preactivated(shapes)
    model_kwargs = dict[str, Any]()
    if shortcut := _shortcut_type(shapes, len(depths)):
        model_kwargs["shortcut_type"] = shortcut
    if is_preact:
        block = PreActBottleneck if has_bottleneck else PreActBasicBlock
        model_kwargs |= _preact_kwargs(shapes, convs)
    else:
        block = Bottleneck if has_bottleneck else BasicBlock
        model_kwargs |= _resnet_kwargs(shapes, convs)
    se_shapes = _se_shapes(shapes)
    if se_shapes:
        model_kwargs |= _se_kwargs(shapes, len(depths), se_shapes)
    traits = _residual_traits(shapes, is_preact, has_bottleneck, model_kwargs)
    model_class = PreActResNet if is_preact else ResNet
    return InferredArchitecture(model_class, (block, depths), model_kwargs, traits, se_shapes)


def _stem(shapes: Shapes) -> str:
    """Return "imagenet" for a stem of 7x7, else "cifar"."""
    return "imagenet" if shapes["conv1.weight"][-1] == 7 else "cifar"


def _preact_kwargs(shapes: Shapes, convs: list[Shape]) -> dict[str, Any]:
    """Return the arguments of a pre-activation ResNet; its first stage has 16 channels."""
    return {
        "widen_factor": max(1, convs[0][0] // 16),
        "stem_norm": "bn1.weight" in shapes,
        "last_norm": "bn.weight" in shapes,
    }


def _resnet_kwargs(shapes: Shapes, convs: list[Shape]) -> dict[str, Any]:
    """Return the arguments of a ResNet."""
    stem = _stem(shapes)
    width = shapes["conv1.weight"][0]
    default_width = 64 if stem == "imagenet" else 16
    kwargs: dict[str, Any] = {
        "stem": stem,
        "stem_width": None if width == default_width else width,
    }
    if len(convs) == 3:
        # ResNeXt (groups) and Wide ResNet (base_width), as torchvision defines them.
        inner = convs[1][0]
        groups = max(1, inner // convs[1][1])
        planes = convs[2][0] // 4
        kwargs |= {"groups": groups, "base_width": inner * 64 // max(1, planes * groups)}
    return kwargs


def _residual_traits(
    shapes: Shapes, is_preact: bool, has_bottleneck: bool, model_kwargs: Mapping[str, Any]
) -> frozenset[str]:
    """Return the traits of a ResNet."""
    traits = {_stem(shapes)}
    if is_preact:
        traits.add("preact")
    if "shortcut_type" not in model_kwargs:
        traits.add("bare")
    if "se_reduction" in model_kwargs:
        traits.add("se")
    if not has_bottleneck:
        traits.add("basic")
    elif model_kwargs.get("groups", 1) > 1:
        traits.add("grouped")
    else:
        traits.add("bottleneck")
    return frozenset(traits)


def _first_stage_conv(shapes: Shapes, index: int, depth: int) -> Shape:
    """Return the shape of a convolution of the first stage's first block that has it, else ()."""
    # A file may lack a weight.
    names = (f"layer1.{block}.conv{index}.weight" for block in range(depth))
    return next((shapes[name] for name in names if name in shapes), ())


def _is_preactivated(shapes: Shapes) -> bool:
    """Return True if batch norms come before their convolutions."""
    if "bn.weight" in shapes:
        return True
    # A block that changes the width shows on which side the norm is.
    norm = shapes.get("layer2.0.bn1.weight", ())
    conv = shapes.get("layer2.0.conv1.weight", ())
    return len(conv) == 4 and len(norm) == 1 and norm[0] == conv[1] != conv[0]


def _stage_depths(shapes: Shapes) -> tuple[int, ...]:
    """Return the blocks of each stage, from the keys `layer{stage}.{block}.conv1.weight`."""
    depths = list[int]()
    while depth := _count_blocks(shapes, len(depths) + 1):
        depths.append(depth)
    return tuple(depths)


def _count_blocks(shapes: Shapes, stage: int) -> int:
    """Return the number of blocks of one stage."""
    depth = 0
    while f"layer{stage}.{depth}.conv1.weight" in shapes:
        depth += 1
    return depth


def _shortcut_type(shapes: Shapes, stages: int) -> str:
    """Return C if every block has a projection, "" if none has, else B (He 2015, section 4.1)."""
    projected = {name.split(".downsample.")[0] for name in shapes if ".downsample." in name}
    if not projected:
        return ""  # type A, or a plain model
    return "C" if f"layer{stages}.1" in projected else "B"


def _se_shapes(shapes: Shapes) -> tuple[tuple[int, int], ...]:
    """Return (channels, reduced channels) of every SE module."""
    found = list[tuple[int, int]]()
    for name, shape in shapes.items():
        # A file may have a weight of any shape.
        if name.endswith(".se.fc1.weight") and len(shape) == 4 and shape[0] and shape[1]:
            found.append((shape[1], shape[0]))
    return tuple(found)


def _se_kwargs(
    shapes: Shapes, stages: int, se_shapes: tuple[tuple[int, int], ...]
) -> dict[str, Any]:
    """Return the arguments of SE; the last module shows the reduction best."""
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
    channels = (fc1[1] if len(fc1) > 1 else 0) or default_channels
    inner = shapes.get(f"{block}conv2.weight", ())[:1]
    last = shapes.get(f"{block}conv3.weight", ())[:1] or inner
    if (channels,) == last:
        return "standard"
    return "3x3" if (channels,) == inner else "pre"


def _infer_densenet(shapes: Shapes) -> InferredArchitecture | None:
    """Infer a DenseNet."""
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
    depths = dense_block_depths(shapes)
    traits = frozenset({stem_type, "dense"})
    return InferredArchitecture(DenseNet, (depths,), model_kwargs, traits)


def _compression(shapes: Shapes) -> float:
    """Return the fraction of channels that the first transition keeps."""
    transition = (*shapes.get("features.transition1.conv.weight", ()), 1, 1)
    outputs, inputs = transition[:2]
    # Half of an odd number is rounded down.
    if outputs == inputs // 2:
        return 0.5
    return 1.0 if outputs == inputs else outputs / max(1, inputs)


def infer_num_classes(shapes: Shapes) -> int:
    """Infer the number of classes from the last layer.

    Args:
        shapes: shapes by our keys.

    Returns:
        Length of the last weight matrix, 0 if there is none, at most MAX_CLASSES: no model is
        built for a length that a file only claims.
    """
    return min(_claimed_classes(shapes), MAX_CLASSES)


def _claimed_classes(shapes: Shapes) -> int:
    """Return the length of a known last layer, else of the last weight matrix."""
    for name in CLASSIFIER_WEIGHTS:
        shape = shapes.get(name, ())
        if len(shape) == 2:
            return shape[0]
    matrices = [
        shape[0]
        for name, shape in shapes.items()
        if len(shape) == 2 and re.search(r"weight$", name)
    ]
    return matrices[-1] if matrices else 0
