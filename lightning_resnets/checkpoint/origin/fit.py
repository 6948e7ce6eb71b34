"""How well weights of known names lie over a net: what fits, what is missing, left over or of another shape."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_resnets import zoo
from lightning_resnets.blank import Blank
from lightning_resnets.checkpoint.card import MOST_CLASSES
from lightning_resnets.checkpoint.origin import structure
from lightning_resnets.checkpoint.origin.dialects import Dialect
from lightning_resnets.checkpoint.origin.structure import Structure

COUNTER = "num_batches_tracked"  # files before torch 0.4.1 lack it; evaluation does not need it


@dataclass(frozen=True, slots=True)
class Reading:
    """Weights under the names of a net of ours, as far as the dialect knows them.

    `clash` is the sentence for weights of which two would be one in the dialect, and which are under their own names.
    """

    dialect: Dialect
    state: dict[str, Tensor]
    shapes: dict[str, tuple[int, ...]]
    dropped: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    make: Structure | None = None
    clash: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """How weights lie over a net; `share` is how many of them do, of all that either has."""

    name: str
    options: dict[str, Any]
    state: dict[str, Tensor]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    share: float
    classes: int

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unexpected or self.reshaped)


def laid(name: str, options: dict[str, Any], reading: Reading, classes: int = 0) -> Match | None:
    """The weights laid over a net, built blank for so many classes (0: as the last layer has it); None where it cannot
    be built so.
    """
    classes = min(classes or max(1, structure.classes(reading.shapes)), MOST_CLASSES)
    try:
        with torch.random.fork_rng(devices=[]), Blank():
            net = zoo.build(name, classes=classes, **options)
    except (ValueError, RuntimeError):
        return None
    blank = net.state_dict()
    state, missing, reshaped = dict[str, Tensor](), list[str](), list[tuple[str, tuple[int, ...], tuple[int, ...]]]()
    for key, wanted in blank.items():
        weight = reading.state.get(key)
        if key.endswith(COUNTER) and (weight is None or weight.numel() == 1):
            state[key] = torch.zeros_like(wanted) if weight is None else weight.reshape(wanted.shape)
        elif weight is None:
            missing.append(key)
        elif weight.shape != wanted.shape:
            reshaped.append((key, tuple(weight.shape), tuple(wanted.shape)))
        else:
            state[key] = weight
    unexpected = tuple(key for key in reading.state if key not in blank)
    counted = [key for key in blank if not key.endswith(COUNTER)]
    extra = sum(1 for key in unexpected if not key.endswith(COUNTER))
    share = (len(counted) - len(missing) - len(reshaped)) / max(1, len(counted) + extra)
    return Match(name, options, state, tuple(missing), unexpected, tuple(reshaped), share, classes)
