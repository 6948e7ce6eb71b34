"""Give the weights of a part our names: dialects, spellings, heads, and conversions of values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from lightning_resnets.checkpoint.identify import architecture
from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture, Shapes
from lightning_resnets.checkpoint.identify.conversions import apply_conversions, last_block_width
from lightning_resnets.checkpoint.identify.detect_dialect import detect_dialect
from lightning_resnets.checkpoint.identify.dialects import MIXED, UNKNOWN, Dialect
from lightning_resnets.checkpoint.identify.heads import Head, find_head
from lightning_resnets.checkpoint.identify.model_parts import ModelPart, rename_weights
from lightning_resnets.checkpoint.identify.residual_names import name_residual_keys
from lightning_resnets.errors import CheckpointError
from lightning_resnets.models.rename_keys import AUX_CLASSIFIER_KEYS, rename_key

BODY_PREFIXES = ("conv1.", "bn1.", "bn.", "layer", "features.")
# The keys by which the table of dialects knows our own models.
OWN_NAME = "lightning-resnets"


@dataclass(frozen=True, slots=True)
class NamedWeights:
    """Weights under the names of our models, as far as rules know them.

    Attributes:
        part: the part of the file that they come from.
        dialect: naming scheme of the file.
        state_dict: weights by our names.
        shapes: their shapes.
        ignored_keys: keys of the file that no model needs.
        conversions: what was done to the weights, as phrases.
        architecture: what the shapes tell of the model, or None.
        key_conflict: message if two weights would get one key; then all keep their own.
        is_headless: the file has no last layer that a model could have.
        dropped_head: a key of a head that is not a chain of linear layers, or "".
        origins: the file's key of each weight, by our name.
    """

    part: ModelPart
    dialect: Dialect
    state_dict: dict[str, Tensor]
    shapes: dict[str, tuple[int, ...]]
    ignored_keys: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()
    architecture: InferredArchitecture | None = None
    key_conflict: str = ""
    is_headless: bool = False
    dropped_head: str = ""
    origins: Mapping[str, str] = field(default_factory=dict[str, str])


def keep_names(part: ModelPart) -> NamedWeights:
    """Return the weights of a part under their own names, as external and custom models need them.

    Args:
        part: the part.

    Returns:
        Its weights, of an unknown dialect.
    """
    state = dict(part.state_dict)
    ignored = (*part.ignored_keys, *part.beside)
    origins = {key: f"{part.prefix}{key}" for key in state}
    return NamedWeights(
        part, UNKNOWN, state, _shapes(state), ignored, _prefix_note(part), origins=origins
    )


def translate_names(part: ModelPart, metadata: Mapping[str, Any]) -> NamedWeights:
    """Give the weights of a part our names.

    Args:
        part: the part.
        metadata: values beside the weights; `__author__` tells some dialects.

    Returns:
        Weights under our names; under their own with `key_conflict` if two would get one name.
    """
    original = keep_names(part)
    dialect = detect_dialect(part.state_dict, metadata)
    state = dict(part.state_dict)
    auxiliary: tuple[str, ...] = ()
    # Only torchvision's GoogLeNet and Inception have them.
    if dialect.name == "torchvision":
        state, auxiliary = split_auxiliary(state)
    try:
        state, origins = _rename(state, {key: rename_key(key, dialect.key_rules) for key in state})
        state, origins, dialect = _name_residual(state, origins, dialect)
        head = _find_head(state, part.beside)
        state, origins = _name_head(state, origins, part, head)
    except CheckpointError as conflict:
        # The keys may still be those of an external model.
        return replace(original, key_conflict=str(conflict))
    conversions = list(original.conversions)
    if auxiliary:
        conversions.append("auxiliary classifiers, used in training only, ignored")
    conversions += _convert(state, dialect)
    # Conversions may change shapes.
    shapes = _shapes(state)
    beside = [key for key in part.beside if key not in dict(head.names)]
    return NamedWeights(
        part=part,
        dialect=dialect,
        state_dict=state,
        shapes=shapes,
        ignored_keys=(*part.ignored_keys, *auxiliary, *beside, *head.leftover_keys),
        conversions=tuple(conversions),
        architecture=_infer(shapes, dialect, head, part),
        is_headless=head.is_missing and _feature_channels(state) > 0,
        dropped_head=next(iter(head.leftover_keys), ""),
        origins={name: f"{part.prefix}{key}" for name, key in origins.items()},
    )


def _prefix_note(part: ModelPart) -> tuple[str, ...]:
    """Return a phrase on the prefix, if there is one."""
    return (f"prefix '{part.prefix}' removed from the keys",) if part.prefix else ()


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of tensors by name."""
    return {name: tuple(weight.shape) for name, weight in state.items()}


