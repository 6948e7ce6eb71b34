"""Use the settings of a whole pickled module: strides, dilations, pools, epsilons.

They decide options that no weight tells, and every layer of the model that is built must have them.
"""

from collections.abc import Collection, Mapping
from math import prod
from typing import Any

from lightning_resnets.checkpoint.identify.translate import NamedWeights
from lightning_resnets.formats.module_settings import ModuleSettings
from lightning_resnets.models.resnet import ResNet

Settings = Mapping[str, ModuleSettings]

# Packages whose forward passes are published; any other module is the user's own code.
KNOWN_PACKAGES = (
    "torch.nn.",
    "torchvision.",
    "timm.",
    "lightning_resnets.models.",
    "lightning_resnets.merges.",
)

POOLS = ("MaxPool2d", "AvgPool2d")
DEFAULT_EPS = 1e-5
# Pools that our stems have.
STEM_POOLS = {
    ("MaxPool2d", "3", "2", "1", "False"): "pad",
    ("MaxPool2d", "3", "2", "0", "True"): "ceil",
}


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
    if pool_keys(settings, ("MaxPool2d",)) or is_known_code(settings):
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


def pool_keys(settings: Settings, classes: Collection[str]) -> list[tuple[str, ...]]:
    """Return the pools of some classes.

    Args:
        settings: settings of the module and its children.
        classes: names of the classes.

    Returns:
        Class and settings of each, in the order of the module.
    """
    found = (item for item in settings.values() if item.short_name in classes)
    return [pool_key(item.short_name, item.values) for item in found]


def pool_key(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a pool's class and settings, comparable with another's.

    Args:
        name: name of the class.
        values: its settings.
    """
    kernel, stride, padding = (
        str(_first(values, setting, 0)) for setting in ("kernel_size", "stride", "padding")
    )
    return name, kernel, stride, padding, str(bool(values.get("ceil_mode", False)))


def layer_settings(settings: Settings, weights: NamedWeights, name: str) -> ModuleSettings | None:
    """Return the settings of the layer that has a weight of ours.

    Args:
        settings: settings of the module and its children.
        weights: its weights under our names.
        name: our name of the layer.

    Returns:
        Its settings, None if the file has no such layer.
    """
    key = weights.origins.get(f"{name}.weight")
    return settings.get(key.rpartition(".")[0]) if key else None


def _conv(settings: Settings, weights: NamedWeights, name: str) -> Mapping[str, Any]:
    """Return the settings of a convolution by our name, {} if it has none."""
    found = layer_settings(settings, weights, name)
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
    pools = pool_keys(settings, ("MaxPool2d",))
    if not pools:
        return "none"
    return STEM_POOLS.get(pools[0], "pad")  # type: ignore[arg-type]
