"""How well weights of known names lie over a model: what fits, what is missing, left over or of another shape."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_resnets.checkpoint.identify import architecture
from lightning_resnets.checkpoint.identify.architecture import InferredArchitecture
from lightning_resnets.checkpoint.identify.dialects import Dialect
from lightning_resnets.checkpoint.model_card import MAX_CLASSES
from lightning_resnets.models import registry
from lightning_resnets.utils.skip_init import skip_init

NUM_BATCHES_TRACKED = (
    "num_batches_tracked"  # files before torch 0.4.1 lack it; evaluation does not need it
)


@dataclass(frozen=True, slots=True)
class NormalizedWeights:
    """Weights under the names of a model of ours, as far as the dialect knows them.

    `clash` is the sentence for weights of which two would be one in the dialect, and which are under their own names.
    """

    dialect: Dialect
    state_dict: dict[str, Tensor]
    shapes: dict[str, tuple[int, ...]]
    ignored_keys: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()
    architecture: InferredArchitecture | None = None
    key_conflict: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """How weights lie over a model; `share` is how many of them do, of all that either has."""

    name: str
    model_kwargs: dict[str, Any]
    state_dict: dict[str, Tensor]
    missing_keys: tuple[str, ...]
    unexpected_keys: tuple[str, ...]
    mismatched_keys: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    match_ratio: float
    num_classes: int

    @property
    def fits(self) -> bool:
        return not (self.missing_keys or self.unexpected_keys or self.mismatched_keys)


def match_model(
    name: str, options: dict[str, Any], reading: NormalizedWeights, num_classes: int = 0
) -> Match | None:
    """The weights laid over a model, built blank for so many classes (0: as the last layer has it); None where it cannot
    be built so.
    """
    num_classes = min(
        num_classes or max(1, architecture.infer_num_classes(reading.shapes)), MAX_CLASSES
    )
    try:
        with torch.random.fork_rng(devices=[]), skip_init():
            model = registry.create_model(name, num_classes=num_classes, **options)
    except (ValueError, RuntimeError):
        return None
    blank = model.state_dict()
    state, missing, reshaped = (
        dict[str, Tensor](),
        list[str](),
        list[tuple[str, tuple[int, ...], tuple[int, ...]]](),
    )
    for key, wanted in blank.items():
        weight = reading.state_dict.get(key)
        if key.endswith(NUM_BATCHES_TRACKED) and (weight is None or weight.numel() == 1):
            state[key] = (
                torch.zeros_like(wanted) if weight is None else weight.reshape(wanted.shape)
            )
        elif weight is None:
            missing.append(key)
        elif weight.shape != wanted.shape:
            reshaped.append((key, tuple(weight.shape), tuple(wanted.shape)))
        else:
            state[key] = weight
    unexpected = tuple(key for key in reading.state_dict if key not in blank)
    counted = [key for key in blank if not key.endswith(NUM_BATCHES_TRACKED)]
    extra = sum(1 for key in unexpected if not key.endswith(NUM_BATCHES_TRACKED))
    share = (len(counted) - len(missing) - len(reshaped)) / max(1, len(counted) + extra)
    return Match(
        name, options, state, tuple(missing), unexpected, tuple(reshaped), share, num_classes
    )
