"""Find the parts of a file that are models: prefixes, copies of a model, metric states.

Each part is one reading of the file: the weights under one prefix, and what lies beside them. Which
reading is a whole model is decided by its names and shapes later.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_resnets.errors import CheckpointError
from lightning_resnets.utils.format import format_shape, join_first, printable_key

# Each part is matched against models; a hostile file may have thousands of prefixes.
MAX_PARTS = 24
# RGB with an alpha channel.
MAX_IMAGE_CHANNELS = 4

# torch.compile adds its prefix in the middle of a key, too.
COMPILED = "._orig_mod."

# Metrics and losses of a LightningModule, the counter of torch's AveragedModel, MoCo's queue, and
# the states of Caffe2's solver.
IGNORED_KEYS = re.compile(
    r"(?:n_averaged|queue|queue_ptr|lr|\w+_momentum"
    r"|(?:\w+_)?(?:metrics?|acc(?:uracy)?|confmat|criterion|loss|loss_fn)(?:\.\w+)*"
    r"|current_model_state\b.*)"
)
# States of torchmetrics, whatever the metric is called.
METRIC_STATE = re.compile(
    r".*\.(?:tp|fp|tn|fn|confmat|correct|total|mean_value|sum_value|measures|preds|target"
    r"|num_observations|sum_squared_error|sum_abs_error)"
)


@dataclass(frozen=True, slots=True)
class ModelPart:
    """The weights under one prefix.

    Attributes:
        prefix: start of their keys in the file, with its last dot; "" for the whole file.
        state_dict: tensors by key without the prefix.
        beside: tensors outside of the prefix, by their own keys.
        ignored_keys: keys of metrics and losses.
    """

    prefix: str
    state_dict: dict[str, Tensor]
    beside: dict[str, Tensor]
    ignored_keys: tuple[str, ...]


def find_model_parts(weights: Mapping[str, Tensor]) -> tuple[ModelPart, ...]:
    """Find every reading of a file that may be a model.

    Args:
        weights: tensors under the file's own keys.

    Returns:
        Parts, those with the shorter prefix first. At least one.

    Raises:
        CheckpointError: a weight is empty, or two would get one key.
    """
    weights = rename_weights(weights, lambda name: name.replace(COMPILED, "."))
    ignored = [name for name in weights if _is_metric(name, weights[name])]
    kept = {name: weight for name, weight in weights.items() if name not in set(ignored)}
    _check_not_empty(kept)
    parts = [_part(kept, prefix, tuple(ignored)) for prefix in _prefixes(kept)]
    return tuple(parts)


def _is_metric(name: str, weight: Tensor) -> bool:
    """Return True for a state of a metric or a loss, at any depth of the file's names."""
    parts = name.split(".")
    # A prefix such as `module.` may come before it.
    for start in range(min(len(parts), 4)):
        # A convolution may be called `loss`, too, but has four sides.
        if IGNORED_KEYS.fullmatch(".".join(parts[start:])):
            return weight.ndim < 3
    return bool(METRIC_STATE.fullmatch(name)) and weight.ndim < 3


def _check_not_empty(weights: Mapping[str, Tensor]) -> None:
    """Raise if a weight has no elements."""
    for name, weight in weights.items():
        if 0 in weight.shape:
            raise CheckpointError(
                f"The weight '{printable_key(name)}' is empty ({format_shape(weight.shape)}). "
                "Save the whole model again."
            )


def _prefixes(weights: Mapping[str, Tensor]) -> list[str]:
    """Return the prefixes that may be in front of a model's keys, shorter ones first."""
    found = dict.fromkeys([*_common_prefixes(weights), *_stem_prefixes(weights)])
    ordered = sorted(found, key=lambda prefix: prefix.count("."))
    return ordered[:MAX_PARTS]


def _common_prefixes(weights: Mapping[str, Tensor]) -> list[str]:
    """Return "" and all prefixes that every key shares."""
    found = [""]
    first = next(iter(weights), "")
    for part in first.split(".")[:-1]:
        prefix = f"{found[-1]}{part}."
        if not all(name.startswith(prefix) for name in weights):
            break
        found.append(prefix)
    return found


def _stem_prefixes(weights: Mapping[str, Tensor]) -> list[str]:
    """Return everything in front of the convolutions that take an image."""
    stems = [name for name, weight in weights.items() if _takes_image(weight, (3,))]
    if not stems:
        # Depthwise convolutions have one input channel too, so only the first can be a stem.
        channels = range(1, MAX_IMAGE_CHANNELS + 1)
        stems = [name for name, weight in weights.items() if _takes_image(weight, channels)][:1]
    found = list[str]()
    for stem in stems:
        parts = stem.split(".")
        found += [f"{'.'.join(parts[:end])}." for end in range(1, len(parts) - 1)]
    return found


def _takes_image(weight: Tensor, channels: Iterable[int]) -> bool:
    """Return True for a convolution that has one of these numbers of input channels."""
    return weight.ndim == 4 and weight.shape[1] in channels and weight.shape[0] > 4


def _part(weights: Mapping[str, Tensor], prefix: str, ignored: tuple[str, ...]) -> ModelPart:
    """Split weights into those under a prefix and the others."""
    state = dict[str, Tensor]()
    beside = dict[str, Tensor]()
    for name, weight in weights.items():
        if name.startswith(prefix):
            state[name.removeprefix(prefix)] = weight
        else:
            beside[name] = weight
    return ModelPart(prefix, state, beside, ignored)


def select_parts(parts: tuple[ModelPart, ...], name: str) -> tuple[ModelPart, ...]:
    """Return the parts under a name that the user gives.

    Args:
        parts: all parts.
        name: a prefix or a piece of one, such as `encoder_k`.

    Returns:
        Parts whose prefix has the name.

    Raises:
        CheckpointError: no prefix has it.
    """
    wanted = f".{name.strip('.')}."
    found = tuple(part for part in parts if wanted in f".{part.prefix}")
    if not found:
        names = [part.prefix.rstrip(".") for part in parts if part.prefix]
        listed = join_first(names) or "none"
        raise CheckpointError(f"There is no model '{name}' in the file (models: {listed}).")
    return found


def rename_weights(
    weights: Mapping[str, Tensor], rename: Callable[[str], str]
) -> dict[str, Tensor]:
    """Rename weights.

    Args:
        weights: tensors by name.
        rename: returns the new name.

    Returns:
        Tensors by new name.

    Raises:
        CheckpointError: two different weights would get one name.
    """
    renamed = dict[str, Tensor]()
    old_names = dict[str, str]()
    for old, weight in weights.items():
        new = rename(old)
        if new in renamed and not _are_equal(renamed[new], weight):
            raise CheckpointError(_describe_conflict(old_names[new], old, new))
        # Equal weights under two names, as DataParallel may leave them, are one.
        renamed.setdefault(new, weight)
        old_names.setdefault(new, old)
    return renamed


def _describe_conflict(one: str, other: str, name: str) -> str:
    """Describe that two weights would get one name."""
    return (
        f"Two different weights, '{printable_key(one)}' and '{printable_key(other)}', "
        f"would both be '{printable_key(name)}'. Remove the wrong one from the file."
    )


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Return True for tensors of equal shape, dtype and values."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    # Tied weights are one object, which needs no look at its values.
    return one is other or torch.equal(one, other)
