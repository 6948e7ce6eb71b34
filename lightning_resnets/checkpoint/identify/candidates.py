"""List the models of the registry that an inferred architecture may be."""

from functools import partial
from typing import Any

from torch import nn

from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture, Shapes
from lightning_resnets.models import registry
from lightning_resnets.models.densenet import DenseNet
from lightning_resnets.models.preact_resnet import PreActBottleneck, PreActResNet
from lightning_resnets.models.residual_blocks import Bottleneck
from lightning_resnets.models.resnet import ResNet
from lightning_resnets.models.squeeze_excite import reduced_channels
from lightning_resnets.models.stems import STEMS

# Name and keyword arguments for `create_model`.
ModelCandidate = tuple[str, dict[str, Any]]

# Arguments of a model where neither the registry nor the caller gives one.
DEFAULTS: dict[type[nn.Module], dict[str, Any]] = {
    ResNet: {
        "stem": "imagenet",
        "stem_pool": None,
        "shortcut_type": "B",
        "shortcut_kernel": 1,
        "shortcut_pad": "both",
        "groups": 1,
        "base_width": 64,
        "stride_in": "3x3",
        "in_channels": 3,
        "head_widths": (),
    },
    PreActResNet: {
        "widen_factor": 1,
        "shortcut_type": "B",
        "stride_in": "1x1",
        "share_first": True,
        "stem_norm": False,
        "last_norm": True,
        "stem_width": 16,
        "in_channels": 3,
        "head_widths": (),
    },
    DenseNet: {
        "growth_rate": 32,
        "stem_width": 64,
        "stem": "imagenet",
        "bottleneck_factor": 4,
        "compression": 0.5,
        "in_channels": 3,
        "head_widths": (),
    },
}

# Models of any depth, by class.
GENERIC_NAMES: dict[type[nn.Module], str] = {
    ResNet: "resnet",
    PreActResNet: "preresnet",
    DenseNet: "densenet",
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
    ("layer1.0.conv1.weight", ("resnet20_one_layer", "resnet56_one_layer")),
    ("features.28.weight", ("vgg16", "vgg19", "vgg16_bn", "vgg19_bn")),
    ("features.10.weight", ("alexnet", "vgg16", "vgg19")),
)


def matching_models(inferred: InferredArchitecture) -> list[ModelCandidate]:
    """List models of the same class, block and depths.

    Args:
        inferred: the architecture.

    Returns:
        Names with the arguments that give this architecture, the fewest arguments first; the name
        of a model of any depth if no other has these depths.
    """
    wanted = (inferred.model_class, inferred.positional_args)
    names = [name for name in registry.MODELS if _fixed_args(name) == wanted]
    names = names or [GENERIC_NAMES[inferred.model_class]]
    candidates = [(name, model_kwargs_for(name, inferred)) for name in names]
    has_se = bool(inferred.se_shapes)
    candidates += [(name, {}) for name in _models_of_other_blocks(inferred)]
    # Of equal numbers of arguments an SE name comes first for weights with SE.
    candidates.sort(key=lambda item: (len(item[1]), item[0].startswith("se") != has_se))
    return candidates


def has_own_block(name: str, inferred: InferredArchitecture) -> bool:
    """Check for a model whose blocks are of a special kind, with fewer options.

    Args:
        name: a model of the registry.
        inferred: an architecture of the same class.

    Returns:
        True if its blocks are not the architecture's.
    """
    return name in _models_of_other_blocks(inferred)


def _models_of_other_blocks(inferred: InferredArchitecture) -> list[str]:
    """Return models with as many blocks of a special kind, such as SENet-154's."""
    *block, depths = inferred.positional_args
    names = list[str]()
    for name in registry.MODELS:
        fixed = _fixed_args(name)
        if fixed is None or fixed[0] is not inferred.model_class or not block:
            continue
        other, *_ = fixed[1]
        is_special = isinstance(other, type) and issubclass(other, block[0])
        if is_special and other is not block[0] and fixed[1][-1] == depths:
            names.append(name)
    return names


def model_kwargs_for(name: str, inferred: InferredArchitecture) -> dict[str, Any]:
    """Return the arguments that give a model the inferred architecture.

    Args:
        name: a model of the registry.
        inferred: the architecture.

    Returns:
        The arguments that differ from what the model already has; {} for another class.
    """
    wanted = dict(inferred.model_kwargs)
    if name == GENERIC_NAMES[inferred.model_class]:
        wanted |= _stacking(inferred)
    elif (_fixed_args(name) or (None,))[0] is not inferred.model_class:
        return {}
    current = default_options(name, inferred)
    wanted.setdefault("se_reduction", 0)
    if inferred.has("bare") and "shortcut_type" not in wanted:
        # Shapes cannot tell type A from no shortcut at all.
        wanted["shortcut_type"] = "A"
        if current["shortcut_type"] == "none":
            wanted["shortcut_type"] = "none"
    if inferred.se_shapes:
        wanted["se_divisor"] = _se_divisor(inferred, current["se_divisor"])
    return {key: value for key, value in wanted.items() if current.get(key) != value}


def default_options(name: str, inferred: InferredArchitecture) -> dict[str, Any]:
    """Return the options that a model has without arguments.

    Args:
        name: a model of the registry, or of any depth.
        inferred: an architecture of the same class.

    Returns:
        Options by name.
    """
    options = {**DEFAULTS[inferred.model_class], **SE_DEFAULTS}
    entry = registry.MODELS.get(name)
    if entry is not None:
        options |= entry.factory.keywords  # type: ignore[attr-defined]
    if inferred.model_class is ResNet and options["stem_pool"] is None:
        stem = inferred.model_kwargs.get("stem", "imagenet")
        options["stem_pool"] = STEMS[stem].pool
    return options


def _stacking(inferred: InferredArchitecture) -> dict[str, Any]:
    """Return block and depths as arguments of a model of any depth."""
    *block, depths = inferred.positional_args
    if not block:
        return {"depths": depths}
    if block[0] in (Bottleneck, PreActBottleneck):
        return {"block": "bottleneck", "depths": depths}
    return {"block": "basic", "depths": depths}


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
