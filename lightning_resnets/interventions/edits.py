"""The operations of surgery as plain data, and what each makes of a tensor."""

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from lightning_resnets.errors import InterventionError

Channels = int | Iterable[int]


@dataclass(frozen=True, slots=True)
class ScaleInput:
    """Multiply one operand of a merge by a number: 0 cuts it, 1 leaves the model as it is to the bit.

    `operand` is its number from 0, its name where the merge has names (`"shortcut"` and `"branch"` of an Add, `"x"` and
    `"weight"` of a Gate), or at a Concat the module that made the part.
    """

    merge: str
    operand: int | str
    factor: float

    def __post_init__(self) -> None:
        if not isinstance(self.factor, Real) or not math.isfinite(self.factor):
            raise InterventionError(
                f"A gain is a finite number, 0 to cut and 1 to leave as it is, not {self.factor!r}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class SetInput:
    """Put a fixed value in place of one operand of a merge, or of some of its channels.

    `value` is a number, one number a channel (C,), or a tensor that broadcasts to the operand: (C, 1, 1),
    (N, C, 1, 1). With `channels` it has a number for each of those, in their order.
    """

    merge: str
    operand: int | str
    value: float | Tensor
    channels: Channels | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.value, (Real, Tensor)):
            raise InterventionError(f"A value to hold is a number or a tensor, not {self.value!r}.")
        if self.channels is not None:
            object.__setattr__(self, "channels", check_channels(self.channels))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetInput) or self._where != other._where:
            return False
        return _same(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self._where)

    @property
    def _where(self) -> tuple[object, ...]:
        return self.merge, self.operand, self.channels


@dataclass(frozen=True, slots=True)
class RemoveBlock:
    """Make a residual block the identity: its branch counts as zero where it meets its Add (a stage: every branch).

    What is left is the shortcut: with its projection where it has one, and in a highway layer the carry x (1 - T(x)),
    weighed as it was (with `Hold(carry, "weight", 1)` beside it, x itself). In a revealed model an Add of two even
    branches has no shortcut, and is left as it is. A dense layer's new features count as zero wherever they are read
    (a dense block: those of every layer).
    """

    block: str


@dataclass(frozen=True, slots=True)
class ZeroChannels:
    """Put zero in place of these channels of what a module gives; they are on axis 1 and numbered from 0."""

    hook_point: str
    channels: Channels

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(sorted(set(check_channels(self.channels)))))


@dataclass(frozen=True, slots=True)
class KeepChannels:
    """Put zero in place of all channels but these."""

    hook_point: str
    channels: Channels

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(sorted(set(check_channels(self.channels)))))


@dataclass(frozen=True, slots=True)
class BypassBlock:
    """A block gives what it was given, which must have the shape of its output: so a plain model loses a block."""

    hook_point: str


@dataclass(frozen=True, slots=True)
class SwapBlocks:
    """Two blocks of the same build change places (Veit et al. 2016, arXiv:1605.06431, section 4.3)."""

    first: str
    second: str


MergeEdit = ScaleInput | SetInput


OutputEdit = ZeroChannels | KeepChannels | BypassBlock


Intervention = MergeEdit | OutputEdit | RemoveBlock | SwapBlocks


def flatten_interventions(
    ops: Iterable[Intervention | Sequence[Intervention]],
) -> Iterator[Intervention]:
    """All operations, those in lists too; raises SurgeryError for what is none."""
    for op in ops:
        if isinstance(op, (list, tuple)):
            yield from flatten_interventions(op)
        elif isinstance(op, Intervention) and all(isinstance(place, str) for place in _places(op)):
            yield op
        else:
            raise InterventionError(
                f"{op!r} is no operation: give Scale, Hold, Drop, Silence, Keep, Bypass or Swap with the names of "
                "parts, as in Drop('layer1.0')."
            )


def _places(op: Intervention) -> tuple[object, ...]:
    """The names in an operation."""
    if isinstance(op, SwapBlocks):
        return op.first, op.second
    return (
        op.merge
        if isinstance(op, MergeEdit)
        else op.block
        if isinstance(op, RemoveBlock)
        else op.hook_point,
    )


