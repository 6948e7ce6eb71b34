"""Interventions as plain data; `apply_edits` has the effect of each on a tensor."""

import math
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from lightning_resnets.errors import InterventionError
from lightning_resnets.utils.arguments import check_number
from lightning_resnets.utils.format import format_value

Channels = int | Iterable[int]


@dataclass(frozen=True, slots=True)
class ScaleInput:
    """Multiply one operand of a merge by a number.

    Attributes:
        merge: name of an Add, Concat or Gate.
        operand: its number from 0; its name where the merge has names ("shortcut" and "branch" of
            an Add, "x" and "weight" of a Gate); at a Concat also the module that computes it.
        factor: 0 cuts the input, 1 leaves the model unchanged to the bit.
    """

    merge: str
    operand: int | str
    factor: float

    def __post_init__(self) -> None:
        # NaN would spread to the whole output, and infinity gives NaN at zeros.
        if not isinstance(self.factor, Real) or not math.isfinite(self.factor):
            raise InterventionError(
                f"factor must be a finite number, got {format_value(self.factor)} "
                "(0 cuts the input, 1 leaves it unchanged)."
            )


@dataclass(frozen=True, slots=True, eq=False)
class SetInput:
    """Replace one operand of a merge, or some of its channels, by a fixed value.

    Attributes:
        merge: name of an Add, Concat or Gate.
        operand: see `ScaleInput`.
        value: a number, one number per channel (C,), or a tensor that broadcasts to the operand:
            (C, 1, 1) or (N, C, 1, 1). With `channels` it has a number for each of those.
        channels: channels to replace, from 0; None for all.
    """

    merge: str
    operand: int | str
    value: float | Tensor
    channels: Channels | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.value, (Real, Tensor)):
            shown = format_value(self.value)
            raise InterventionError(f"value must be a number or a tensor, got {shown}.")
        # A tensor may have any values; a number that is NaN is a mistake.
        if not isinstance(self.value, Tensor):
            check_number("value", self.value, error=InterventionError)
        if self.channels is not None:
            # Frozen dataclasses cannot assign attributes.
            object.__setattr__(self, "channels", check_channels(self.channels))

    # Tensors have no truth value, so the generated comparison would fail.
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetInput) or self._target != other._target:
            return False
        return _is_same_value(self.value, other.value)

    def __hash__(self) -> int:
        # Without the value: tensors hash by identity, but equal edits must agree.
        return hash(self._target)

    @property
    def _target(self) -> tuple[object, ...]:
        return self.merge, self.operand, self.channels


@dataclass(frozen=True, slots=True)
class RemoveBlock:
    """Remove a residual block: its branch counts as zero at its Add.

    The shortcut remains, with its projection if it has one. In a highway layer the carry
    x (1 - T(x)) remains; with `SetInput(carry, "weight", 1)` beside it, x itself. In a model of
    `insert_merges` an Add of two parallel branches has no shortcut and is left unchanged. The new
    features of a dense layer count as zero wherever they are read.

    Attributes:
        block: name of a residual block, a dense layer, or a stage or dense block of them.
    """

    block: str


@dataclass(frozen=True, slots=True)
class ZeroChannels:
    """Set channels of a module's output to zero.

    Attributes:
        hook_point: name of the module.
        channels: channels on axis 1, from 0.
    """

    hook_point: str
    channels: Channels

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(sorted(set(check_channels(self.channels)))))


@dataclass(frozen=True, slots=True)
class KeepChannels:
    """Set all channels of a module's output to zero except for these.

    Attributes:
        hook_point: name of the module.
        channels: channels on axis 1, from 0.
    """

    hook_point: str
    channels: Channels

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(sorted(set(check_channels(self.channels)))))


@dataclass(frozen=True, slots=True)
class BypassBlock:
    """Replace the output of a block by its input, which must have the same shape.

    A plain model loses a block this way.

    Attributes:
        hook_point: name of the block.
    """

    hook_point: str


@dataclass(frozen=True, slots=True)
class SwapBlocks:
    """Exchange two blocks of the same build (Veit et al. 2016, arXiv:1605.06431, section 4.3).

    Attributes:
        first: name of one block.
        second: name of the other.
    """

    first: str
    second: str


MergeEdit = ScaleInput | SetInput
OutputEdit = ZeroChannels | KeepChannels | BypassBlock
Intervention = MergeEdit | OutputEdit | RemoveBlock | SwapBlocks


def flatten_interventions(
    interventions: Iterable[Intervention | Sequence[Intervention]],
) -> Iterator[Intervention]:
    """Iterate over interventions, including those in lists.

    Args:
        interventions: interventions and lists or tuples of them.

    Yields:
        One intervention after the other.

    Raises:
        InterventionError: an item is not an intervention.
    """
    if not isinstance(interventions, Iterable):
        shown = format_value(interventions)
        raise InterventionError(f"interventions must be a list of interventions, got {shown}.")
    for one in interventions:
        # Lists may be nested, such as a dropped stage beside other edits.
        if isinstance(one, (list, tuple)):
            yield from flatten_interventions(one)
        # A forgotten name would otherwise fail much later.
        elif isinstance(one, Intervention) and all(isinstance(n, str) for n in _targets(one)):
            yield one
        else:
            raise _not_an_intervention(one)


def check_channels(channels: Channels) -> tuple[int, ...]:
    """Convert channel numbers to a tuple.

    Args:
        channels: one number or several, from 0.

    Returns:
        The numbers in their order.

    Raises:
        InterventionError: a number is negative, repeated or not an integer.
    """
    numbers = _to_integers(channels)
    if numbers and min(numbers) < 0:
        raise InterventionError(f"channels are numbered from 0, got {min(numbers)}.")
    # Twice the same channel is a slip, and index_copy is undefined for it.
    for number, count in Counter(numbers).items():
        if count > 1:
            raise InterventionError(f"channel {number} is listed twice: list it once.")
    return numbers


def _to_integers(channels: Channels) -> tuple[int, ...]:
    """Convert channel numbers to Python integers; raise InterventionError for anything else."""
    listed = channels if isinstance(channels, Iterable) else (channels,)
    try:
        # operator.index also takes NumPy and torch integers but no floats.
        return tuple(map(operator.index, listed))
    except TypeError as error:
        shown = format_value(channels)
        raise InterventionError(f"channels must be integers from 0, got {shown}.") from error


def _not_an_intervention(value: object) -> InterventionError:
    """Describe a value that is not an intervention, and list what is one."""
    return InterventionError(
        f"{format_value(value)} is not an intervention: pass ScaleInput, SetInput, RemoveBlock, "
        "ZeroChannels, KeepChannels, BypassBlock or SwapBlocks with names of modules, as in "
        "RemoveBlock('layer1.0')."
    )


def _targets(intervention: Intervention) -> tuple[object, ...]:
    """Return the names in an intervention."""
    if isinstance(intervention, SwapBlocks):
        return intervention.first, intervention.second
    if isinstance(intervention, MergeEdit):
        return (intervention.merge,)
    if isinstance(intervention, RemoveBlock):
        return (intervention.block,)
    return (intervention.hook_point,)


def _is_same_value(one: float | Tensor, other: float | Tensor) -> bool:
    """Compare values with their shapes and types."""
    first = torch.as_tensor(one)
    second = torch.as_tensor(other)
    # Another type may give another result, and torch.equal needs one device.
    if (first.shape, first.dtype, first.device) != (second.shape, second.dtype, second.device):
        return False
    return torch.equal(first, second)
