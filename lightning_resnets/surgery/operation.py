"""Changing what a net computes while it runs: what meets at a merge, channels, whole blocks; the net stays whole."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from lightning_resnets.merge import Add, Concat, Merge
from lightning_resnets.points import Act, called, hook, submodule
from lightning_resnets.probe import operands
from lightning_resnets.surgery.bypass import entered
from lightning_resnets.surgery.drop import dropped, listed, revealed, shortcut
from lightning_resnets.surgery.edits import Bypass as Bypass
from lightning_resnets.surgery.edits import Drop as Drop
from lightning_resnets.surgery.edits import Edit, Touch, altered, every, touched
from lightning_resnets.surgery.edits import Hold as Hold
from lightning_resnets.surgery.edits import Keep as Keep
from lightning_resnets.surgery.edits import Op as Op
from lightning_resnets.surgery.edits import Scale as Scale
from lightning_resnets.surgery.edits import Silence as Silence
from lightning_resnets.surgery.edits import SurgeryError as SurgeryError
from lightning_resnets.surgery.edits import Swap as Swap
from lightning_resnets.surgery.exchange import check, exchanged
from lightning_resnets.surgery.sources import Origins, operands_from, origins


@dataclass(frozen=True, slots=True)
class Plan:
    """Operations by where they act: at a merge (operands as numbers), behind a point, on two blocks; in their order."""

    merges: Mapping[str, tuple[Edit, ...]]
    points: Mapping[str, tuple[Touch, ...]]
    swaps: tuple[Swap, ...] = ()


@contextmanager
def operate(model: nn.Module, *ops: Op | Sequence[Op], table: Origins | None = None) -> Iterator[nn.Module]:
    """Run the net with these operations inside the `with` block; they act in the order given, lists of them too.

    A name means a place in the net: where blocks change places, what is named after one acts in its place, whoever
    runs there. Hooks do it, and they are gone at the end, after an error too. `table` says where
    what meets comes from (`sources.origins_of`); without it the net is traced when that is first asked.
    Raises SurgeryError or PointError for an operation that does not fit the net, at once where that can be known and
    else in the forward pass.
    """
    planned = plan(model, ops, table)
    with ExitStack() as stack:
        for name, edits in planned.merges.items():
            handle = submodule(model, name).register_forward_pre_hook(_before(edits), with_kwargs=True)
            stack.callback(handle.remove)
        for name in sorted(planned.points, key=len):  # each before those that are there: inner ones first, then probes
            touches = planned.points[name]
            passed = any(isinstance(touch, Bypass) for touch in touches)
            inner = passed and called(model, name)[0] is not submodule(model, name)
            given = stack.enter_context(entered(model, name)) if inner else None
            stack.callback(hook(model, name, _behind(touches, given), first=True))
        stack.enter_context(exchanged(model, planned.swaps))
        yield model


def plan(
    model: nn.Module,
    ops: Iterable[Op | Sequence[Op]],
    table: Origins | None = None,
    known: Container[str] = frozenset(),
) -> Plan:
    """The operations by where they act, every Drop written out, without those that change nothing.

    `known` are points beside the net's modules.
    """
    merges: dict[str, list[Edit]] = {}
    points: dict[str, list[Touch]] = {}
    swaps: list[Swap] = []
    for op in every(ops):
        for one in dropped(model, op, table) if isinstance(op, Drop) else [op]:
            assert not isinstance(one, Drop)
            if isinstance(one, Swap):
                check(model, one)
                swaps += [one] if one.one != one.other else []
            elif isinstance(one, Edit):
                edits = [edit for edit in _numbered(model, one, table) if getattr(edit, "gain", 0) != 1]
                merges.setdefault(one.merge, []).extend(edits)
            else:
                if one.point not in known:
                    submodule(model, one.point)
                points.setdefault(one.point, []).append(one)
    found = {name: tuple(edits) for name, edits in merges.items() if edits}
    return Plan(found, {name: tuple(touches) for name, touches in points.items()}, tuple(swaps))


def _before(edits: tuple[Edit, ...]) -> Any:
    def change(module: Merge, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return altered(operands(module, args, kwargs), edits), {}

    return change


def _behind(touches: tuple[Touch, ...], entrance: list[Any] | None) -> Act:
    """What changes what a point gives; `entrance` holds what it was given, where its module is not called itself."""

    def change(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        given = (*args, *kwargs.values()) if entrance is None else (entrance.pop(),)
        for touch in touches:
            output = touched(output, touch, given[0] if len(given) == 1 else given)
        return output

    return change


def _numbered(model: nn.Module, edit: Edit, table: Origins | None) -> list[Edit]:
    """The edit with the operand's number; one for each part where several come from one source."""
    merge = submodule(model, edit.merge)
    if not isinstance(merge, Merge):
        raise SurgeryError(f"'{edit.merge}' is no place where paths meet: {listed(model)}.")
    if isinstance(edit.operand, str) and isinstance(merge, Concat):
        found = operands_from((table or origins(model)).parts, edit.merge, edit.operand)
    elif edit.operand in Add.operands and isinstance(merge, Add) and revealed(model):
        number = shortcut(model, edit.merge, table)
        found = [number if edit.operand == "shortcut" else 1 - number]
    else:
        found = [_number(merge, edit)]
    return [_at(edit, number) for number in found]


def _at(edit: Edit, number: int) -> Edit:
    if isinstance(edit, Scale):
        return Scale(edit.merge, number, float(edit.gain))
    value = edit.value.clone() if isinstance(edit.value, Tensor) else edit.value  # its owner may go on to change it
    return replace(edit, operand=number, value=value)


def _number(merge: Merge, edit: Edit) -> int:
    names, operand = merge.operands, edit.operand
    if isinstance(operand, str) and operand in names:
        return names.index(operand)
    if isinstance(operand, int) and operand >= 0 and (not names or operand < len(names)):
        return operand
    known = f"its operands are {' and '.join(names)}" if names else "its operands are numbered from 0"
    raise SurgeryError(f"'{edit.merge}' has no operand '{operand}': {known}.")