def split_auxiliary(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Separate auxiliary classifiers from the weights.

    Args:
        state: weights by key.

    Returns:
        The other weights, and the keys of the auxiliary classifiers.
    """
    kept = dict[str, Tensor]()
    auxiliary = list[str]()
    for name, weight in state.items():
        if AUX_CLASSIFIER_KEYS.match(name):
            auxiliary.append(name)
        else:
            kept[name] = weight
    return kept, tuple(auxiliary)


def _rename(
    state: dict[str, Tensor], names: Mapping[str, str], origins: Mapping[str, str] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rename weights and remember where they came from; raise if two would get one name."""
    renamed = rename_weights(state, lambda key: names[key])
    found = dict[str, str]()
    for key in state:
        found.setdefault(names[key], origins[key] if origins else key)
    return renamed, found


def _name_residual(
    state: dict[str, Tensor], origins: dict[str, str], dialect: Dialect
) -> tuple[dict[str, Tensor], dict[str, str], Dialect]:
    """Give a residual network our names; leave the keys of any other model as they are."""
    # Keys of other frameworks and of DenseNets have been translated already.
    if dialect.key_rules or _is_dense(state):
        return state, origins, dialect
    names = name_residual_keys(_shapes(state))
    if not names:
        return state, origins, dialect
    names = _tell_norms_apart(names, state)
    named = {names[key]: state[key].shape for key in state}
    stem = named.get("conv1.weight") or named.get("conv1.0.weight")
    if "layer1.0.conv1.weight" not in named or stem is None:
        return state, origins, dialect
    renamed, found = _rename(state, names, origins)
    if dialect.name == OWN_NAME and any(key != name for key, name in names.items()):
        dialect = MIXED
    return renamed, found, dialect


def _is_dense(state: Mapping[str, Tensor]) -> bool:
    """Return True for a DenseNet, whose keys have been translated already."""
    return "features.denseblock1.denselayer1.norm1.weight" in state


def _tell_norms_apart(names: dict[str, str], state: Mapping[str, Tensor]) -> dict[str, str]:
    """Name the batch norm of the stem `bn1` and the one behind the last block `bn`, by its width.

    Projects call either of them `bn` or `bn1`.
    """
    widths = {names[key]: len(state[key]) for key in state if state[key].ndim}
    stem = widths.get("conv1.weight") or widths.get("conv1.6.weight", 0)
    renamed = dict(names)
    for key, name in names.items():
        layer, _, leaf = name.rpartition(".")
        width = widths.get(f"{layer}.weight")
        if layer == "bn" and width == stem and "bn1.weight" not in widths:
            renamed[key] = f"bn1.{leaf}"
        elif layer == "bn1" and width != stem and "bn.weight" not in widths:
            renamed[key] = f"bn.{leaf}"
    return renamed


def _feature_channels(state: Mapping[str, Tensor]) -> int:
    """Return the channels of the feature vector, 0 if the body is unknown."""
    if _is_dense(state):
        return _num_channels(state.get("features.norm5.weight"))
    if "layer1.0.conv1.weight" not in state:
        return 0
    # Batch norms of pre-activation blocks are narrower, convolutions may have another layout.
    return max(_last_conv_width(state), last_block_width(state))


def _last_conv_width(state: Mapping[str, Tensor]) -> int:
    """Return the output channels of the last block's last convolution."""
    stage = 1
    while f"layer{stage + 1}.0.conv1.weight" in state:
        stage += 1
    for conv in ("conv3", "conv2", "conv1"):
        if channels := _num_channels(state.get(f"layer{stage}.0.{conv}.weight")):
            return channels
    return 0


def _num_channels(weight: Tensor | None) -> int:
    """Return the first side of a weight, 0 if it is missing or a single number."""
    if weight is None or not weight.ndim:
        return 0
    return len(weight)


def _find_head(state: Mapping[str, Tensor], beside: Mapping[str, Tensor]) -> Head:
    """Find the head among the weights that are not the body's."""
    channels = _feature_channels(state)
    if not channels:
        return Head()
    # Our models call their last layers so.
    name = "classifier" if _is_dense(state) else "fc"
    inside = {key: weight for key, weight in state.items() if not key.startswith(BODY_PREFIXES)}
    head = find_head(inside, channels, name)
    # A head beside the body is one only if it fits: other parts have linear layers, too.
    if head.is_missing and not head.leftover_keys:
        outer = find_head(beside, channels, name)
        if not any(channels in beside[key].shape for key, _ in outer.names):
            return Head(leftover_keys=outer.leftover_keys)
        return outer
    return head


def _name_head(
    state: dict[str, Tensor], origins: dict[str, str], part: ModelPart, head: Head
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Give the head our names, and drop one that no model of ours has."""
    leftover = set(head.leftover_keys)
    kept = {key: weight for key, weight in state.items() if key not in leftover}
    names = dict(head.names)
    named = {key: names.get(key, key) for key in kept}
    renamed, found = _rename(kept, named, origins)
    for key, name in head.names:
        if key not in state:
            renamed[name] = part.beside[key]
            found[name] = key
    return renamed, found


def _convert(state: dict[str, Tensor], dialect: Dialect) -> tuple[str, ...]:
    """Convert values as the dialect needs, and as any file may need."""
    # The dialect's come first: a layout must be right before shapes are compared.
    names = [*dialect.conversions, "se_linear_to_conv", "flatten_classifier"]
    # A pre-activation norm precedes its convolution, so that no bias can be folded into it.
    if not architecture.is_preactivated(_shapes(state)):
        names.append("fold_conv_bias_into_bn")
    return apply_conversions(state, tuple(dict.fromkeys(names)))


def _infer(
    shapes: Shapes, dialect: Dialect, head: Head, part: ModelPart
) -> InferredArchitecture | None:
    """Infer the architecture, with the arguments that the dialect's models have."""
    inferred = architecture.infer_architecture(shapes)
    if inferred is None:
        return None
    model_kwargs = dict(inferred.model_kwargs)
    for trait, row in dialect.model_kwargs.items():
        if inferred.has(trait):
            model_kwargs |= row
    # No weight tells a dilation, but the classifier beside the backbone does.
    if inferred.has("imagenet bottleneck") and _is_segmentation(part):
        model_kwargs["output_stride"] = 8
    if head.widths:
        model_kwargs["head_widths"] = head.widths
    return replace(inferred, model_kwargs=model_kwargs)


def _is_segmentation(part: ModelPart) -> bool:
    """Return True for the backbone of torchvision's FCN or DeepLabV3, whose stages are dilated."""
    last = part.beside.get("classifier.4.weight")
    return part.prefix == "backbone." and last is not None and last.ndim == 4
