"""Compare every layer of a model with the settings of a whole pickled module.

A module is opened only if nothing that its classes compute differs from the model.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_resnets.checkpoint.identify.matching import Match
from lightning_resnets.checkpoint.identify.pickled_settings import (
    POOLS,
    Settings,
    is_known_code,
    layer_settings,
    pool_key,
    pool_keys,
    root_class,
)
from lightning_resnets.checkpoint.identify.translate import NamedWeights
from lightning_resnets.errors import CheckpointError
from lightning_resnets.models import registry
from lightning_resnets.utils.skip_init import skip_init

CONV_SETTINGS = ("stride", "padding", "dilation", "groups", "padding_mode")
# Layers that compute nothing in evaluation mode, or the mean over all positions as our heads do.
NEUTRAL_LAYERS = (
    "Sequential",
    "ModuleList",
    "ModuleDict",
    "Identity",
    "Flatten",
    "Dropout",
    "Dropout2d",
    "AdaptiveAvgPool2d",
    "MaxPool2d",
    "AvgPool2d",
    "Softmax",
    "LogSoftmax",
)
# What torchvision and timm call the activation in a block.
ACTIVATION_NAMES = ("relu", "act1", "act2", "act3")
# Activations behind the logits, which change no prediction.
FINAL_ACTIVATIONS = ("Softmax", "LogSoftmax")


def check_settings(match: Match, settings: Settings, bn_eps: float | None) -> None:
    """Check that every layer of the matched model is set as in the pickled module.

    Args:
        match: the chosen model.
        settings: settings of the module and its children; empty for any other file.
        bn_eps: batch norm's epsilon that the model will get, or None for its own.

    Raises:
        CheckpointError: a layer differs.
    """
    # A custom model is the user's own claim.
    if not settings or not match.fits or ":" in match.name:
        return
    with skip_init():
        built = registry.create_model(
            match.name, num_classes=match.num_classes, **match.model_kwargs
        )
    differences = find_differences(settings, match.weights, built, bn_eps)
    if differences:
        raise CheckpointError(
            f"it is a pickled {root_class(settings) or 'module'} that differs from {match.name} "
            f"({differences[0]}), and no known model is like it. Load it where it was made, and "
            "pass its own code with --model module:function."
        )


def find_differences(
    settings: Settings, weights: NamedWeights, model: nn.Module, bn_eps: float | None = None
) -> list[str]:
    """Compare every layer of a model with the settings of the pickled module.

    Args:
        settings: settings of the module and its children.
        weights: its weights under our names.
        model: the model that was built for them.
        bn_eps: batch norm's epsilon that the model will get, or None for its own.

    Returns:
        What differs, as phrases.
    """
    differences = list[str]()
    for name, layer in model.named_modules():
        theirs = layer_settings(settings, weights, name)
        if theirs is None:
            continue
        for setting, ours in _settings_of(layer, bn_eps).items():
            value = theirs.values.get(setting, ours)
            if not _is_equal(value, ours):
                differences.append(f"{name} has {setting} {value}, the model {ours}")
    differences += _other_pools(settings, weights, model)
    differences += _other_activations(settings, model)
    differences += _other_layers(settings, model)
    return differences


def _settings_of(layer: nn.Module, bn_eps: float | None) -> dict[str, Any]:
    """Return the settings of a layer of ours that a pickled one must share."""
    if isinstance(layer, nn.Conv2d):
        return {name: getattr(layer, name) for name in CONV_SETTINGS}
    if not isinstance(layer, _BatchNorm):
        return {}
    if bn_eps is None:
        return {"eps": layer.eps}
    # The model gets this epsilon after it is built.
    return {"eps": bn_eps}


def _other_pools(settings: Settings, weights: NamedWeights, model: nn.Module) -> Iterator[str]:
    """Yield pools that the model does not have."""
    if is_known_code(settings):
        ours = [pool_key(type(layer).__name__, vars(layer)) for layer in model.modules()]
        ours = sorted(key for key in ours if key[0] in POOLS)
        theirs = sorted(pool_keys(settings, POOLS))
        if theirs != ours:
            odd = next((key for key in theirs if key not in ours), ("no", "pool"))
            yield f"its pools are others, such as {' '.join(map(str, odd))}"
        return
    # Code of the user may pool by functions, or at the end; a pool inside of a block is another
    # shortcut.
    blocks = [key.rpartition(".")[0] for name, key in weights.origins.items() if "layer" in name]
    for path, item in settings.items():
        parent = path.rpartition(".")[0]
        is_inside = bool(parent) and any(block.startswith(f"{parent}.") for block in blocks)
        if item.short_name in POOLS and is_inside:
            yield f"{path} is {item.short_name}"


def _other_activations(settings: Settings, model: nn.Module) -> Iterator[str]:
    """Yield activations that the model does not have."""
    ours = {type(layer).__name__ for layer in model.modules()}
    for path, item in settings.items():
        is_activation = item.class_name.startswith("torch.nn.modules.activation.")
        if is_activation and item.short_name not in (*ours, *FINAL_ACTIVATIONS):
            yield f"{path} is {item.short_name}"


def _other_layers(settings: Settings, model: nn.Module) -> Iterator[str]:
    """Yield layers without weights that change what published code computes.

    Code of the user may hold layers that its forward pass never calls.
    """
    if not is_known_code(settings):
        return
    ours = {type(layer).__name__ for layer in model.modules()}
    for path, item in settings.items():
        name = item.short_name
        is_max_pool = "Adaptive" in name and "Max" in name
        is_other = item.class_name.startswith("torch.nn.") and name not in (*ours, *NEUTRAL_LAYERS)
        # An Identity where the class has an activation was put there by hand.
        is_removed = name == "Identity" and path.rpartition(".")[2] in ACTIVATION_NAMES
        if is_max_pool or is_other or is_removed:
            yield f"{path or 'it'} is {name}"


def _is_equal(theirs: Any, ours: Any) -> bool:
    """Compare settings; one number stands for two equal ones."""
    return _as_tuple(theirs) == _as_tuple(ours)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    """Return a setting as a tuple, one number for equal ones."""
    if not isinstance(value, (tuple, list)):
        return (value,)
    values = tuple(value)
    # torch keeps a stride of 2 as (2, 2) or as 2, depending on the layer.
    if len(set(values)) == 1:
        return values[:1]
    return values