def check_channels(channels: Channels) -> tuple[int, ...]:
    """Channel numbers as a tuple; raises SurgeryError for one below 0, one named twice and what is no number."""
    try:
        found = tuple(
            map(operator.index, channels if isinstance(channels, Iterable) else (channels,))
        )
    except TypeError as error:
        raise InterventionError(f"Channels are whole numbers from 0, not {channels!r}.") from error
    if found and min(found) < 0:
        raise InterventionError(f"There is no channel {min(found)}: channels are numbered from 0.")
    if len(set(found)) < len(found):
        raise InterventionError(
            f"Channel {next(c for c in found if found.count(c) > 1)} is named twice: name it once."
        )
    return found


def apply_merge_edits(given: Sequence[Tensor], edits: Iterable[MergeEdit]) -> tuple[Tensor, ...]:
    """The operands of one merge after its edits; the tensors given are not written to."""
    changed = list(given)
    for edit in edits:
        assert isinstance(edit.operand, int)
        if edit.operand >= len(changed):
            raise InterventionError(
                f"'{edit.merge}' has {len(changed)} operands, numbered from 0: there is no number {edit.operand}."
            )
        old = changed[edit.operand]
        changed[edit.operand] = (
            _scaled(old, edit) if isinstance(edit, ScaleInput) else _held(old, edit)
        )
    return tuple(changed)


def apply_output_edit(output: object, edit: OutputEdit, given: object) -> Tensor:
    """What a module gives after an edit; `given` is what it was given. The tensors themselves are not written to."""
    if not isinstance(output, Tensor) or output.dim() < 2:
        raise InterventionError(
            f"'{edit.hook_point}' gives no tensor with channels: choose a part inside it."
        )
    if isinstance(edit, BypassBlock):
        return _passed(output, edit, given)
    where = _index(output, edit.channels, f"'{edit.hook_point}' gives {output.shape[1]} channels")
    if isinstance(edit, ZeroChannels):
        return output.index_fill(1, where, 0)
    nothing = torch.zeros_like(output)
    return nothing.index_copy(1, where, output.index_select(1, where)) if len(where) else nothing


def _scaled(operand: Tensor, edit: ScaleInput) -> Tensor:
    return (
        torch.zeros_like(operand) if edit.factor == 0 else operand * edit.factor
    )  # 0 cuts infinities too


def _held(operand: Tensor, edit: SetInput) -> Tensor:
    here = f"operand {edit.operand} of '{edit.merge}'"
    where = (
        None
        if edit.channels is None
        else _index(operand, edit.channels, f"{here} has {operand.shape[1]} channels")
    )
    value = torch.as_tensor(edit.value, dtype=operand.dtype, device=operand.device)
    wide = (
        value.reshape(-1, *[1] * (operand.dim() - 2)) if value.dim() == 1 else value
    )  # (C,) is a number a channel
    shape = operand.shape if where is None else (operand.shape[0], len(where), *operand.shape[2:])
    try:
        held = wide.expand(shape)
    except RuntimeError as error:
        some = "" if where is None else f"channels {', '.join(map(str, where.tolist()))} of "
        raise InterventionError(
            f"A value of shape {tuple(value.shape)} does not fit {some}{here}, which has shape {tuple(operand.shape)}."
        ) from error
    return held.clone() if where is None else operand.index_copy(1, where, held)


def _passed(output: Tensor, edit: BypassBlock, given: object) -> Tensor:
    if not isinstance(given, Tensor) or given.shape != output.shape:
        shape = (
            f"of shape {tuple(given.shape)}"
            if isinstance(given, Tensor)
            else "that is no single tensor"
        )
        raise InterventionError(
            f"'{edit.hook_point}' cannot be passed by: what it is given, {shape}, does not take the place of "
            f"{tuple(output.shape)}, which it gives."
        )
    return given


def _index(tensor: Tensor, channels: Channels, known: str) -> Tensor:
    assert isinstance(channels, tuple)
    if channels and max(channels) >= tensor.shape[1]:
        known = known[0].upper() + known[1:]
        raise InterventionError(f"{known}, numbered from 0: there is no number {max(channels)}.")
    return torch.tensor(channels, dtype=torch.long, device=tensor.device)


def _same(one: float | Tensor, other: float | Tensor) -> bool:
    one, other = torch.as_tensor(one), torch.as_tensor(other)
    alike = (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)
    return alike and torch.equal(one, other)
