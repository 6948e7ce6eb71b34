"""Changing what meets at a merge while a net runs: fade it, hold it, drop a whole branch; the net stays whole."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_resnets.merge import Add, Merge
from lightning_resnets.probe import operands, submodule


class SurgeryError(ValueError):
    """An operation that this net does not allow; its text is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiply one operand of a merge by a number: 0 cuts it, 1 leaves the net as it is to the bit."""

    merge: str
    operand: int | str
    gain: float


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """Put a fixed value in place of one operand: a number everywhere, or a tensor that broadcasts to the operand."""

    merge: str
    operand: int | str
    value: float | Tensor

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hold) or (self.merge, self.operand) != (other.merge, other.operand):
            return False
        return torch.equal(torch.as_tensor(self.value), torch.as_tensor(other.value))

    def __hash__(self) -> int:
        return hash((self.merge, self.operand))


@dataclass(frozen=True, slots=True)
class Drop:
    """Make a residual block the identity: its branch counts as zero where it meets its Add (a stage: every branch)."""

    block: str


Op = Scale | Hold | Drop
Edit = Scale | Hold


@contextmanager
def operate(model: nn.Module, *ops: Op) -> Iterator[nn.Module]:
    """Run the net with these operations inside the `with` block; they act in the order given.

    Hooks do it, and they are gone at the end, after an error too. Raises SurgeryError or PointError for an operation
    that does not fit the net, at once where that can be known and else in the forward pass.
    """
    with ExitStack() as stack:
        for name, edits in plan(model, ops).items():
            handle = submodule(model, name).register_forward_pre_hook(_hook(edits), with_kwargs=True)
            stack.callback(handle.remove)
        yield model


def plan(model: nn.Module, ops: Iterable[Op]) -> dict[str, tuple[Edit, ...]]:
    """The operations by the merge they act on, operands as numbers, every Drop written out, without those of gain 1."""
    edits: dict[str, list[Edit]] = {}
    for op in ops:
        for edit in _dropped(model, op) if isinstance(op, Drop) else [op]:
            merge = submodule(model, edit.merge)
            if not isinstance(merge, Merge):
                raise SurgeryError(f"'{edit.merge}' is no place where paths meet: name an add, a concat or a gate.")
            operand = _number(merge, edit)
            if isinstance(edit, Hold):
                edits.setdefault(edit.merge, []).append(Hold(edit.merge, operand, edit.value))
            elif edit.gain != 1:
                edits.setdefault(edit.merge, []).append(Scale(edit.merge, operand, float(edit.gain)))
    return {name: tuple(found) for name, found in edits.items()}


def altered(given: Sequence[Tensor], edits: Iterable[Edit]) -> tuple[Tensor, ...]:
    """The operands of one merge after its edits; the tensors given are not written to."""
    changed = list(given)
    for edit in edits:
        assert isinstance(edit.operand, int)
        if edit.operand >= len(changed):
            raise SurgeryError(
                f"'{edit.merge}' has {len(changed)} operands, numbered from 0: there is no number {edit.operand}."
            )
        changed[edit.operand] = _changed(changed[edit.operand], edit)
    return tuple(changed)


def _changed(operand: Tensor, edit: Edit) -> Tensor:
    if isinstance(edit, Scale):
        return torch.zeros_like(operand) if edit.gain == 0 else operand * edit.gain  # 0 cuts infinities too
    value = torch.as_tensor(edit.value, dtype=operand.dtype, device=operand.device)
    try:
        return value.expand(operand.shape).clone()
    except RuntimeError as error:
        raise SurgeryError(
            f"A value of shape {tuple(value.shape)} does not fit operand {edit.operand} of '{edit.merge}', "
            f"which has shape {tuple(operand.shape)}."
        ) from error


def _hook(edits: tuple[Edit, ...]) -> Any:
    def change(module: Merge, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return altered(operands(module, args, kwargs), edits), {}

    return change


def _number(merge: Merge, edit: Edit) -> int:
    names, operand = merge.operands, edit.operand
    if isinstance(operand, str) and operand in names:
        return names.index(operand)
    if isinstance(operand, int) and operand >= 0 and (not names or operand < len(names)):
        return operand
    known = f"its operands are {' and '.join(names)}" if names else "its operands are numbered from 0"
    raise SurgeryError(f"'{edit.merge}' has no operand '{operand}': {known}.")


def _dropped(model: nn.Module, op: Drop) -> list[Scale]:
    block = submodule(model, op.block)
    adds = [name for name, module in block.named_modules() if isinstance(module, Add)]
    if not adds:
        raise SurgeryError(f"'{op.block}' holds no add, so there is no branch to drop: name a residual block.")
    return [Scale(f"{op.block}.{name}" if name else op.block, 1, 0.0) for name in adds]
