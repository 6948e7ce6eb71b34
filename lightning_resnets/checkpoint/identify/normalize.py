"""Normalize weights: prefixes removed, keys turned into ours, values converted."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from lightning_resnets.checkpoint.identify import architecture
from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture, Shapes
from lightning_resnets.checkpoint.identify.conversions import apply_conversions
from lightning_resnets.checkpoint.identify.detect_dialect import detect_dialect
from lightning_resnets.checkpoint.identify.dialects import UNKNOWN, Dialect
from lightning_resnets.checkpoint.identify.matching import NormalizedWeights
from lightning_resnets.checkpoint.identify.prefixes import (
    IGNORED_KEYS,
    common_prefix,
    rename_keys,
)
from lightning_resnets.errors import CheckpointError
from lightning_resnets.models.key_rules import AUX_CLASSIFIER_KEYS, rename_key
from lightning_resnets.utils.format import format_shape


def remove_prefix(weights: Mapping[str, Tensor]) -> NormalizedWeights:
    """Remove prefixes, and weights of metrics and losses.

    Args:
        weights: tensors under the file's own keys.

    Returns:
        The model's weights under their own keys, of an unknown dialect.

    Raises:
        CheckpointError: a weight is empty, or two would get one key.
    """
    # torch.compile adds its prefix in the middle of a key, too.
    weights = rename_keys(weights, lambda name: name.replace("._orig_mod.", "."))
    prefix = common_prefix(weights)
    state = dict[str, Tensor]()
    ignored = list[str]()
    for name, weight in weights.items():
        short = name.removeprefix(prefix)
        if not name.startswith(prefix) or IGNORED_KEYS.fullmatch(short):
            ignored.append(name)
        else:
            state[short] = weight
    _check_not_empty(state)
    conversions = (f"prefix '{prefix}' removed from the keys",) if prefix else ()
    return NormalizedWeights(UNKNOWN, state, _shapes(state), tuple(ignored), conversions)


def _check_not_empty(state: Mapping[str, Tensor]) -> None:
    """Raise if a weight has no elements."""
    for name, weight in state.items():
        if 0 in weight.shape:
            raise CheckpointError(
                f"The weight '{name}' is empty ({format_shape(weight.shape)}). "
                "Save the whole model again."
            )


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of tensors by name."""
    return {name: tuple(weight.shape) for name, weight in state.items()}


def normalize_weights(original: NormalizedWeights) -> NormalizedWeights:
    """Turn weights into ours: keys, conversions, and the architecture that shapes tell.

    Args:
        original: weights under their own keys, without prefixes.

    Returns:
        Weights under our keys; the original ones with `key_conflict` if two would get one key.
    """
    dialect = detect_dialect(original.state_dict)
    state = original.state_dict
    auxiliary: tuple[str, ...] = ()
    # Only torchvision's GoogLeNet and Inception have them.
    if dialect.name == "torchvision":
        state, auxiliary = split_auxiliary(state)
    try:
        state = rename_keys(state, lambda name: rename_key(name, dialect.key_rules))
    except CheckpointError as conflict:
        # The keys may still be those of an external model.
        return replace(original, key_conflict=str(conflict))
    conversions = original.conversions
    if auxiliary:
        conversions = (*conversions, "auxiliary classifiers, used in training only, ignored")
    conversions = (*conversions, *apply_conversions(state, dialect.conversions))
    # Conversions may change shapes.
    shapes = _shapes(state)
    ignored = (*original.ignored_keys, *auxiliary)
    inferred = _infer(shapes, dialect)
    return NormalizedWeights(dialect, state, shapes, ignored, conversions, inferred)


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


def _infer(shapes: Shapes, dialect: Dialect) -> InferredArchitecture | None:
    """Infer the architecture, with the arguments that the dialect's models have."""
    inferred = architecture.infer_architecture(shapes)
    if inferred is None:
        return None
    model_kwargs = dict(inferred.model_kwargs)
    for trait, row in dialect.model_kwargs.items():
        if inferred.has(trait):
            model_kwargs |= row
    return replace(inferred, model_kwargs=model_kwargs)
