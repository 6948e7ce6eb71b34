"""What a file without a card turned out to hold: which model, under whose names, how surely, and what does not fit."""

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from lightning_resnets.preprocessing import Preprocessing

Confidence = Literal["certain", "likely", "unsure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """The model that weights of unknown origin belong to.

    `arch`, `classes` and `options` build it (`zoo.build`); `arch` is a name of the zoo, or `timm/NAME` or
    `torchvision/NAME`. `dialect` says whose names they were. `state` is under the model's own names and, where `missing`
    and `reshaped` are empty, fills it strictly. `unexpected` weights have no place in the model; `dropped` ones are
    ballast that every file of that dialect has. `reshaped` has (name, shape in the file, shape in the model). `changes`
    says in words what was done to the weights. `sure` and `why`: "certain" where every weight fits and the names belong
    to a project or package in which only this model has them (or the file or the user names it), "likely" where models
    known here fit alike, which are the `alternatives` (models of the index, and in words the model's own variants by
    options without weights), or where mean and std are guessed, else "unsure". `epsilon` is
    batch norm's, where the dialect knows it to differ from the model's own; `data` the data set's short name, where the
    dialect knows it.
    """

    arch: str
    num_classes: int
    model_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    dialect: str
    state_dict: dict[str, Tensor]
    missing_keys: tuple[str, ...] = ()
    unexpected_keys: tuple[str, ...] = ()
    mismatched_keys: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    ignored_keys: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()
    confidence: Confidence
    reason: str
    alternatives: tuple[str, ...] = ()
    preprocessing: Preprocessing
    bn_eps: float | None = None
    dataset: str = ""

    @property
    def fits(self) -> bool:
        """Whether every weight of the model is there in the right shape, and no other weight is left over."""
        return not (self.missing_keys or self.unexpected_keys or self.mismatched_keys)
