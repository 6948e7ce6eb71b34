"""Changing what a net computes while it runs: what meets at a merge, channels, whole blocks; the net stays whole."""

from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from lightning_resnets.merge import Add, Concat, Merge
from lightning_resnets.points import Act, called, hook, some, submodule
from lightning_resnets.probe import operands
from lightning_resnets.surgery.edits import Bypass as Bypass
from lightning_resnets.surgery.edits import Drop as Drop
from lightning_resnets.surgery.edits import Edit, Touch, altered, touched
from lightning_resnets.surgery.edits import Hold as Hold
from lightning_resnets.surgery.edits import Keep as Keep
from lightning_resnets.surgery.edits import Op as Op
from lightning_resnets.surgery.edits import Scale as Scale
from lightning_resnets.surgery.edits import Silence as Silence
from lightning_resnets.surgery.edits import SurgeryError as SurgeryError
from lightning_resnets.surgery.edits import Swap as Swap
from lightning_resnets.surgery.exchange import check, exchanged
from lightning_resnets.surgery.sources import Sources, layers, operands_from, sources

LISTED = 6  # names that a sentence lists


@dataclass(frozen=True, slots=True)
class Plan:
    """Operations by where they act: at a merge (operands as numbers), behind a point, on two blocks; in their order."""

    merges: Mapping[str, tuple[Edit, ...]]
    points: Mapping[str, tuple[Touch, ...]]
    swaps: tuple[Swap, ...] = ()


@contextmanager
def operate(model: nn.Module, *ops: Op, table: Sources | None = None) -> Iterator[nn.Module]:
    """Run the net with these operations inside the `with` block; they act in the order given.

    A name means a place in the net: where blocks change places, what is named after one acts in its place, whoever
    runs there. Hooks do it, and they are gone at the end, after an error too. `table` says who made the parts of each
    Concat (`sources.sources_of`); without it the net is traced when a part is first named by its source.
    Raises SurgeryError or PointError for an operation that does not fit the net, at once where that can be known and
    else in the forward pass.
    """
    planned = plan(model, ops, table)
    with ExitStack() as stack:
        for name, edits in planned.merges.items():
            handle = submodule(model, name).register_forward_pre_hook(_before(edits), with_kwargs=True)
            stack.callback(handle.remove)
        for name in sorted(planned.points, key=len):  # each before those that are there: inner ones first, then probes
            stack.callback(hook(model, name, _behind(model, name, planned.points[name]), first=True))
        stack.enter_context(exchanged(model, planned.swaps))
        yield model


def plan(
    model: nn.Module, ops: Iterable[Op], table: Sources | None = None, known: Container[str] = frozenset()
) -> Plan:
    """The operations by where they act, every Drop written out, without those that change nothing.

    `known` are points beside the net's modules.
    """
    merges: dict[str, list[Edit]] = {}
    points: dict[str, list[Touch]] = {}
    swaps: list[Swap] = []
    for op in ops:
        for one in _dropped(model, op, table) if isinstance(op, Drop) else [op]:
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


def _behind(model: nn.Module, name: str, touches: tuple[Touch, ...]) -> Act:
    if any(isinstance(touch, Bypass) for touch in touches) and called(model, name)[0] is not submodule(model, name):
        raise SurgeryError(f"'{name}' cannot be passed by here: a revealed net calls its innermost parts alone.")

    def change(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        given = (*args, *kwargs.values())
        for touch in touches:
            output = touched(output, touch, given[0] if len(given) == 1 else given)
        return output

    return change


def _numbered(model: nn.Module, edit: Edit, table: Sources | None) -> list[Edit]:
    """The edit with the operand's number; one for each part where several come from one source."""
    merge = submodule(model, edit.merge)
    if not isinstance(merge, Merge):
        raise SurgeryError(f"'{edit.merge}' is no place where paths meet: {_listed(model)}.")
    if isinstance(edit.operand, str) and isinstance(merge, Concat):
        found = operands_from(sources(model) if table is None else table, edit.merge, edit.operand)
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


def _dropped(model: nn.Module, op: Drop, table: Sources | None) -> list[Scale] | list[Keep]:
    """Every branch of the block cut; where it has none, every dense layer's output zero."""
    block = submodule(model, op.block)
    adds = [name for name, module in block.named_modules() if isinstance(module, Add)]
    if adds:
        return [Scale(f"{op.block}.{name}" if name else op.block, 1, 0.0) for name in adds]
    concats = any(isinstance(module, Concat) for module in model.modules())
    parts = layers(sources(model) if table is None else table, op.block) if concats else []
    if not parts:
        raise SurgeryError(
            f"'{op.block}' holds no add, so there is no branch to drop, and no dense layer: name a residual block, or "
            f"a layer whose output is concatenated with what it was made of ({_listed(model)})."
        )
    return [Keep(part, ()) for part in parts]


def _listed(model: nn.Module) -> str:
    """The first few merges that a net has, as a sentence goes on."""
    names = [name for name, module in model.named_modules() if isinstance(module, Merge)]
    if not names:
        return "this net has none that is named (`reveal` names those of a foreign net)"
    return f"this net has {some(names, LISTED)}"
