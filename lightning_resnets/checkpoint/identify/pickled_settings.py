"""Use the settings of a whole pickled module: strides, dilations, pools, epsilons.

They decide options that no weight tells, and every layer of the model that is built must have them.
"""

from collections.abc import Collection, Iterator, Mapping
from math import prod
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightning_resnets.checkpoint.identify.matching import Match
from lightning_resnets.checkpoint.identify.translate import NamedWeights
from lightning_resnets.errors import CheckpointError
from lightning_resnets.formats.module_settings import ModuleSettings
from lightning_resnets.models import registry
from lightning_resnets.models.resnet import ResNet
from lightning_resnets.utils.skip_init import skip_init

Settings = Mapping[str, ModuleSettings]

# Packages whose forward passes are published; any other module is the user's own code.
KNOWN_PACKAGES = (
    "torch.nn.",
    "torchvision.",
    "timm.",
    "lightning_resnets.models.",
    "lightning_resnets.merges.",
)

CONV_SETTINGS = ("stride", "padding", "dilation", "groups", "padding_mode")
POOLS = ("MaxPool2d", "AvgPool2d")
DEFAULT_EPS = 1e-5
# Pools that our stems have.
STEM_POOLS = {
    ("MaxPool2d", "3", "2", "1", "False"): "pad",
    ("MaxPool2d", "3", "2", "0", "True"): "ceil",
}
# Activations behind the logits, which change no prediction.
FINAL_ACTIVATIONS = ("Softmax", "LogSoftmax")


def is_known_code(settings: Settings) -> bool:
    """Check whether a module consists of published classes only.

    Args:
        settings: settings of the module and its children.

    Returns:
        True if none of them is the user's own code.
    """
    return all(item.class_name.startswith(KNOWN_PACKAGES) for item in settings.values())


def root_class(settings: Settings) -> str:
    """Return the class of a pickled module.

    Args:
        settings: settings of the module and its children.

    Returns:
        Its module and name, "" if the file has no pickled module.
    """
    if "" not in settings:
        return ""
    return settings[""].class_name


def options_from_settings(settings: Settings, weights: NamedWeights) -> dict[str, Any]:
    """Return the options of a ResNet that its layers' settings tell.

    Args:
        settings: settings of the module and its children.
        weights: its weights under our names.

    Returns:
        Model kwargs: pool, stride of the stem, position of the stride, dilation.
    """
    inferred = weights.architecture
    if not settings or inferred is None or inferred.model_class is not ResNet:
        return {}
    depths = inferred.positional_args[-1]
    options = dict[str, Any]()
    # Code of the user may pool by a function.
    if _pools(settings, ("MaxPool2d",)) or is_known_code(settings):
        options["stem_pool"] = _stem_pool(settings)
    stem = _first(_conv(settings, weights, "conv1"), "stride", 0)
    if stem and not inferred.has("deep"):
        options["stem_stride"] = stem
    strides = [_stage_strides(settings, weights, stage) for stage in range(1, len(depths) + 1)]
    halved = [each for each in strides if prod(each) > 1]
    if halved and inferred.has("bottleneck"):
        options["stride_in"] = "1x1" if halved[0][0] > 1 else "3x3"
    if _has_dilation(settings):
        # Every pool of our stems halves the sides.
        pool = 1 if options.get("stem_pool") == "none" else 2
        options["output_stride"] = (stem or 1) * pool * prod(map(prod, strides))
    return options


def batch_norm_eps(settings: Settings) -> float | None:
    """Return the epsilon of all batch norms, if it is one other than torch's.

    Args:
        settings: settings of the module and its children.

    Returns:
        The epsilon, or None.
    """
    found = {item.values.get("eps") for item in settings.values() if "BatchNorm" in item.short_name}
    # A model whose layers differ has no epsilon that one number could say.
    if len(found) != 1:
        return None
    eps = found.pop()
    if not isinstance(eps, float) or eps == DEFAULT_EPS:
        return None
    return eps


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
        theirs = _layer(settings, weights, name)
        if theirs is None:
            continue
        for setting, ours in _settings_of(layer, bn_eps).items():
            value = theirs.values.get(setting, ours)
            if not _is_equal(value, ours):
                differences.append(f"{name} has {setting} {value}, the model {ours}")
    others = (*_other_pools(settings, weights, model), *_other_activations(settings, model))
    return [*differences, *others]


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
        ours = [_pool_key(type(layer).__name__, vars(layer)) for layer in model.modules()]
        ours = sorted(key for key in ours if key[0] in POOLS)
        theirs = sorted(_pools(settings, POOLS))
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


def _pools(settings: Settings, classes: Collection[str]) -> list[tuple[str, ...]]:
    """Return the pools of these classes, each as class and settings."""
    found = (item for item in settings.values() if item.short_name in classes)
    return [_pool_key(item.short_name, item.values) for item in found]


def _pool_key(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a pool's class and settings, comparable with another's."""
    kernel, stride, padding = (
        str(_first(values, setting, 0)) for setting in ("kernel_size", "stride", "padding")
    )
    return name, kernel, stride, padding, str(bool(values.get("ceil_mode", False)))


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


def _layer(settings: Settings, weights: NamedWeights, name: str) -> ModuleSettings | None:
    """Return the settings of the layer that has a weight of ours."""
    key = weights.origins.get(f"{name}.weight")
    return settings.get(key.rpartition(".")[0]) if key else None


def _conv(settings: Settings, weights: NamedWeights, name: str) -> Mapping[str, Any]:
    """Return the settings of a convolution by our name, {} if it has none."""
    found = _layer(settings, weights, name)
    return found.values if found else {}


def _first(values: Mapping[str, Any], name: str, default: int) -> int:
    """Return a setting's first number."""
    value = values.get(name, default)
    if isinstance(value, (tuple, list)) and value:
        value = value[0]
    # Padding may be "same", and a bool is an int, too.
    if type(value) is not int:
        return default
    return value


def _stage_strides(settings: Settings, weights: NamedWeights, stage: int) -> tuple[int, int, int]:
    """Return the strides of the convolutions of a stage's first block."""
    one, two, three = (
        _first(_conv(settings, weights, f"layer{stage}.0.conv{number}"), "stride", 1)
        for number in (1, 2, 3)
    )
    return one, two, three


def _has_dilation(settings: Settings) -> bool:
    """Return True if a convolution is dilated."""
    convs = (item for item in settings.values() if item.short_name == "Conv2d")
    return any(_first(item.values, "dilation", 1) > 1 for item in convs)


def _stem_pool(settings: Settings) -> str:
    """Return the pool behind the stem, "none" if there is none; an unknown one is said later."""
    pools = _pools(settings, ("MaxPool2d",))
    if not pools:
        return "none"
    return STEM_POOLS.get(pools[0], "pad")  # type: ignore[arg-type]
