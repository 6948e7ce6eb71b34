"""Match weights under a model's own keys against the model: missing, unexpected, mismatched."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.identify import architecture
from lightning_resnets.checkpoint.identify.identification import MismatchedKey
from lightning_resnets.checkpoint.identify.translate import NamedWeights
from lightning_resnets.data.datasets import MAX_CLASSES
from lightning_resnets.models import registry
from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.utils.skip_init import skip_init

# Files from before torch 0.4.1 lack this counter; evaluation does not need it.
NUM_BATCHES_TRACKED = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Match:
    """The result of matching weights against a model.

    Attributes:
        weights: the weights that were matched.
        name: name for `create_model`.
        model_kwargs: its further arguments.
        state_dict: weights under the model's own keys.
        missing_keys: keys of the model that the file lacks.
        unexpected_keys: keys of the file that the model lacks.
        mismatched_keys: keys whose shapes differ.
        match_ratio: fraction of weights that fit, of all that the file or the model has.
        num_classes: width of the last layer, 0 for none.
        preprocessing: input of an external model's published weights, else None.
    """

    weights: NamedWeights
    name: str
    model_kwargs: dict[str, Any]
    state_dict: dict[str, Tensor]
    missing_keys: tuple[str, ...]
    unexpected_keys: tuple[str, ...]
    mismatched_keys: tuple[MismatchedKey, ...]
    match_ratio: float
    num_classes: int
    preprocessing: Preprocessing | None = None

    @property
    def fits(self) -> bool:
        """Return True if no key is missing, unexpected or mismatched."""
        return not (self.missing_keys or self.unexpected_keys or self.mismatched_keys)


def match_model(
    name: str,
    model_kwargs: dict[str, Any],
    weights: NamedWeights,
    num_classes: int | None = None,
) -> Match | None:
    """Match the weights against a newly built model.

    Args:
        name: name for `create_model`.
        model_kwargs: its further arguments.
        weights: the weights.
        num_classes: width of the last layer, 0 for none; None for that of the file.

    Returns:
        The match, or None if these arguments cannot build the model.
    """
    if num_classes is None:
        num_classes = _count_classes(weights)
    # No model is built for a width that a file only claims.
    count = min(num_classes, MAX_CLASSES)
    try:
        with torch.random.fork_rng(devices=[]), skip_init():
            model = registry.create_model(name, num_classes=count, **model_kwargs)
    # ImportError is left to the caller: a package is missing.
    except (ValueError, RuntimeError):
        return None
    return _match_of(_compare(model, weights.state_dict), name, model_kwargs, weights, count)


def _count_classes(weights: NamedWeights) -> int:
    """Return the width of the file's last layer; 0 if it has none."""
    if weights.is_headless:
        return 0
    return max(1, architecture.infer_num_classes(weights.shapes))


@dataclass(slots=True)
class _Comparison:
    """Keys of a file and a model, sorted by how they match."""

    state_dict: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    missing: list[str] = field(default_factory=list[str])
    unexpected: list[str] = field(default_factory=list[str])
    mismatched: list[MismatchedKey] = field(default_factory=list[MismatchedKey])
    # Keys of the model, without counters.
    num_expected: int = 0


def _compare(model: nn.Module, weights: dict[str, Tensor]) -> _Comparison:
    """Compare keys and shapes."""
    expected = model.state_dict()
    result = _Comparison()
    for key, wanted in expected.items():
        weight = weights.get(key)
        # Old files lack counters, others store them as one number of any shape.
        if is_counter(key) and (weight is None or weight.numel() == 1):
            result.state_dict[key] = _to_counter(weight, wanted)
        elif weight is None:
            result.missing.append(key)
        elif weight.shape != wanted.shape:
            result.mismatched.append((key, tuple(weight.shape), tuple(wanted.shape)))
        else:
            result.state_dict[key] = weight
    result.unexpected = [key for key in weights if key not in expected]
    result.num_expected = sum(1 for key in expected if not is_counter(key))
    return result


def is_counter(key: str) -> bool:
    """Return True for batch norm's counter of batches.

    Args:
        key: key of a state dict.

    Returns:
        True if it is one.
    """
    return key.endswith(NUM_BATCHES_TRACKED)


def _to_counter(weight: Tensor | None, wanted: Tensor) -> Tensor:
    """Return the counter in the model's shape, zero if the file has none."""
    if weight is None:
        return torch.zeros_like(wanted)
    return weight.reshape(wanted.shape)


def _match_of(
    compared: _Comparison,
    name: str,
    model_kwargs: dict[str, Any],
    weights: NamedWeights,
    num_classes: int,
) -> Match:
    """Return a comparison as the match of a model."""
    return Match(
        weights,
        name,
        model_kwargs,
        compared.state_dict,
        tuple(compared.missing),
        tuple(compared.unexpected),
        tuple(compared.mismatched),
        _match_ratio(compared),
        num_classes,
    )


def _match_ratio(compared: _Comparison) -> float:
    """Return the fraction of keys that match, of all keys of the file or the model."""
    # Counters say nothing about the architecture.
    extra = sum(1 for key in compared.unexpected if not is_counter(key))
    matched = compared.num_expected - len(compared.missing) - len(compared.mismatched)
    return matched / max(1, compared.num_expected + extra)
