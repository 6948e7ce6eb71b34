"""Dialects: facts about the projects whose keys a file may have.

A dialect says how keys of other frameworks become ours, and what its models do that no shape tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightning_resnets.checkpoint.identify.known_preprocessing import TORCH_PREPROCESSING
from lightning_resnets.models.rename_keys import KeyRules
from lightning_resnets.preprocessing import Preprocessing

KwargsByTrait = Mapping[str, Mapping[str, Any]]


def _no_kwargs() -> KwargsByTrait:
    """Return an empty table."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to name keys and to feed models.

    Attributes:
        name: project or framework.
        required_keys: patterns; each matches the start of some key.
        forbidden_keys: patterns that match no key.
        author: value of `__author__` in the file, where keys alone do not tell the project.
        key_rules: (pattern, replacement) pairs for keys of other frameworks, applied in turn to
            each key. PyTorch's many spellings need none, see `spellings`.
        conversions: names of `conversions.CONVERSIONS`, in order.
        model_kwargs: arguments of a model that has certain traits
            (`InferredArchitecture.traits`).
        ambiguous_kwargs: arguments that such a file leaves open, with their other value.
        preprocessing: by dataset.
        bn_eps: batch norm's epsilon, if it differs from ours.
        is_ambiguous: models of several projects or designs have these keys, so that other models
            may have the same weights.
        caveat: what is guessed about the preprocessing, as a phrase.
    """

    name: str
    required_keys: tuple[str, ...] = ()
    forbidden_keys: tuple[str, ...] = ()
    author: str = ""
    key_rules: KeyRules = ()
    conversions: tuple[str, ...] = ()
    model_kwargs: KwargsByTrait = field(default_factory=_no_kwargs)
    ambiguous_kwargs: KwargsByTrait = field(default_factory=_no_kwargs)
    preprocessing: Mapping[str, Preprocessing] = field(default_factory=lambda: TORCH_PREPROCESSING)
    bn_eps: float | None = None
    is_ambiguous: bool = False
    caveat: str = ""


# For weights under their own keys.
UNKNOWN = Dialect(name="unknown", is_ambiguous=True)

# A residual network whose spelling belongs to no project of the table.
MIXED = Dialect(
    name="mixed",
    is_ambiguous=True,
    caveat="mean and std are assumed, because no project is known by these keys",
)
