"""List the models of the registry that an inferred architecture may be."""

from functools import partial
from typing import Any

from torch import nn

from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture, Shapes
from lightning_resnets.models import registry
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.preact_resnet import PreActResNet
from lightning_resnets.models.resnet import ResNet
from lightning_resnets.models.squeeze_excite import reduced_channels

# Name and keyword arguments for `create_model`.
ModelCandidate = tuple[str, dict[str, Any]]

MAX_CLOSEST = 2
MAX_CLOSEST_TRIED = 3

# Arguments of a model where neither the registry nor the caller gives one.
DEFAULTS: dict[type[nn.Module], dict[str, Any]] = {
    ResNet: {
        "stem": "imagenet",
        "stem_pool": "pad",
        "shortcut_type": "B",
        "groups": 1,
        "base_width": 64,
        "stride_in": "3x3",
    },
    PreActResNet: {
        "widen_factor": 1,
        "shortcut_type": "B",
        "stride_in": "1x1",
        "share_first": True,
        "stem_norm": False,
        "last_norm": True,
    },
    DenseNet: {
        "growth_rate": 32,
        "stem_width": 64,
        "stem": "imagenet",
        "bottleneck_factor": 4,
        "compression": 0.5,
    },
}
SE_DEFAULTS: dict[str, Any] = {
    "se_reduction": 0,
    "se_placement": "standard",
    "se_bias": True,
    "se_divisor": 1,
    "se_pre_relu": False,
}

# Keys that only one family has, for families without arguments to infer.
SIGNATURE_KEYS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("inception3c.branch1.0.conv.weight", ("bn_inception", "se_bn_inception")),
    ("inception3a.branch1.conv.weight", ("googlenet", "bn_inception", "se_bn_inception")),
    ("Mixed_5b.branch1x1.conv.weight", ("inception_v3",)),
    ("mixed_5b.branch0.conv.weight", ("inception_resnet_v2",)),
    ("stage1.1.gate_conv.weight", ("highway19", "highway32")),
    ("features.28.weight", ("vgg16", "vgg19")),
    ("features.10.weight", ("alexnet", "vgg16", "vgg19")),
)


def matching_models(inferred: InferredArchitecture) -> list[ModelCandidate]:
    """List models of the same class, block and depths.

    Args:
        inferred: the architecture.

    Returns:
        Names with the arguments that give this architecture, the fewest arguments first.
    """
    wanted = (inferred.model_class, inferred.positional_args)
    names = [name for name in registry.MODELS if _fixed_args(name) == wanted]
    candidates = [(name, model_kwargs_for(name, inferred)) for name in names]
    has_se = bool(inferred.se_shapes)
    # Of equal numbers of arguments an SE name comes first for weights with SE.
    candidates.sort(key=lambda item: (len(item[1]), item[0].startswith("se") != has_se))
    return candidates


def closest_models(inferred: InferredArchitecture) -> list[ModelCandidate]:
    """List models of the same class and block with the closest depths.

    Args:
        inferred: the architecture.

    Returns:
        At most two names with arguments.
    """
    *block, depths = inferred.positional_args
    by_distance = list[tuple[bool, int, str]]()
    for name in registry.MODELS:
        fixed = _fixed_args(name)
        if fixed is None or fixed[0] is not inferred.model_class or [*fixed[1][:-1]] != block:
            continue
        other = fixed[1][-1]
        by_distance.append((len(other) != len(depths), abs(sum(other) - sum(depths)), name))
    # Sorting is stable: equal distances stay in the registry's order.
    by_distance.sort(key=lambda row: row[:2])
    names = [name for *_, name in by_distance[:MAX_CLOSEST_TRIED]]
    candidates = [(name, model_kwargs_for(name, inferred)) for name in names]
    return sorted(candidates, key=lambda item: len(item[1]))[:MAX_CLOSEST]


def model_kwargs_for(name: str, inferred: InferredArchitecture) -> dict[str, Any]:
    """Return the arguments that give a model the inferred architecture.

    Args:
        name: a model of the registry.
        inferred: the architecture.

    Returns:
        The arguments that differ from what the model already has; {} for another class.
    """
    fixed = _fixed_args(name)
    if fixed is None or fixed[0] is not inferred.model_class:
        return {}
    registered = registry.MODELS[name].factory.keywords  # type: ignore[attr-defined]
    current = {**DEFAULTS[inferred.model_class], **SE_DEFAULTS, **registered}
    wanted = dict(inferred.model_kwargs)
    wanted.setdefault("se_reduction", 0)
    if inferred.has("bare") and "shortcut_type" not in wanted:
        # Shapes cannot tell type A from no shortcut at all.
        wanted["shortcut_type"] = "none" if current["shortcut_type"] == "none" else "A"
    if inferred.se_shapes:
        wanted["se_divisor"] = _se_divisor(inferred, current["se_divisor"])
    return {key: value for key, value in wanted.items() if current.get(key) != value}


def _se_divisor(inferred: InferredArchitecture, default: int) -> int:
    """Return the number that SE's widths are rounded to; the model's own if it fits."""
    reduction = inferred.model_kwargs["se_reduction"]
    for divisor in (default, 1, 8):
        if _fits_divisor(inferred.se_shapes, reduction, divisor):
            return divisor
    return default


def _fits_divisor(se_shapes: tuple[tuple[int, int], ...], reduction: int, divisor: int) -> bool:
    """Return True if every SE module has the width that this divisor gives."""
    for channels, width in se_shapes:
        if channels < reduction or reduced_channels(channels, reduction, divisor) != width:
            return False
    return True


def _fixed_args(name: str) -> tuple[type[nn.Module], tuple[Any, ...]] | None:
    """Return class and positional arguments of a registered model of a known class, else None."""
    factory = registry.MODELS[name].factory
    if isinstance(factory, partial) and factory.func in DEFAULTS:
        return factory.func, factory.args  # type: ignore[return-value]
    return None


def candidates_by_signature(shapes: Shapes) -> list[ModelCandidate]:
    """List models of the other families by a key that only the family has.

    Args:
        shapes: shapes by our keys.

    Returns:
        Names without arguments; [] if no family's key is there.
    """
    for key, names in SIGNATURE_KEYS:
        if key in shapes:
            return [(name, {}) for name in names]
    return []
