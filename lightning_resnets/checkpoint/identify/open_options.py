"""List the options of a model that no weight tells: other models with the same names and shapes."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture
from lightning_resnets.checkpoint.identify.dialects import Dialect
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.model_names import join_options
from lightning_resnets.models.preact_resnet import PreActBottleneck
from lightning_resnets.models.residual_blocks import Bottleneck
from lightning_resnets.models.resnet import ResNet

# Name and value of an option.
Option = tuple[str, Any]

# What an option's value does.
EXPLANATIONS: Mapping[Option, str] = {
    ("stride_in", "1x1"): "stride in the first 1x1 convolution (v1)",
    ("stride_in", "3x3"): "stride in the 3x3 convolution (v1.5)",
    ("stem_pool", "pad"): "max-pool behind the stem",
    ("stem_pool", "ceil"): "max-pool whose last window reaches over the edge, as in Caffe",
    ("stem_pool", "none"): "no max-pool behind the stem",
    ("output_stride", 8): "dilation instead of stride in the last two stages",
    ("output_stride", 16): "dilation instead of stride in the last stage",
    ("shortcut_pad", "back"): "shortcuts that add all zeros behind the channels",
    ("shortcut_type", "none"): "no shortcuts",
    ("shortcut_type", "A"): "padded shortcuts",
    ("share_first", False): "first activation only in the branch",
    ("share_first", True): "first activation in front of both paths",
    ("se_pool", "max"): "SE of maxima",
    ("se_pre_relu", True): "ReLU in front of SE",
    ("se_placement", "post"): "SE behind the sum",
    ("se_placement", "identity"): "SE on the shortcut",
    ("se_placement", "3x3"): "SE behind the 3x3 convolution",
}

WIDE_STEM = 64  # channels; an ImageNet model with a 3x3 stem may have kept its max-pool
IMAGENET_STAGES = 4


def dialect_options(inferred: InferredArchitecture, dialect: Dialect) -> list[Option]:
    """List options that a dialect leaves open.

    Args:
        inferred: the architecture.
        dialect: the dialect.

    Returns:
        Names with the values that were not chosen.
    """
    options = list[Option]()
    for trait, row in dialect.ambiguous_kwargs.items():
        if inferred.has(trait):
            options += row.items()
    return options


def open_options(
    model_class: type[nn.Module], inferred: InferredArchitecture, chosen: Mapping[str, Any]
) -> list[Option]:
    """List options that change a model and have no weights.

    Args:
        model_class: class of the model.
        inferred: the architecture.
        chosen: the options of the chosen model, its registry entry's included.

    Returns:
        Names with the values that were not chosen.
    """
    options = list[Option]()
    if model_class is not DenseNet:
        options += _stride_options(inferred)
        options += _shortcut_options(inferred)
        options += _se_options(inferred)
    if model_class is ResNet:
        options += _stem_options(inferred)
        options += _dilation_options(inferred)
    return [(name, value) for name, value in options if chosen.get(name) != value]


def _stride_options(inferred: InferredArchitecture) -> list[Option]:
    """Return both positions of a bottleneck's stride."""
    if inferred.positional_args[0] not in (Bottleneck, PreActBottleneck):
        return []
    return [("stride_in", "1x1"), ("stride_in", "3x3")]


def _shortcut_options(inferred: InferredArchitecture) -> list[Option]:
    """Return shortcuts without weights, and shared activations of a pre-activation ResNet."""
    options = list[Option]()
    # Elsewhere a projection shares what is activated anyway.
    is_narrow = inferred.model_kwargs.get("widen_factor") == 1
    has_identity = inferred.model_kwargs.get("shortcut_type") != "C"
    if inferred.has("preact basic") and is_narrow and has_identity:
        options += [("share_first", True), ("share_first", False)]
    if inferred.has("bare"):
        options += [("shortcut_type", "A"), ("shortcut_type", "none")]
        if inferred.model_class is ResNet:
            options.append(("shortcut_pad", "back"))
    return options


def _stem_options(inferred: InferredArchitecture) -> list[Option]:
    """Return pools behind the stem."""
    if inferred.has("cifar"):
        width = inferred.model_kwargs.get("stem_width") or 0
        stages = len(inferred.positional_args[-1])
        # Behind a stem of 3x3 a pool is known of bodies of ImageNet's size only.
        if width < WIDE_STEM or stages != IMAGENET_STAGES:
            return []
        return [("stem_pool", "none"), ("stem_pool", "pad")]
    return [("stem_pool", "pad"), ("stem_pool", "ceil"), ("stem_pool", "none")]


def _dilation_options(inferred: InferredArchitecture) -> list[Option]:
    """Return dilations of bottlenecks; those of basic blocks are not known in any project."""
    is_large = len(inferred.positional_args[-1]) == IMAGENET_STAGES and not inferred.has("cifar")
    if not is_large or inferred.positional_args[0] is not Bottleneck:
        return []
    return [("output_stride", 8), ("output_stride", 16)]


def _se_options(inferred: InferredArchitecture) -> list[Option]:
    """Return SE placements with as many channels, and SE's other options without weights."""
    if not inferred.se_shapes:
        return []
    placement = inferred.model_kwargs["se_placement"]
    options = list[Option]()
    if placement == "standard":
        options += [("se_placement", "post"), ("se_placement", "identity")]
        if _has_equal_widths(inferred):
            options.append(("se_placement", "3x3"))
    options.append(("se_pool", "max"))
    if placement != "pre":  # before a block all values are positive already
        options.append(("se_pre_relu", True))
    return options


def _has_equal_widths(inferred: InferredArchitecture) -> bool:
    """Return True if the 3x3 convolution is as wide as the block's output."""
    kwargs = inferred.model_kwargs
    inner = kwargs.get("base_width", 64) * kwargs.get("groups", 1)
    return inferred.has("basic") or (inferred.model_class is ResNet and inner == 4 * 64)


def explain_alternative(name: str) -> str:
    """Explain what differs in a model with the same names and shapes.

    Args:
        name: an alternative: `resnet50,stride_in=1x1`.

    Returns:
        The name, with an explanation of its option in parentheses if there is one.
    """
    text = name.rpartition(",")[2]
    for option, explanation in EXPLANATIONS.items():
        if join_options("", dict([option])) == f",{text}":
            return f"{name} ({explanation})"
    return name
