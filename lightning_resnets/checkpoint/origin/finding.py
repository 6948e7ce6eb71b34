"""What a file without a card turned out to hold: which net, under whose names, how surely, and what does not fit."""

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

Sure = Literal["certain", "likely", "unsure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """How a net wants its pictures, as the card says it (`Card`): size (C, H, W), mean and std for 0..1 and so on."""

    size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str = "RGB"
    crop: float = 1.0
    resample: str = "bilinear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The net that weights of unknown origin belong to.

    `arch`, `classes` and `options` build it (`zoo.build`); `arch` is a name of the zoo, or `timm/NAME` or
    `torchvision/NAME`. `dialect` says whose names they were. `state` is under the net's own names and, where `missing`
    and `reshaped` are empty, fills it strictly. `unexpected` weights have no place in the net; `dropped` ones are
    ballast that every file of that dialect has. `reshaped` has (name, shape in the file, shape in the net). `changes`
    says in words what was done to the weights. `sure` and `why`: "certain" where every weight fits and the names belong
    to a project or package in which only this net has them (or the file or the user names it), "likely" where nets
    known here fit alike, which are the `alternatives` (nets of the index, and in words the net's own variants by
    options without weights), or where mean and std are guessed, else "unsure". `epsilon` is
    batch norm's, where the dialect knows it to differ from the net's own; `data` the data set's short name, where the
    dialect knows it.
    """

    arch: str
    classes: int
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    dialect: str
    state: dict[str, Tensor]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    dropped: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    sure: Sure
    why: str
    alternatives: tuple[str, ...] = ()
    input: Input
    epsilon: float | None = None
    data: str = ""

    @property
    def fits(self) -> bool:
        """Whether every weight of the net is there in the right shape, and no other weight is left over."""
        return not (self.missing or self.unexpected or self.reshaped)
