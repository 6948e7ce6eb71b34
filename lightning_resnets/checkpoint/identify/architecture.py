"""Infer a model's architecture from the names and shapes of its weights alone.

Depths, widths, groups, shortcuts and squeeze-and-excitation (SE) of ResNets, pre-activation ResNets
and DenseNets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from lightning_resnets.checkpoint.identify.architecture_dense import densenet_kwargs
from lightning_resnets.checkpoint.identify.architecture_se import find_se_shapes, se_kwargs
from lightning_resnets.checkpoint.identify.dense_conversions import dense_block_depths
from lightning_resnets.data.datasets import MAX_CLASSES
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.preact_resnet import (
    STEM_WIDTH,
    PreActBasicBlock,
    PreActBottleneck,
    PreActResNet,
)
from lightning_resnets.models.residual_blocks import BasicBlock, Bottleneck
from lightning_resnets.models.resnet import ResNet
from lightning_resnets.models.stems import STEMS

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

# Model class and block, by pre-activation and bottleneck.
CLASSES: Mapping[tuple[bool, bool], tuple[type[nn.Module], type[nn.Module]]] = {
    (False, False): (ResNet, BasicBlock),
    (False, True): (ResNet, Bottleneck),
    (True, False): (PreActResNet, PreActBasicBlock),
    (True, True): (PreActResNet, PreActBottleneck),
}


@dataclass(frozen=True, slots=True)
class InferredArchitecture:
    """The architecture that shapes tell.

    Attributes:
        model_class: its class.
        positional_args: block and depths, the arguments that a name of the registry fixes.
        model_kwargs: further arguments.
        traits: words that dialects refer to: `imagenet`, `deep` or `cifar` (the stem), `basic`,
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
    stem = _stem_shape(shapes)
    if _is_conv(shapes, "layer1.0.conv1.weight") and len(stem) == 4 and 0 not in stem:
        return _infer_residual(shapes)
    return None


def _stem_shape(shapes: Shapes) -> Shape:
    """Return the shape of the first convolution; (out, in, height, width) of a whole deep stem."""
    first = shapes.get("conv1.0.weight", ())
    last = shapes.get("conv1.6.weight", ())
    if len(first) == len(last) == 4:
        return (last[0], first[1], *first[2:])
    return shapes.get("conv1.weight", ())


def _is_conv(shapes: Shapes, name: str) -> bool:
    """Return True if the weight exists and has four dimensions."""
    return len(shapes.get(name, ())) == 4


def _infer_densenet(shapes: Shapes) -> InferredArchitecture | None:
    """Infer a DenseNet."""
    model_kwargs = densenet_kwargs(shapes)
    if model_kwargs is None:
        return None
    traits = frozenset({model_kwargs["stem"], "dense"})
    return InferredArchitecture(DenseNet, (dense_block_depths(shapes),), model_kwargs, traits)


def _infer_residual(shapes: Shapes) -> InferredArchitecture | None:
    """Infer a ResNet or pre-activation ResNet."""
    # The first stage tells block and widths, the others repeat them.
    depths = _stage_depths(shapes)
    convs = [_first_stage_conv(shapes, index, depths[0]) for index in (1, 2, 3)]
    # Only bottlenecks have a third convolution.
    has_bottleneck = bool(convs[2])
    if not has_bottleneck:
        convs.pop()
    if any(len(shape) != 4 or 0 in shape for shape in convs):
        return None
    is_preact = is_preactivated(shapes)
    model_kwargs = dict[str, Any]()
    if shortcut := _shortcut_type(shapes, len(depths)):
        model_kwargs["shortcut_type"] = shortcut
    if is_preact:
        model_kwargs |= _preact_kwargs(shapes, convs)
    else:
        model_kwargs |= _resnet_kwargs(shapes, convs)
    if se_shapes := find_se_shapes(shapes):
        model_kwargs |= se_kwargs(shapes, len(depths), se_shapes)
    model_class, block = CLASSES[is_preact, has_bottleneck]
    traits = _residual_traits(shapes, is_preact, has_bottleneck, model_kwargs)
    return InferredArchitecture(model_class, (block, depths), model_kwargs, traits, se_shapes)


def _stem(shapes: Shapes) -> str:
    """Return "deep" for three convolutions, "imagenet" for one of 7x7, else "cifar"."""
    if "conv1.6.weight" in shapes:
        return "deep"
    if shapes["conv1.weight"][-1] == 7:
        return "imagenet"
    return "cifar"


def _preact_kwargs(shapes: Shapes, convs: list[Shape]) -> dict[str, Any]:
    """Return the arguments of a pre-activation ResNet."""
    width, channels = _stem_shape(shapes)[:2]
    kwargs: dict[str, Any] = {
        "widen_factor": max(1, convs[0][0] // width),
        "stem_norm": "bn1.weight" in shapes,
        "last_norm": "bn.weight" in shapes,
    }
    return kwargs | _differing(stem_width=(width, STEM_WIDTH), in_channels=(channels, 3))


def _differing(**values: tuple[Any, Any]) -> dict[str, Any]:
    """Return the values that differ from their defaults, which come second."""
    return {name: value for name, (value, default) in values.items() if value != default}


def _resnet_kwargs(shapes: Shapes, convs: list[Shape]) -> dict[str, Any]:
    """Return the arguments of a ResNet."""
    stem = _stem(shapes)
    design = STEMS[stem]
    width, channels, *_, kernel = _stem_shape(shapes)
    planes, groups = _planes_and_groups(convs)
    # Stages that begin wider than the stem are known of ResNeXts only; else the first is missing.
    first_width = planes if planes < width or groups > 1 else width
    kwargs: dict[str, Any] = {"stem": stem, "stem_width": None}
    kwargs |= _differing(
        stem_width=(width, design.width),
        in_channels=(channels, 3),
        stem_kernel=(kernel, design.kernel),
        first_width=(first_width, width),
        shortcut_kernel=(_shortcut_kernel(shapes), 1),
    )
    if len(convs) == 3:
        # ResNeXt (groups) and Wide ResNet (base_width), as torchvision defines them.
        inner = convs[1][0]
        kwargs |= {"groups": groups, "base_width": inner * 64 // max(1, planes * groups)}
    return kwargs


def _planes_and_groups(convs: list[Shape]) -> tuple[int, int]:
    """Return width and groups of a block with these convolutions."""
    if len(convs) == 2:
        return convs[0][0], 1
    # A bottleneck has four times as many channels at its output.
    return max(1, convs[2][0] // 4), max(1, convs[1][0] // convs[1][1])


def _shortcut_kernel(shapes: Shapes) -> int:
    """Return the side of the projections' kernels; 1 without projections."""
    return (*shapes.get("layer2.0.downsample.0.weight", ()), 1, 1, 1, 1)[3] or 1


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


def is_preactivated(shapes: Shapes) -> bool:
    """Check on which side of the convolutions the batch norms are.

    Args:
        shapes: shapes by our keys.

    Returns:
        True if batch norms come before their convolutions.
    """
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
    # Type A and plain models have no weights in their shortcuts.
    if not projected:
        return ""
    return "C" if f"layer{stages}.1" in projected else "B"


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
    # The last layer is the last to be registered, so the search runs from the end.
    for name, shape in reversed(tuple(shapes.items())):
        if len(shape) == 2 and name.endswith("weight"):
            return shape[0]
    return 0
